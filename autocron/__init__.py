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
    Discard,
    InvalidSchedule,
    InvalidTask,
    NoCurrentTask,
    NotStorable,
    ResultExpired,
    ResultNotReady,
    Retry,
    ScheduleWarning,
    StartError,
    StoreError,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    WaitTimeout,
)
from autocron.core.progress import Progress
from autocron.current import CurrentTask, current_task
from autocron.delayed import Chain
from autocron.dynamic import ScheduleInfo
from autocron.group import TaskGroup
from autocron.hooks import TaskEvent
from autocron.result import TaskResult

__version__ = "2.0.0.dev0"

cron = default_app.cron
delay = default_app.delay
start = default_app.start
stop = default_app.stop
get_result = default_app.get_result
get_group = default_app.get_group
on = default_app.on
schedule = default_app.schedule
unschedule = default_app.unschedule
schedules = default_app.list_schedules
now = default_app.now

__all__ = [
    "AutocronError",
    "Chain",
    "CurrentTask",
    "Discard",
    "InvalidSchedule",
    "InvalidTask",
    "NoCurrentTask",
    "NotStorable",
    "Progress",
    "ResultExpired",
    "ResultNotReady",
    "Retry",
    "ScheduleInfo",
    "ScheduleWarning",
    "StartError",
    "StoreError",
    "TaskCancelled",
    "TaskEvent",
    "TaskFailed",
    "TaskGroup",
    "TaskNotFound",
    "TaskResult",
    "TaskTimeout",
    "WaitTimeout",
    "cron",
    "current_task",
    "default_app",
    "delay",
    "get_group",
    "get_result",
    "now",
    "on",
    "schedule",
    "schedules",
    "start",
    "stop",
    "unschedule",
]
