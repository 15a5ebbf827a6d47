"""What one forked run of tests has to itself: a database, a Redis, folders.

Django is not imported here: a project without it is tested as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

TEMPLATE = "mutants_template"


def environment(slot: int, folder: Path) -> dict[str, str]:
    """The variables by which a pytest of its own finds what is ``slot``'s."""
    own = {
        "PYTEST_DEBUG_TEMPROOT": str(folder),
        "PYTEST_XDIST_WORKER": f"gw{slot}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if "DATABASE_URL" in os.environ:
        parts = urlsplit(os.environ["DATABASE_URL"])
        own["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/slot{slot}"))
    return own


def fresh_folder(folder: Path) -> None:
    """An empty ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def isolate(name: str, number: int, folder: Path) -> None:
    """Point this process, which has loaded everything, at what is its own.

    ``name`` is the database's, without Django's prefix; ``number`` that of the Redis database.
    """
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
    if "django" not in sys.modules:
        return
    from django.conf import settings  # noqa: PLC0415 - only where the project has loaded it
    from django.db import connections  # noqa: PLC0415

    connections["default"].settings_dict["NAME"] = name
    settings.DATABASES["default"]["NAME"] = name
    address = _redis(settings.REDIS_URL, number)
    settings.REDIS_URL = settings.CELERY_BROKER_URL = address
    celery = sys.modules.get("odavl_hub.celery")
    if celery is not None:
        celery.app.conf.broker_url = address
    data = folder / "data"
    for part in ("objects", "static"):
        (data / part).mkdir(parents=True)
    settings.ODAVL_DATA = data
    settings.STATIC_ROOT = data / "static"
    os.environ["ODAVL_DATA"] = str(data)
    os.environ["ODAVL_HOME"] = str(data / "home")


def renew_database(slot: int) -> None:
    """A copy of the template, as though nobody had ever used it."""
    if "DATABASE_URL" not in os.environ:
        return
    import psycopg2  # noqa: PLC0415 - only where there is a database

    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS test_slot{slot} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE test_slot{slot} TEMPLATE test_{TEMPLATE}")
    finally:
        connection.close()


def _redis(url: str, number: int) -> str:
    if url.startswith("redis+socket:"):
        return f"{url.partition('?')[0]}?virtual_host={number}"
    return re.sub(r"(?<=[^/])/\d*$", "", url) + f"/{number}"
