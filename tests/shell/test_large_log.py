"""A reader that stays keeps the log from being cut: it grows, that is said; it shrinks after."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace

from autocron.shell.checkpoints import WAL_BYTES
from autocron.shell.large_log import LargeLog
from autocron.testing.contract.tools import a_task


def test_a_log_that_a_reader_keeps_from_being_cut_is_told_once_and_cut_after(store, path, caplog):
    log = LargeLog(path, large_bytes=2 * WAL_BYTES)
    texts = [str(number) * 200_000 for number in range(10)]

    def fill():
        while os.path.getsize(f"{path}-wal") < 2 * WAL_BYTES:
            for text in texts:
                store.add(replace(a_task(f"t{len(added)}"), payload=text))
                added.append(text)
        log.look()

    added = []
    log.look()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM tasks").fetchall()
        fill()
        (message,) = caplog.messages
        assert message.startswith(f"{path}: its log (-wal) has grown to 1")
        assert "end it" in message
        log.look()
        assert len(caplog.messages) == 1
        # It sees what it saw, whatever was written since.
        assert reader.execute("SELECT count(*) FROM tasks").fetchall() == [(0,)]
    # One write finds that it can be written into the database, the next begins it anew.
    for number in range(3):
        store.put_settings({"a": str(number)})
    log.look()
    assert os.path.getsize(f"{path}-wal") <= WAL_BYTES
    assert len(caplog.messages) == 1
    assert len(store.find()) == len(added)
