"""The reference of small uploads: Django behind granian that reads a body and commits one row.

Served by the same server with as many processes and threads as the hub, over the same database, so
that the difference is what the hub does: who, may they, decoding, tracking, the run.
"""

from __future__ import annotations

import os
import sys

import dj_database_url
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

TABLE = os.environ.get("BARE_TABLE", "")


@csrf_exempt
def take(request: HttpRequest) -> HttpResponse:
    """Read the body and commit its size."""
    size = len(request.body)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} (size) VALUES (%s)", [size])
    headers = {"Content-Type": "application/json", "Content-Length": "2"}
    return HttpResponse(b"{}", status=201, headers=headers)


urlpatterns = [path("", take)]


def _configure() -> None:
    settings.configure(
        DATABASES={"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=600)},
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.urandom(32).hex(),
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
        USE_TZ=True,
    )
    django.setup()


def main() -> None:
    """Serve on the port of the first argument until SIGTERM."""
    MPServer(
        "benchmarks.bare_django:application",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        workers=min(2, os.cpu_count() or 1),
        blocking_threads=4,
        websockets=False,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    main()
else:
    _configure()
    application = get_wsgi_application()
