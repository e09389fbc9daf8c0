"""Where the background processes begin: ``python …/autocron/shell/boot supervisor|worker …``.

A folder of its own, started by its path: so the process finds the autocron of the application,
whatever the import path is, and puts nothing of autocron's inner modules on that path.
"""

import os
import sys
from typing import Callable


def main() -> None:
    """Detach if this is to be the supervisor, then go on as what the first argument says."""
    role, *arguments = sys.argv[1:]
    if role == "supervisor":
        # The process that was started ends at once, so that the application keeps no child of ours
        # and the supervisor has no terminal.
        if os.fork():
            os._exit(0)
        os.setsid()
    here = os.path.dirname(os.path.abspath(__file__))
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    sys.path[0] = package_root
    run: Callable[..., None]
    if role == "supervisor":
        from autocron.shell import supervisor

        run = supervisor.main
    else:
        from autocron.shell import worker

        run = worker.main
    sys.path.remove(package_root)
    run(*arguments)


if __name__ == "__main__":
    main()
