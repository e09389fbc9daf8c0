"""Where the background processes begin: ``python …/autocron/shell/boot supervisor|worker …``.

A folder of its own, started by its path: so the process finds the autocron of the application,
whatever the import path is, and puts nothing of autocron's inner modules on that path.
"""

import os
import sys


def main() -> None:
    """Detach if this is to be the supervisor, then go on as what the first argument says."""
    role, *arguments = sys.argv[1:]
    _have_outputs()
    here = os.path.dirname(os.path.abspath(__file__))
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    sys.path[0] = package_root
    if role == "supervisor":
        # Each import stands where nobody waits for it, as far as there is such a place: this one
        # is made while start() opens the database.
        from autocron.shell import ownership

        if not _has_the_word():
            return
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
        folder = ownership.RunFolder(arguments[0])
        lock = ownership.acquire(folder.supervisor)
        os.close(tell)
        if lock is None:
            return
        # The first task waits for its worker.
        from autocron.shell import launch

        begun = launch.recruit(folder, lock)
        if isinstance(begun, list):
            # Forked off, this is a worker: no other line knows.
            role, arguments = "worker", begun
        else:
            from autocron.shell import supervisor

            sys.path.remove(package_root)
            supervisor.main(lock, begun, folder.database)
    if role == "worker":
        from autocron.shell import worker

        sys.path.remove(package_root)
        worker.main(*arguments)


def _has_the_word() -> bool:
    """Wait for the word of whoever has started this; standard input, where it comes, is nothing."""
    try:
        word = os.read(0, 1)
    except OSError:
        return False
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return word == b"!"


def _have_outputs() -> None:
    """Let what is printed to a descriptor that somebody has closed go nowhere, and not into us."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


if __name__ == "__main__":
    main()
