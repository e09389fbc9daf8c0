"""Notes that stand in the recording, among all that is done to the disk.

Each is a write to a file that is only ever appended to. What has been noted has happened before
whatever is recorded after it.
"""

import os

_NOTES = os.open(os.environ["POWER_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(*words):
    """Note something."""
    os.write(_NOTES, (" ".join(map(str, words)) + "\n").encode())
