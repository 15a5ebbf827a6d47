"""Absolute addresses of pages, as people are given them, in the default language."""

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from guardian.models import PageTest


def page_test_address(test: PageTest) -> str:
    """Needs its organization loaded."""
    with translation.override(settings.LANGUAGE_CODE):
        path = reverse("guardian:test", args=[test.organization.slug, test.pk])
    return f"{settings.PUBLIC_URL}{path}"
