"""Absolute addresses of pages, as people are given them."""

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from insight.models import Run


def run_address(run: Run) -> str:
    """The run's page. In the default language; the page offers the others."""
    organization = run.stream.project.organization
    with translation.override(settings.LANGUAGE_CODE):
        path = reverse("insight:run", args=[organization.slug, run.pk])
    return f"{settings.PUBLIC_URL}{path}"
