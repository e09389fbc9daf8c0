"""Django's own database is autocron's, too: a call in an atomic block is part of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.contrib.procrastinate.host import Host

pytest.importorskip("django")

SETTINGS = """
import os
SECRET_KEY = "of a test"
USE_TZ = True
INSTALLED_APPS = ["autocron.contrib.django", "shop"]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql",
    **{name: os.environ[name] for name in ("NAME", "USER", "HOST", "PORT")},
}}
AUTOCRON = {"DATABASE": os.environ["URL"], "WORKERS": 1}
"""
TASKS = """
import autocron

@autocron.delay
def send(name):
    return name
"""
SCRIPT = """
import json, sys
import django
django.setup()
from django.db import connection, transaction
from autocron.contrib.procrastinate.backend import postgres_backend
import autocron, os
from shop.tasks import send

others = postgres_backend(os.environ["URL"])
told = {}
with transaction.atomic():
    result = send("ada")
    told["seen by others"] = others.get(result.id) is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM autocron_tasks")
        told["stored inside"] = cursor.fetchone()[0]
told["value"] = result.get(timeout=60)
try:
    with transaction.atomic():
        lost = send("bob")
        raise LookupError
except LookupError:
    told["seen after the rollback"] = others.get(lost.id) is not None
with transaction.atomic():
    held = send.options(on_commit=False)("cyd")
    told["seen at once"] = others.get(held.id) is not None
told["count"] = len(others.list())
others.close()
autocron.stop()
print(json.dumps(told))
"""


def test_a_call_in_an_atomic_block_is_part_of_it(tmp_path, make_url):
    host = Host(tmp_path, make_url())
    host.write("site_settings.py", SETTINGS)
    host.write("shop/__init__.py", "")
    host.write("shop/tasks.py", TASKS)
    script = host.write("script.py", SCRIPT)
    _, _, place = host.url.partition("@")
    where, _, name = place.partition("/")
    ran = subprocess.run(
        [sys.executable, str(script)],
        env={
            **host.environment,
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), host.environment["PYTHONPATH"]]),
            "URL": host.url,
            "USER": "autocron",
            "HOST": "127.0.0.1",
            "PORT": where.partition(":")[2],
            "NAME": name,
        },
        cwd=str(tmp_path),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    told = json.loads(ran.stdout.decode().splitlines()[-1])
    assert told == {
        "seen by others": False,
        "stored inside": 1,
        "value": "ada",
        "seen after the rollback": False,
        "seen at once": True,
        "count": 2,
    }
    host.close()
