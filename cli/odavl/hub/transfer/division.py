"""A payload read once: cut, named, and as far as memory allows ready to be sent.

Names and gzip are made in threads beside the one that reads and cuts, chunk by chunk as they come;
both let go of the interpreter meanwhile. The last chunks are packed while the hub is asked what it
lacks.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from odavl.hub.transfer.chunking import chunks_of, parts
from odavl.hub.transfer.encoding import check_size
from odavl.wire import limits
from odavl.wire.errors import PayloadTooLarge
from odavl.wire.joinable import is_worth_compressing, joinable_pieces
from odavl.wire.transfer import Chunk

ROOM = 8 * limits.MEBIBYTE
"""For chunks that are packed before the hub has said whether it lacks them.

Of findings, fifty megabytes go into it. What has no room is read and packed when it is sent.
"""

_THREADS = 3
"""Two are busy in the mean; one more has something to do while they wait for the interpreter."""

Pack = Callable[[list[bytes]], bytes | None]
"""Of a chunk, in pieces, what travels; None where that is the chunk as it is."""


@dataclass(kw_only=True)
class Division:
    """``sha256`` is that of the whole."""

    chunks: list[Chunk] = field(default_factory=list)
    sha256: str = ""
    packing: dict[str, Future[bytes | None]] = field(default_factory=dict)
    """By name; some may still be under way."""

    @property
    def size(self) -> int:
        return sum(chunk.size for chunk in self.chunks)

    def packed(self, name: str) -> bytes | None:
        """What travels of that chunk, given out once; None where it must be read again."""
        packing = self.packing.pop(name, None)
        return packing.result() if packing else None


def divided(pieces: Iterable[bytes], *, largest: int, pack: Pack, room: int = ROOM) -> Division:
    """``pieces``, which are the payload's bytes, in chunks of at most ``largest``.

    Raises :class:`PayloadTooLarge` for more bytes or chunks than a hub may take.
    """
    division = Division()
    whole = hashlib.sha256()
    working: deque[tuple[Future[Chunk], Future[bytes | None]]] = deque()

    def note() -> Future[bytes | None]:
        naming, packing = working.popleft()
        chunk = naming.result()
        division.chunks.append(chunk)
        return division.packing.setdefault(chunk.sha256, packing)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        for chunk_pieces in chunks_of(_hashed(pieces, whole), largest=largest):
            if len(division.chunks) + len(working) == limits.MAX_CHUNKS:
                raise PayloadTooLarge(f"The payload makes more than {limits.MAX_CHUNKS} chunks.")
            naming: Future[Chunk] = Future()
            packing = pool.submit(_ready, chunk_pieces, naming, pack if room > 0 else as_it_is)
            working.append((naming, packing))
            if len(working) > _THREADS:
                room -= len(note().result() or b"")
        while working:
            note()
    finally:
        pool.shutdown(wait=False)
    division.sha256 = whole.hexdigest()
    return division


def _ready(pieces: list[bytes], naming: Future[Chunk], pack: Pack) -> bytes | None:
    try:
        naming.set_result(name(pieces))
    except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
        naming.set_exception(error)
        return None
    return pack(pieces)


def joinable(pieces: list[bytes]) -> bytes | None:
    """The form that the hub keeps, so that it need not make it; None for what stays as large."""
    # The first piece is what the chunk before has left of one, maybe a few bytes.
    first = b"".join(pieces[:2])
    if not is_worth_compressing(first):
        return None
    return b"".join(joinable_pieces([first, *pieces[2:]]))


def as_it_is(_pieces: list[bytes]) -> None:
    """For what is compressed already, and for a hub that takes no gzip."""
    return


def _hashed(pieces: Iterable[bytes], whole: hashlib._Hash) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        check_size(size)
        # Here the other threads get their turn with the interpreter.
        whole.update(piece)
        yield piece


def named(pieces: Iterable[bytes], sizes: Iterable[int]) -> list[Chunk]:
    """The chunks of ``sizes`` that ``pieces`` have."""
    return [name(part) for part in parts(pieces, sizes)]


def name(pieces: Iterable[bytes]) -> Chunk:
    """The chunk that ``pieces`` are."""
    digest = hashlib.sha256()
    size = 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Chunk(digest.hexdigest(), size)
