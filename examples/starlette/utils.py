import time

import autocron


@autocron.delay
def do_this_later():
    time.sleep(2)
    print("\ndo this later")


@autocron.cron("* * * * *")
def cronjob():
    """do something from time to time"""
    print("action from the cron job")
