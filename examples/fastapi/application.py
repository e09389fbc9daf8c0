from contextlib import asynccontextmanager

import autocron
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from utils import do_this_later


@asynccontextmanager
async def lifespan(app):
    autocron.start("the_fastapi_app.db")
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=PlainTextResponse)
def homepage():
    task_result = do_this_later()
    return f"Hello, world! TaskResult is waiting: {task_result.is_waiting}"
