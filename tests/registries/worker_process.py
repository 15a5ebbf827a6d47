"""A real Celery worker of a hub in which the room of the weather stands."""

from __future__ import annotations

import django

django.setup()

from django.conf import settings  # noqa: E402 - after django.setup()

from odavl_hub.launcher import roles  # noqa: E402 - after django.setup()
from tests.registries import weather  # noqa: E402 - after django.setup()

settings.ROOT_URLCONF = "tests.registries.weather"
with weather.registered():
    roles.worker("bulk", "bulk", 1)
