"""Wake-ups: told apart are delivered ones, and those that nobody was there to hear."""

from __future__ import annotations

import pytest

from autocron.shell.wakeup import Sender, Sent, bind, drain, unbind


@pytest.mark.parametrize("name", ["wake.sock", "folder" * 20])
def test_a_sender_finds_who_comes_and_notices_who_goes(tmp_path, name):
    path = str(tmp_path / name)
    sender = Sender(path)
    for _ in range(2):
        # Also asked again: it is remembered that nobody was there.
        assert [sender.send(), sender.send()] == [Sent.NOBODY, Sent.NOBODY]
        listener = bind(path)
        assert [sender.send(), sender.send()] == [Sent.YES, Sent.YES]
        drain(listener, 3)
        listener.close()
        # The socket stands there, as after a kill, and nobody listens.
        assert [sender.send(), sender.send()] == [Sent.NOBODY, Sent.NOBODY]
        unbind(path)
    sender.close()
