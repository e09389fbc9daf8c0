from contextlib import asynccontextmanager

from awaiting import ALL
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import autocron


async def page(request):
    return PlainTextResponse(await ALL[request.path_params["name"]]())


@asynccontextmanager
async def lifespan(app):
    autocron.start("awaiting.db", workers=2)
    yield


app = Starlette(routes=[Route("/{name}", page)], lifespan=lifespan)
