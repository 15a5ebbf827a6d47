"""What stands in the hub's own signed addresses: a request, sealed with HMAC-SHA256.

A ticket is ``<base64url of JSON>.<base64url of the HMAC>``. Whoever holds it may do what it says
until it expires, and nothing else.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

import msgspec

from odavl.wire.errors import SignedUrlExpired, SignedUrlRefused

_MAX_LENGTH = 4_000


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    """``expires`` in seconds since 1970; ``size`` -1 where none is bound."""

    action: Literal["put", "get", "part"]
    key: str
    expires: int
    size: int = -1
    content_type: str = ""
    sha256: str = ""
    file_name: str = ""
    upload_id: str = ""
    number: int = 0


_DECODER = msgspec.json.Decoder(Ticket)


class Sealer:
    """Makes and reads tickets with one secret."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"odavl.storage.tickets", "sha256")

    def seal(self, ticket: Ticket) -> str:
        body = _encode(msgspec.json.encode(ticket))
        return f"{body}.{self._signature(body)}"

    def read(self, text: str, *, now: float) -> Ticket:
        """Raises :class:`SignedUrlRefused` for none of ours, :class:`SignedUrlExpired`."""
        body, _, signature = text[:_MAX_LENGTH].partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode()):
            raise SignedUrlRefused("The signature is not this hub's.")
        try:
            ticket = _DECODER.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (msgspec.MsgspecError, binascii.Error) as error:
            # Signed by us, so an older version of the hub wrote it.
            raise SignedUrlRefused("The address was made by another version of the hub.") from error
        if ticket.expires <= now:
            raise SignedUrlExpired("The address has expired; ask for a new one.")
        return ticket

    def _signature(self, body: str) -> str:
        return _encode(hmac.digest(self._key, body.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
