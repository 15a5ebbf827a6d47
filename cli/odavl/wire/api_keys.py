"""How an API key reads: ``odavl_<kind>_<30 base62><6 base62 of a CRC-32>``.

The checksum runs over everything before it, so that a mistyped or truncated key is refused
without a question to anyone, and scanners can tell a real key from a look-alike.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 30
_CHECKSUM_LENGTH = 6
_FORM = re.compile(r"odavl_[a-z]{1,10}_[0-9A-Za-z]{36}", re.ASCII)


def new_api_key(kind: str = "key") -> str:
    """A fresh key with 178 bits of chance in it."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(_SECRET_LENGTH))
    body = f"odavl_{kind}_{secret}"
    return body + checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether ``key`` has the form and its checksum is right; says nothing about any hub."""
    if not _FORM.fullmatch(key):
        return False
    return checksum(key[:-_CHECKSUM_LENGTH]) == key[-_CHECKSUM_LENGTH:]


def checksum(body: str) -> str:
    """The CRC-32 (as in gzip) of ``body``, six base62 digits, most significant first."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
