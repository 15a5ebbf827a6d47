"""Absolute addresses, as clients are given them."""

from django.conf import settings
from django.urls import reverse

from uploads.models import Upload


def upload_address(upload: Upload) -> str:
    """Where to ask what became of it."""
    path = reverse("upload-status", args=[upload.product, upload.pk])
    return f"{settings.PUBLIC_URL}{path}"
