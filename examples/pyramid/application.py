from wsgiref.simple_server import make_server

import autocron
from pyramid.config import Configurator
from pyramid.response import Response
from utils import do_this_later


def hello_world(request):
    task_result = do_this_later()
    return Response(f"Hello World! TaskResult is waiting: {task_result.is_waiting}")


autocron.start("the_pyramid_app.db")

if __name__ == "__main__":
    with Configurator() as config:
        config.add_route("hello", "/")
        config.add_view(hello_world, route_name="hello")
        app = config.make_wsgi_app()
    server = make_server("127.0.0.1", 6543, app)
    server.serve_forever()
