"""Background tasks for Python web applications, in the standard library alone.

::

    import autocron

    @autocron.cron("30 2 * * *")          # every day at 02:30
    def cleanup(): ...

    @autocron.delay                       # returns a TaskResult at once; runs in another process
    def send_mail(address, message): ...

    autocron.start("project.db")
"""

# For type checkers, which take this for true; typing itself would be a third of the import.
TYPE_CHECKING = False

if TYPE_CHECKING:
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

__version__ = "2.0.0.dev0"

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

# Where the names are. What is not asked for is not imported: many a module imports autocron for one
# name, and a command line for none.
_HOMES = {
    "Chain": "delayed",
    "CurrentTask": "current",
    "Progress": "core.progress",
    "ScheduleInfo": "dynamic",
    "TaskEvent": "hooks",
    "TaskGroup": "group",
    "TaskResult": "result",
    "current_task": "current",
    "default_app": "app",
}
_METHODS = {
    "cron": "cron",
    "delay": "delay",
    "start": "start",
    "stop": "stop",
    "get_result": "get_result",
    "get_group": "get_group",
    "on": "on",
    "schedule": "schedule",
    "unschedule": "unschedule",
    "schedules": "list_schedules",
    "now": "now",
}


# Type checkers must not think that there is every name.
if not TYPE_CHECKING:

    def __getattr__(name):
        """Return a name that is asked for the first time."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in _METHODS:
            found = getattr(import_module("autocron.app").default_app, _METHODS[name])
        else:
            home = import_module(f"autocron.{_HOMES.get(name, 'core.errors')}")
            found = getattr(home, name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
