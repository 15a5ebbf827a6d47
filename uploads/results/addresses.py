"""Where people see a result, and where machines get what is stored of it: absolute addresses."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from accounts.rendering import iso
from odavl.wire.insight import StoredPayload
from storage.models import StoredObject


def page_address(name: str, *arguments: object) -> str:
    """Of a page, in the default language: who opens it has the switch to the others there."""
    with translation.override(settings.LANGUAGE_CODE):
        return f"{settings.PUBLIC_URL}{reverse(name, args=arguments)}"


def stored_payload(
    stored: StoredObject, name: str, *arguments: object, query: Mapping[str, str] | None = None
) -> StoredPayload:
    """What is stored, to be downloaded at the API's address ``name``."""
    path = reverse(name, args=arguments, query=query)
    return StoredPayload(
        sha256=stored.sha256,
        size=stored.size,
        download_url=f"{settings.PUBLIC_URL}{path}",
        expired_at=iso(stored.expired_at),
    )
