"""The example of the documentation, under the development server of Flask."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import urllib.request

import flask

from tests.ports import free_port
from tests.processes.world import Application, World, eventually

_APP = """
import time
import autocron
from flask import Flask
from shared import mark, pass_gate

app = Flask(__name__)

@autocron.cron("* * * * * *")
def cronjob():
    mark("cron")

@autocron.delay
def do_this_later():
    pass_gate("later")
    mark("later", "{version}")

@app.route("/")
def hello_world():
    task_result = do_this_later()
    return f"TaskResult is waiting: {{task_result.is_waiting}}"

autocron.start({database!r})
"""


def _get(port: int) -> str:
    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                return answer.read().decode()  # type: ignore[no-any-return]
        except (OSError, http.client.HTTPException):
            # It is not there yet, or left in the midst of its answer.
            return ""

    return eventually(ask, "an answer of the web server", pause=0.1)


def _serve(world: World, port: int, *options: str) -> Application:
    assert flask.__name__ == "flask"
    arguments = ("-m", "flask", "--app", "web", "run", "--port", str(port), *options)
    return world.launch(*arguments, session=True)


def test_the_flask_example_answers_at_once_and_runs_its_tasks(world: World) -> None:
    world.write("web.py", _APP.format(version="first", database=world.database))
    port = free_port()
    server = _serve(world, port)
    assert _get(port) == "TaskResult is waiting: True"
    world.open_gate("later")
    (mark,) = world.await_marks("later", "first")
    assert mark.pid in world.workers
    assert world.await_marks("cron")[0].pid in world.workers
    assert server.signal(signal.SIGINT) in (0, 1, -signal.SIGINT)
    world.await_end()
    # The port is free again, though nothing was said about sockets.
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_under_flasks_reloader_there_is_one_supervisor_and_changed_code_runs(world: World) -> None:
    world.write("web.py", _APP.format(version="first", database=world.database))
    world.open_gate("later")
    port = free_port()
    server = _serve(world, port, "--debug")
    assert _get(port).startswith("TaskResult is waiting")
    world.await_marks("later", "first")
    assert len(world.await_workers()) == 1
    world.write("web.py", _APP.format(version="second", database=world.database))

    def is_new() -> bool:
        _get(port)
        return bool(world.marks("later", "second"))

    eventually(is_new, "the changed code runs", pause=0.2)
    eventually(lambda: len(world.background()) == 2, "one supervisor, one worker")
    # As a terminal does, to the reloader and its child.
    os.killpg(server.pid, signal.SIGINT)
    server.wait()
    world.await_end()
