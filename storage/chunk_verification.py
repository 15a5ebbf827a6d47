"""A chunk on its way in: checked against its name, brought into the form in which it is kept."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from odavl.wire import limits
from odavl.wire.encoding import gunzip_pieces
from odavl.wire.errors import DigestMismatch, MalformedGzip
from odavl.wire.joinable import joinable_pieces, looks_joinable, opened_joinable


@dataclass
class Arriving:
    """``sha256`` names the uncompressed bytes, of which there are at most ``limit``."""

    sha256: str
    limit: int
    size: int = 0
    """Of the uncompressed bytes, once all of them have come."""

    def joinable(self, body: Iterable[bytes], *, compressed: bool) -> Iterator[bytes]:
        """The chunk's joinable form: as it came, or made anew.

        Raises :class:`DigestMismatch` and, where ``compressed``, :class:`MalformedGzip`, at the
        latest behind the last piece.
        """
        if not compressed:
            return joinable_pieces(self._checked(body))
        whole = b"".join(body)
        if looks_joinable(whole):
            with suppress(MalformedGzip):
                opened = opened_joinable(whole, limit=limits.CHUNK_SIZE)
                deque(self._checked(opened), maxlen=0)
                return iter((whole,))
        return joinable_pieces(self._checked(gunzip_pieces(whole, limit=limits.CHUNK_SIZE)))

    def _checked(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        self.size = 0
        for piece in pieces:
            self.size += len(piece)
            if self.size > self.limit:
                raise DigestMismatch(
                    f"The chunk was to have at most {self.limit} bytes; there are more."
                )
            digest.update(piece)
            yield piece
        if digest.hexdigest() != self.sha256:
            raise DigestMismatch("The chunk's SHA-256 is not the one it is named by.")
