"""Answers that hold a secret, kept so that only the one who asked can have them again.

The hub keeps an API key's HMAC and never the key, yet must give the same answer to the same POST.
So the kept answer is encrypted with the credentials that came with the request, which the hub
does not keep either.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class CredentialSeal:
    """A :class:`~accounts.idempotency.Seal` whose key follows from the Authorization header."""

    def __init__(self, authorization: str) -> None:
        secret = hmac.new(
            settings.API_KEY_PEPPER.encode(), b"seal:" + authorization.encode(), hashlib.sha256
        )
        self._cipher = Fernet(urlsafe_b64encode(secret.digest()))

    def close(self, body: bytes) -> bytes:
        return self._cipher.encrypt(body)

    def open(self, sealed: bytes) -> bytes:
        """The body; ``ValueError`` for other credentials than those it was closed with."""
        try:
            return self._cipher.decrypt(sealed)
        except InvalidToken as error:
            raise ValueError("sealed with other credentials") from error
