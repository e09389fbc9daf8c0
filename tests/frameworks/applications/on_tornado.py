import asyncio
import sys

import tornado
from awaiting import ALL

import autocron


class Page(tornado.web.RequestHandler):
    async def get(self, name):
        self.write(await ALL[name]())


async def main():
    autocron.start("awaiting.db", workers=2)
    tornado.web.Application([(r"/(\w+)", Page)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
