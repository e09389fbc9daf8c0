"""Where the background processes begin: ``python …/autocron/shell/boot supervisor|worker …``.

A folder of its own, started by its path: so the process finds the autocron of the application,
whatever the import path is, and puts nothing of autocron's inner modules on that path.
"""

import functools
import os
import sys
from typing import Callable


def main() -> None:
    """Detach if this is to be the supervisor, then go on as what the first argument says."""
    role, *arguments = sys.argv[1:]
    if role == "supervisor":
        # The process that was started ends, so that the application keeps no child of ours and the
        # supervisor has no terminal; but not before the supervisor can be seen by its lock. Else
        # the next call would find nobody, and launch another one.
        seen, tell = os.pipe()
        if os.fork():
            os.close(tell)
            os.read(seen, 1)
            os._exit(0)
        os.close(seen)
        os.setsid()
    here = os.path.dirname(os.path.abspath(__file__))
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    sys.path[0] = package_root
    run: Callable[..., None]
    if role == "supervisor":
        from autocron.shell import ownership

        lock = ownership.acquire(ownership.RunFolder(arguments[0]).supervisor)
        os.close(tell)
        if lock is None:
            return
        from autocron.shell import supervisor

        run = functools.partial(supervisor.main, lock)
    else:
        from autocron.shell import worker

        run = worker.main
    sys.path.remove(package_root)
    run(*arguments)


if __name__ == "__main__":
    main()
