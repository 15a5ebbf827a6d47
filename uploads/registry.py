"""Who takes in which product's payloads. Owners register in the ``ready`` of their apps.py."""

from __future__ import annotations

from typing import Protocol

from odavl.wire.envelope import UploadAccepted, UploadStored
from odavl.wire.errors import UnknownType
from uploads.contents import Content
from uploads.models import Upload


class PayloadHandler(Protocol):
    def receive(self, upload: Upload, content: Content) -> UploadStored | UploadAccepted:
        """Take the payload in, or note a job that will; within the transaction of the receipt.

        ``upload`` is saved afterwards, once: set its fields, and let new rows refer to it. What is
        raised rolls everything back.
        """


_handlers: dict[str, PayloadHandler] = {}


def register(product: str, handler: PayloadHandler) -> None:
    _handlers[product] = handler


def handler_of(product: str) -> PayloadHandler:
    """Raises :class:`UnknownType` for a product whose uploads nobody takes."""
    handler = _handlers.get(product)
    if handler is None:
        raise UnknownType(f"This hub takes no uploads for {product!r}.")
    return handler
