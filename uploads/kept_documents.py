"""Documents that are kept as they were sent, once it is clear that they are what they should be."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from odavl.wire import limits
from odavl.wire.encoding import decode_json, decode_object, gunzip, gunzip_pieces
from odavl.wire.errors import FieldError, InvalidPayload
from uploads.contents import Content

T = TypeVar("T")


def read_whole(content: Content, decoder: msgspec.json.Decoder[T], *, most: int) -> T:
    """``content`` as the decoder's type.

    Raises :class:`~odavl.wire.errors.PayloadTooLarge` for one of more than ``most`` inflated bytes,
    and what :func:`~odavl.wire.encoding.decode_json` finds wrong.
    """
    return decode_json(gunzip(content.pieces(), limit=most), decoder)


def check_object(content: Content) -> None:
    """Raises :class:`~odavl.wire.errors.RefusedError` for what is no JSON object.

    One that is too large to be held is looked at no further than its first character.
    """
    if content.size <= limits.MAX_ENVELOPE_SIZE:
        decode_object(gunzip(content.pieces(), limit=limits.MAX_ENVELOPE_SIZE))
    elif not next(gunzip_pieces(content.pieces())).lstrip().startswith(b"{"):
        raise InvalidPayload(
            "The document is no JSON object.", errors=(FieldError("", "invalid", "No object."),)
        )
