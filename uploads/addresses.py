"""Absolute addresses, as clients are given them."""

from django.conf import settings
from django.urls import reverse

from uploads.models import Transfer, Upload


def upload_address(upload: Upload) -> str:
    """Where to ask what became of it."""
    return _address(upload.product, str(upload.pk))


def transfer_address(transfer: Transfer) -> str:
    """Where to ask what is missing, and later what became of the upload."""
    return _address(transfer.product, str(transfer.pk))


def _address(product: str, upload_id: str) -> str:
    path = reverse("upload-status", args=[product, upload_id])
    return f"{settings.PUBLIC_URL}{path}"
