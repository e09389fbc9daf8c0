import time

import autocron
from flask import Flask

app = Flask(__name__)


@autocron.cron("* * * * *")
def cronjob():
    """do something from time to time"""
    print("action from the cron job")


@autocron.delay
def do_this_later():
    time.sleep(3)
    print("\ndo this later")


@app.route("/")
def hello_world():
    task_result = do_this_later()
    return f"TaskResult is waiting: {task_result.is_waiting}"


autocron.start("the_flask_app.db")
