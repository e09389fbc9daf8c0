from contextlib import asynccontextmanager

import autocron
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from utils import do_this_later


def homepage(request):
    task_result = do_this_later()
    return PlainTextResponse(f"Hello, world! TaskResult is waiting: {task_result.is_waiting}")


@asynccontextmanager
async def lifespan(app):
    print("Ready to go")
    autocron.start("the_starlette_app.db")
    yield


routes = [
    Route("/", homepage),
]

app = Starlette(debug=True, routes=routes, lifespan=lifespan)
