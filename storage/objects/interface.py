"""What the hub asks of the place where its bytes lie.

Keys are paths of ASCII words (:func:`check_key`). Every method raises
:class:`~odavl.wire.errors.ServiceUnavailable` where the store does not answer even after retries
and :class:`~odavl.wire.errors.StorageFull` where it has no room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from odavl.wire.limits import KIBIBYTE, MEBIBYTE

PIECE_SIZE = 256 * KIBIBYTE
PART_SIZE = 8 * MEBIBYTE
"""What a remote store is sent at once, and what is held in memory meanwhile."""
PAGE_SIZE = 1000
"""Objects in a page of a listing; no store gives more at once."""
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MAX_KEY_LENGTH = 500


MARKS = ".stores/"
"""Below it lie marks, which are no objects: no key begins with a dot."""


class ObjectMissing(LookupError):
    """There is no object of that key, or no such multipart upload."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that whoever holds it may make, once it has every one of ``headers``."""

    url: str
    method: str
    expires_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """``size`` in bytes; ``content_type`` empty where the store keeps none."""

    size: int
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that arrived; ``tag`` is the store's own name for its content."""

    number: int
    size: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it: ``size`` in bytes, the moment by the store's clock."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """``next`` is the cursor of what follows, empty behind the last object."""

    objects: Sequence[Listed]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload in parts that was neither completed nor aborted; ``key`` empty if not known."""

    upload_id: str
    key: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class UploadTerms:
    """What a signed upload must be: its exact size and type and, if given, SHA-256 in hex."""

    size: int
    content_type: str
    sha256: str = ""


class Staged(Protocol):
    """Bytes that are safe in the store and have no key yet."""

    size: int

    def publish(self, key: str, *, content_type: str = "") -> None:
        """Make them the object of ``key``, whole or not at all; once."""


class ObjectStore(Protocol):
    """Bytes by key."""

    name: str
    is_near: bool
    """Whether what is staged is published in no time: it may be done within a transaction."""
    binds: frozenset[str]
    """Which of ``size``, ``type`` and ``digest`` its signed uploads enforce by themselves."""

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        """Write an object, whole or not at all; its size. One of that key is replaced."""

    def stage(self, pieces: Iterable[bytes]) -> AbstractContextManager[Staged]:
        """Take ``pieces`` in, one at a time; what is not published by the block's end is gone."""

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start``; :class:`ObjectMissing` at the call, not at the first piece."""

    def facts(self, key: str) -> ObjectFacts:
        """Size and type; :class:`ObjectMissing`."""

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """In bytes; :class:`ObjectMissing`."""

    def delete(self, key: str) -> None:
        """No error where there is none."""

    def move(self, source: str, target: str) -> None:
        """Give an object another key. Done again after it was done, it changes nothing.

        Raises :class:`ObjectMissing` where neither key has one.
        """

    def listing(self, *, prefix: str = "", cursor: str = "", at_most: int = PAGE_SIZE) -> Listing:
        """A page of the objects whose keys begin with ``prefix``, each once, in any fixed order.

        What is written or deleted meanwhile may or may not be in it; everything else is.
        :class:`ValueError` for a cursor that the store does not take (any more).
        """

    def sign_upload(self, key: str, terms: UploadTerms, *, seconds: int) -> SignedRequest: ...

    def sign_download(
        self, key: str, *, file_name: str, content_type: str, seconds: int
    ) -> SignedRequest:
        """A GET that gives the object under ``file_name``, to be saved, not shown."""

    def start_multipart(self, key: str, *, content_type: str) -> str:
        """The id of an upload in parts."""

    def sign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedRequest:
        """A PUT of one part; parts are numbered from 1."""

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """Those that arrived, by number; :class:`ObjectMissing` without such an upload."""

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the object of ``parts``, in their order."""

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Forget the parts; no error where there are none."""

    def unfinished(self) -> Iterator[Unfinished]:
        """Uploads in parts that lie about; none where the store itself lets them go in time."""

    def mark(self, name: str) -> None:
        """Leave a mark by which this store is known again; it goes with the objects."""

    def has_mark(self, name: str) -> bool: ...

    def probe(self) -> None:
        """Find out quickly whether objects could be kept now; raise where they could not."""


def check_key(key: str) -> str:
    """``key``; :class:`ValueError` for one that a folder or an address could misread."""
    if len(key) > _MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of an object.")
    return key


def in_parts(pieces: Iterable[bytes], size: int = PART_SIZE) -> Iterator[bytes]:
    """``pieces`` joined and cut anew: each of ``size`` bytes, the last one of what is left."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
