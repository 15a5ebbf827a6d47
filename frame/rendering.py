"""How the API reads and writes JSON: msgspec on both sides, bounded, and never anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from django.utils.functional import Promise
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from frame.bodies import MAX_DOCUMENT_SIZE
from odavl.wire.encoding import decode_json
from odavl.wire.errors import PayloadTooLarge


def _plain(value: object) -> object:
    if isinstance(value, Promise):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a JSON answer.")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_ANYTHING: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class WireRenderer(BaseRenderer):
    """Structs, dicts, datetimes and UUIDs as JSON; bytes are JSON already and pass through."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: object,
        _accepted_media_type: str | None = None,
        _renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        return data if isinstance(data, bytes) else _ENCODER.encode(data)


class WireParser(BaseParser):
    """``request.data`` for a view that reads no struct; bounded in size and depth, no NaN."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        _media_type: str | None = None,
        _parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(MAX_DOCUMENT_SIZE + 1)
        if len(body) > MAX_DOCUMENT_SIZE:
            raise PayloadTooLarge(f"The body is larger than {MAX_DOCUMENT_SIZE} bytes.")
        return decode_json(body, _ANYTHING)


class JsonNegotiation(BaseContentNegotiation):
    """JSON whatever ``Accept`` says: who wants another form still learns what happened."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self,
        _request: Request,
        renderers: Any,
        _format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type
