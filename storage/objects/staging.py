"""Staging for stores that take whole objects only: bytes wait beside the hub, not in its memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from odavl.wire.limits import MEBIBYTE
from storage.objects.interface import PIECE_SIZE, Staged

_IN_MEMORY = MEBIBYTE


class _Puts(Protocol):
    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int: ...


@dataclass(slots=True)
class _Spooled:
    store: _Puts
    spool: IO[bytes]
    size: int

    def publish(self, key: str, *, content_type: str = "") -> None:
        self.store.put(key, self._pieces(), content_type=content_type)

    def _pieces(self) -> Iterator[bytes]:
        self.spool.seek(0)
        while piece := self.spool.read(PIECE_SIZE):
            yield piece


@contextmanager
def spooled(store: _Puts, pieces: Iterable[bytes]) -> Iterator[Staged]:
    """``pieces`` in a temporary file, or in memory where they are few, until they are put."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        size = sum(spool.write(piece) for piece in pieces)
        yield _Spooled(store, spool, size)
