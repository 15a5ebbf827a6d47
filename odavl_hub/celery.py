"""The Celery application: ``celery -A odavl_hub worker -Q interactive,default``."""

from __future__ import annotations

import os

from celery import Celery

from jobs import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")

broker.mend()
app = Celery("odavl_hub")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Web threads other than the importing one must find this application, too.
app.set_default()
app.autodiscover_tasks()
