import autocron
from bottle import route, run
from utils import do_this_later


@route("/hello")
def hello():
    task_result = do_this_later()
    return f"Hello World! TaskResult is waiting: {task_result.is_waiting}"


autocron.start("the_bottle_app.db")
run(host="localhost", port=8080)
