"""The Celery application: ``celery -A odavl_hub worker -Q interactive,default``."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init

from jobs import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")

broker.install()


@celeryd_after_setup.connect
def take_system_jobs(instance: Any, **_told: object) -> None:
    """Workers of the default queue do the hub's own jobs, too.

    So no hub stays without one, whose operator named the queues before there was this one.
    """
    queues = instance.app.amqp.queues
    if "default" in queues.consume_from:
        queues.select([*queues.consume_from, "system"])


app = Celery("odavl_hub")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Web threads other than the importing one must find this application, too.
app.set_default()
app.autodiscover_tasks()


@celeryd_init.connect
def _serve_as_worker(**_: object) -> None:
    """In the process that the workers are forked from, however it was started."""
    from frame.database.timeouts import ProcessKind, serve_as  # noqa: PLC0415 - needs the settings

    serve_as(ProcessKind.WORKER)
