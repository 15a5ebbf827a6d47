"""A document that tells how far it has been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from insight.payload import Document, File, Header

Watch = Callable[[int], None]
"""Told percent from 0 to 100; may raise to end the work."""

_READ_PERCENT = 95
"""What is left is the database's own work at the end."""


class WatchedDocument:
    """``document`` of about ``size`` bytes of JSON, whose findings are read ``passes`` times."""

    def __init__(self, document: Document, *, size: int, passes: int, watch: Watch) -> None:
        self._document = document
        self._size = max(size, 1)
        self._passes = passes
        self._watch = watch
        self._passed = 0

    @property
    def header(self) -> Header:
        return self._document.header

    def files(self) -> Iterator[File]:
        read = 0
        for file in self._document.files():
            yield file
            read += memoryview(file.raw).nbytes
            self._report(read / self._size)
        self._passed += 1
        self._report(0)

    def _report(self, share: float) -> None:
        passes = min(self._passed + min(share, 1), self._passes)
        self._watch(int(_READ_PERCENT * passes / self._passes))
