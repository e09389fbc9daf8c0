"""Background tasks for Python web applications, in the standard library alone.

::

    import autocron

    @autocron.cron("30 2 * * *")          # every day at 02:30
    def cleanup(): ...

    @autocron.delay                       # returns a TaskResult at once; runs in another process
    def send_mail(address, message): ...

    autocron.start("project.db")
"""

from autocron.app import default_app
from autocron.core.errors import (
    AutocronError,
    InvalidSchedule,
    InvalidTask,
    NotStorable,
    ResultExpired,
    ResultNotReady,
    ScheduleWarning,
    StartError,
    StoreError,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    WaitTimeout,
)
from autocron.result import TaskResult

__version__ = "2.0.0.dev0"

cron = default_app.cron
delay = default_app.delay
start = default_app.start
stop = default_app.stop
get_result = default_app.get_result
now = default_app.now

__all__ = [
    "AutocronError",
    "InvalidSchedule",
    "InvalidTask",
    "NotStorable",
    "ResultExpired",
    "ResultNotReady",
    "ScheduleWarning",
    "StartError",
    "StoreError",
    "TaskCancelled",
    "TaskFailed",
    "TaskNotFound",
    "TaskResult",
    "WaitTimeout",
    "cron",
    "default_app",
    "delay",
    "get_result",
    "now",
    "start",
    "stop",
]
