"""What fuzzing, or thinking like it, has found once: each stays, by name. And where it begins."""

from __future__ import annotations

from typing import Dict, Mapping

# Target -> what was found -> the bytes. None of these was handled when it was found.
CASES: Mapping[str, Mapping[str, bytes]] = {
    "task_row": {
        "the name of a lock file with a zero byte": b"state=trunning\nworker=t\0",
        "the name of a lock file elsewhere": b"state=trunning\nworker=t../../x",
        "a retry in 1e300 seconds": (
            b'state=trunning\npolicy=t{"backoff_seconds": 1e300, "retries": 3}'
        ),
        "a delay past the end of time, from the release on": (
            b"after_id=tx\nelapsed=i1\nrun_at=i253402300799999999\nenqueued_at=i-62135596800000000"
        ),
        "a history of huge numbers": b"history=t[[" + b"1" * 5000 + b", 0, 0, 1]]",
        "a failure without a message": b"state=tfailed\nfailure_type=tE",
    },
    "schedule_row_of": {
        "a policy in another spelling": b'policy=t{"retries":   3}',
        "a grace of 1e300 seconds": b"grace_seconds=f1e300",
        "the last minute of all": b"watermark_at=i253402300740000000",
    },
    "settings": {
        "no number": b"worker_idle_time=nan",
        "more digits than Python reads": b"max_tasks_per_worker=" + b"9" * 5000,
        "no number of workers": b"max_workers=-1",
    },
    "channel": {"a line that is no JSON": b"oops", "JSON that is no message": b"[1]\n7"},
    "stored_arguments": {"a number beyond all": b"[[1e999],{}]"},
}

# Where the search begins, beside the cases.
SEEDS: Mapping[str, Mapping[str, bytes]] = {
    "cron_text": {
        "plain": b"*/5 1-3,7 L * mon#2",
        "seconds": b"0 30 9 15W jan-mar fri",
        "alias": b"@daily",
        "slip": b"* 2 * * 7",
    },
    "stored_arguments": {
        "plain": b'[[1, "a", null],{"b": 1.5}]',
        "tags": (
            b'[[{"$tuple": [1]}, {"$set": [2]}, {"$bytes": "AA=="}, {"$decimal": "1.0"}],'
            b'{"at": {"$datetime": "2024-03-01T00:00:00"}, "d": {"$dict": [[1, 2]]}}]'
        ),
    },
    "command_line": {
        "explain": b"explain\0*/5 * * * *\0--tz\0Europe/Berlin",
        "next": b"next\x000 9 * * 1-5\0-n\x003\0--json",
        "settings": b"x.db\0--set-max-workers\x003",
        "list": b"x.db\0--failed\0--json",
        "show": b"x.db\0--show\0id",
    },
    "task_row": {
        "policy": b'policy=t{"retries": 3, "rate": [1, 60.0]}\nstate=trunning\nworker=tab',
        "history": b'history=t[[1, 0, 1, "E: e"]]\nattempt=i1',
        "ended": b"state=tsucceeded\nfinished_at=i1\nresult=t1",
    },
    "schedule_row_of": {"all": b"missed=tall\nwatermark_at=i1\njitter_seconds=f3.5"},
    "settings": {"numbers": b"worker_idle_time=3\nmax_workers=mail=2,*=1\nautocron_lock=on"},
    "database_file": {"header": b"\0\0\0", "version": b"\0\x3c\x09", "schema": b"\x03\0\x42"},
    "channel": {"ready": b'{"files": {}, "hooks": [], "broken": []}'},
    "datagrams": {"one": b"!", "none": b"", "long": b"!" * 70_000},
}


def known(target: str) -> Dict[str, bytes]:
    """Return all that is known of a target, by name."""
    return {**SEEDS.get(target, {}), **CASES.get(target, {})}
