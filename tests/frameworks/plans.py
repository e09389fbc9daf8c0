"""The sites: each example by its own standard command, and under the servers that run it."""

from __future__ import annotations

from tests.frameworks.site import Plan

_FLASK = "the_flask_app.db"
_DJANGO = "the_django_app.db"
_STARLETTE = "the_starlette_app.db"
_FASTAPI = "the_fastapi_app.db"

# As examples/README.md starts them; only the port is another one.
STANDARD = [
    Plan(
        "django",
        "examples/django",
        "python manage.py runserver 127.0.0.1:{port}",
        _DJANGO,
        needs=("django",),
    ),
    Plan(
        "flask",
        "examples/flask",
        "flask --app application run --port {port}",
        _FLASK,
        needs=("flask",),
    ),
    Plan(
        "bottle",
        "examples/bottle",
        "python application.py",
        "the_bottle_app.db",
        path="/hello",
        port="8080",
        needs=("bottle",),
    ),
    Plan(
        "pyramid",
        "examples/pyramid",
        "python application.py",
        "the_pyramid_app.db",
        port="6543",
        needs=("pyramid",),
    ),
    Plan(
        "tornado",
        "examples/tornado",
        "python application.py",
        "the_tornado_app.db",
        port="8888",
        needs=("tornado",),
    ),
    Plan(
        "starlette",
        "examples/starlette",
        "uvicorn application:app --port {port}",
        _STARLETTE,
        needs=("starlette", "uvicorn"),
    ),
    Plan(
        "fastapi",
        "examples/fastapi",
        "uvicorn application:app --port {port}",
        _FASTAPI,
        needs=("fastapi", "uvicorn"),
    ),
]

SERVERS = [
    Plan(
        "gunicorn",
        "examples/flask",
        "gunicorn --workers 3 --bind 127.0.0.1:{port} application:app",
        _FLASK,
        needs=("gunicorn", "flask"),
    ),
    Plan(
        "gunicorn-preload",
        "examples/django",
        "gunicorn --workers 2 --preload --bind 127.0.0.1:{port} project.wsgi",
        _DJANGO,
        needs=("gunicorn", "django"),
    ),
    Plan(
        "uvicorn-workers",
        "examples/starlette",
        "uvicorn application:app --workers 2 --port {port}",
        _STARLETTE,
        needs=("uvicorn", "starlette"),
    ),
    Plan(
        "uvicorn-asgi",
        "examples/django",
        "uvicorn project.asgi:application --port {port}",
        _DJANGO,
        needs=("uvicorn", "django"),
    ),
    Plan(
        "waitress",
        "examples/flask",
        "waitress-serve --listen 127.0.0.1:{port} application:app",
        _FLASK,
        needs=("waitress", "flask"),
    ),
    Plan(
        "gunicorn-gevent",
        "examples/flask",
        "gunicorn --worker-class gevent --workers 2 --bind 127.0.0.1:{port} application:app",
        _FLASK,
        needs=("gunicorn", "gevent", "flask"),
    ),
    Plan(
        "hypercorn",
        "examples/starlette",
        "hypercorn --workers 2 --bind 127.0.0.1:{port} application:app",
        _STARLETTE,
        needs=("hypercorn", "starlette"),
    ),
    Plan(
        "granian",
        "examples/fastapi",
        "granian --interface asgi --workers 2 --port {port} application:app",
        _FASTAPI,
        needs=("granian", "fastapi"),
    ),
    Plan(
        "daphne",
        "examples/django",
        "daphne --port {port} project.asgi:application",
        _DJANGO,
        needs=("daphne", "django"),
    ),
    Plan(
        "uwsgi",
        "examples/flask",
        "uwsgi --master --processes 2 --die-on-term --http-socket 127.0.0.1:{port} "
        "--module application:app",
        _FLASK,
        needs=("uwsgi", "flask"),
    ),
]
