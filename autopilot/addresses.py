"""Absolute addresses of pages, as people are given them, in the default language."""

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from autopilot.models import Cycle


def cycle_address(cycle: Cycle) -> str:
    """Needs its organization loaded."""
    with translation.override(settings.LANGUAGE_CODE):
        path = reverse("autopilot:cycle", args=[cycle.organization.slug, cycle.pk])
    return f"{settings.PUBLIC_URL}{path}"
