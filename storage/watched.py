"""An object store that is not taken for empty while it is away (:mod:`storage.presence`).

Before anything is written, deleted or listed, and whenever something is missing, it is made sure
that the store is the hub's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from storage.objects.interface import (
    PAGE_SIZE,
    Listing,
    ObjectFacts,
    ObjectMissing,
    ObjectStore,
    Part,
    SignedRequest,
    Staged,
    Unfinished,
    UploadTerms,
)
from storage.presence import Presence


class WatchedStore:
    """``behind`` it is the store itself, whose methods these are.

    They raise :class:`~odavl.wire.errors.ServiceUnavailable` where it is not the hub's.
    """

    def __init__(self, behind: ObjectStore) -> None:
        self.behind = behind
        self.presence = Presence(behind)
        self.name = behind.name
        self.binds = behind.binds

    @property
    def is_near(self) -> bool:
        return self.behind.is_near

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        self.presence.require_lately()
        return self.behind.put(key, pieces, content_type=content_type)

    def stage(self, pieces: Iterable[bytes]) -> AbstractContextManager[Staged]:
        self.presence.require_lately()
        return self.behind.stage(pieces)

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._missing_or_away():
            return self.behind.pieces(key, start=start, length=length)

    def facts(self, key: str) -> ObjectFacts:
        with self._missing_or_away():
            return self.behind.facts(key)

    def size(self, key: str) -> int:
        with self._missing_or_away():
            return self.behind.size(key)

    def exists(self, key: str) -> bool:
        if self.behind.exists(key):
            return True
        self.presence.require()
        return self.behind.exists(key)

    def delete(self, key: str) -> None:
        self.presence.require_lately()
        self.behind.delete(key)

    def move(self, source: str, target: str) -> None:
        self.presence.require_lately()
        with self._missing_or_away():
            self.behind.move(source, target)

    def listing(self, *, prefix: str = "", cursor: str = "", at_most: int = PAGE_SIZE) -> Listing:
        self.presence.require()
        return self.behind.listing(prefix=prefix, cursor=cursor, at_most=at_most)

    def sign_upload(self, key: str, terms: UploadTerms, *, seconds: int) -> SignedRequest:
        return self.behind.sign_upload(key, terms, seconds=seconds)

    def sign_download(
        self, key: str, *, file_name: str, content_type: str, seconds: int
    ) -> SignedRequest:
        return self.behind.sign_download(
            key, file_name=file_name, content_type=content_type, seconds=seconds
        )

    def start_multipart(self, key: str, *, content_type: str) -> str:
        self.presence.require_lately()
        return self.behind.start_multipart(key, content_type=content_type)

    def sign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedRequest:
        return self.behind.sign_part(key, upload_id, number, size=size, seconds=seconds)

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        with self._missing_or_away():
            return self.behind.parts(key, upload_id)

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        self.presence.require_lately()
        with self._missing_or_away():
            self.behind.complete_multipart(key, upload_id, parts)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        self.presence.require_lately()
        self.behind.abort_multipart(key, upload_id)

    def unfinished(self) -> Iterator[Unfinished]:
        self.presence.require()
        return self.behind.unfinished()

    def mark(self, name: str) -> None:
        self.behind.mark(name)

    def has_mark(self, name: str) -> bool:
        return self.behind.has_mark(name)

    def probe(self) -> None:
        self.behind.probe()
        self.presence.check()

    @contextmanager
    def _missing_or_away(self) -> Iterator[None]:
        try:
            yield
        except ObjectMissing:
            self.presence.require()
            raise
