import asyncio

import autocron
import tornado
from utils import do_this_later


class MainHandler(tornado.web.RequestHandler):
    def get(self):
        task_result = do_this_later()
        self.write(f"Hello, world! TaskResult is waiting: {task_result.is_waiting}")


def make_app():
    return tornado.web.Application(
        [
            (r"/", MainHandler),
        ]
    )


async def main():
    autocron.start("the_tornado_app.db")
    app = make_app()
    app.listen(8888, "127.0.0.1")
    shutdown_event = asyncio.Event()
    await shutdown_event.wait()


if __name__ == "__main__":
    asyncio.run(main())
