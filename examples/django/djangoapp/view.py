import time

import autocron
from django.http import HttpResponse


@autocron.delay
def do_this_later():
    """example for a blocking task."""
    time.sleep(2)
    print("\ndo this later")


@autocron.cron("* * * * *")
def cronjob():
    """do something every minute"""
    print("action from the cron job")


def index(request):
    """view providing the response without delay."""
    task_result = do_this_later()
    return HttpResponse(f"Hello, world. TaskResult is waiting: {task_result.is_waiting}")
