"""A large payload in chunks: what the hub lacks, up to four at a time, in bounded memory.

There is no state of our own to keep: the same announcement with the same ``Idempotency-Key`` is the
same transfer, and its answer tells what is missing. So a transfer that was interrupted anywhere, on
either side, goes on by being begun again.

The payload is streamed from where it lies, once to name its chunks and once more to send those that
are missing. On a line that breaks before a chunk is through, what is missing is cut finer.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from odavl.hub.cutting import cut
from odavl.hub.payload import ALREADY_COMPRESSED, GZIP
from odavl.hub.progress import Meter, OnTransfer, Progress, followed
from odavl.hub.retry import ONCE, RetryPolicy
from odavl.hub.shipment import Shipment
from odavl.hub.transport import Answer, Call, HubClient, was_cut
from odavl.wire import limits
from odavl.wire.envelope import UploadOptions
from odavl.wire.errors import (
    NotFound,
    PayloadTooLarge,
    RenewableError,
    TransientError,
)
from odavl.wire.joinable import is_worth_compressing, joinable_pieces
from odavl.wire.transfer import Chunk, TransferEnd, TransferRequest, TransferStarted

SMALLEST_CHUNK = 16 * limits.KIBIBYTE
"""What breaks on the way is not cut finer than this."""

LARGEST_CHUNK = 32 * limits.MEBIBYTE
"""Whatever a hub would take: up to four are in memory at a time."""

POLICY = RetryPolicy(attempts=4)
"""For each chunk, also where the transfer as a whole is tried once."""

_FINER = 8
_AFRESH = 3
"""How often a transfer is begun again that the hub has dropped in the meantime."""

_PIECE = 256 * limits.KIBIBYTE
_STARTED = msgspec.json.Decoder(TransferStarted)


def transfer(
    client: HubClient,
    shipment: Shipment,
    options: UploadOptions,
    *,
    on_progress: Progress | None = None,
    on_transfer: OnTransfer | None = None,
    largest: int | None = None,
) -> Answer:
    """The hub's answer to the end of a transfer of ``shipment``; ``largest`` bounds its chunks.

    Raises what the hub tells, :class:`HubUnreachable`, :class:`NotTheHub`, and
    :class:`TransientError` where the payload changes while it is read.
    """
    size = min(largest or options.chunk_size, options.chunk_size, LARGEST_CHUNK)
    known = Meter(shipment.payload.size, on_progress, on_transfer)
    return _Transfer(client, shipment, options, known, on_progress).run(size)


class _CutOff(Exception):
    """A chunk did not come through whole, however often it was sent."""


@dataclass
class _Transfer:
    client: HubClient
    shipment: Shipment
    options: UploadOptions
    meter: Meter
    on_progress: Progress | None
    chunks: list[Chunk] = field(default_factory=list)

    def run(self, largest: int) -> Answer:
        self.chunks = self._named(cut(self._followed("dividing"), largest=largest))
        begun = 0
        while True:
            try:
                return self._try_once()
            except _CutOff as cut_off:
                self._cut_finer(cut_off)
            except (RenewableError, NotFound) as error:
                begun += 1
                if begun > _AFRESH or not self.chunks:
                    raise
                if isinstance(error, NotFound) and begun > 1:
                    raise

    def _try_once(self) -> Answer:
        started = self._begun()
        missing = set(started.missing)
        self.meter.begin(self.meter.total - self._size_of(missing))
        if missing:
            _Sending(self, started.upload_id).send(missing)
        end = msgspec.json.encode(TransferEnd(upload_id=started.upload_id))
        return self.call("POST", "finalize", end)

    def _begun(self) -> TransferStarted:
        payload = self.shipment.payload
        request = TransferRequest(
            type=self.shipment.type,
            size=payload.size,
            sha256=payload.sha256,
            chunks=self.chunks,
            file_name=self.shipment.metadata.file_name or "",
            metadata=self.shipment.metadata,
        )
        return self.call("POST", "init", msgspec.json.encode(request)).decode(_STARTED)

    def call(self, method: str, step: str, body: bytes) -> Answer:
        """One request below the product's address, tried again as a chunk is."""
        headers = {
            **self.headers(),
            "Content-Type": "application/json",
            "Idempotency-Key": self.shipment.idempotency_key,
        }
        path = f"/upload/{self.shipment.product}/{step}"
        return self.client.send(Call(method=method, path=path, body=body, headers=headers),
                                policy=POLICY)  # fmt: skip

    def headers(self) -> dict[str, str]:
        if self.shipment.organization_id:
            return {"X-Organization-Id": self.shipment.organization_id}
        return {}

    def bytes_of(self, wanted: set[str]) -> Iterator[tuple[Chunk, bytes]]:
        """Each chunk of ``wanted`` with its bytes, once, in order; one is in memory at a time.

        Raises :class:`TransientError` where they are not the ones that were announced.
        """
        left = set(wanted)
        for chunk, pieces in zip(self.chunks, self._divided(self.chunks), strict=False):
            if chunk.sha256 in left:
                data = b"".join(pieces)
                if hashlib.sha256(data).hexdigest() != chunk.sha256:
                    raise TransientError("The file changed while it was being sent.")
                left.remove(chunk.sha256)
                yield chunk, data
            if not left:
                return
        raise TransientError("The file became shorter while it was being sent.")

    def _pieces(self) -> Iterator[bytes]:
        return self.shipment.payload.pieces()

    def _followed(self, what: str) -> Iterator[bytes]:
        return followed(self._pieces(), what, self.shipment.payload.size, self.on_progress)

    def _divided(self, chunks: Iterable[Chunk]) -> Iterator[Iterator[bytes]]:
        return _divided(self._pieces(), (chunk.size for chunk in chunks))

    def _named(self, sizes: Iterable[int]) -> list[Chunk]:
        known = list(islice(sizes, limits.MAX_CHUNKS + 1))
        if len(known) > limits.MAX_CHUNKS:
            raise PayloadTooLarge(f"The payload makes more than {limits.MAX_CHUNKS} chunks.")
        named = []
        whole = self._followed("naming chunks")
        for size, pieces in zip(known, _divided(whole, known), strict=False):
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            named.append(Chunk(digest.hexdigest(), size))
        return named

    def _cut_finer(self, cut_off: _CutOff) -> None:
        """Divide what is missing; raises the reason of ``cut_off`` where it is small enough."""
        missing = set(self._begun().missing)
        size = max((chunk.size for chunk in self.chunks if chunk.sha256 in missing), default=0)
        finer = max(size // _FINER, SMALLEST_CHUNK, 1 + self._size_of(missing) // limits.MAX_CHUNKS)
        if finer >= size:
            raise cut_off.__cause__ or TransientError("The connection breaks.")
        sizes: list[int] = []
        for chunk in self.chunks:
            sizes += _even(chunk.size, finer) if chunk.sha256 in missing else [chunk.size]
        self.chunks = self._named(sizes)

    def _size_of(self, names: set[str]) -> int:
        return sum(chunk.size for chunk in self.chunks if chunk.sha256 in names)


class _Sending:
    """Up to four chunks on their way at once. Its threads end with it, whatever happens."""

    def __init__(self, whole: _Transfer, upload_id: str) -> None:
        self._whole = whole
        self._upload_id = upload_id
        self._count = max(1, min(limits.MAX_CONCURRENCY, whole.options.max_concurrency))
        self._slots = threading.Semaphore(self._count)
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []

    def send(self, missing: set[str]) -> None:
        """Send the chunks of these names; raises the first failure, once all threads are done."""
        try:
            chunks = self._whole.bytes_of(missing)
            # The slot first: a chunk that waited for one would be one more in memory.
            while self._free() and (taken := next(chunks, None)) is not None:
                # As daemons they do not keep a command that was interrupted.
                threading.Thread(target=self._work, args=(list(taken),), daemon=True).start()
                del taken
            # One slot is ours by now; the others come free as their chunks are through.
            for _ in range(self._count - 1):
                self._slots.acquire()
        finally:
            self._stopped.set()
        if self._failures:
            raise self._failures[0]

    def _free(self) -> bool:
        """Wait for a slot and take it; False where a chunk has failed."""
        self._slots.acquire()
        return not self._failures

    def _work(self, taken: list[Chunk | bytes]) -> None:
        try:
            self._put(taken)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            self._failures.append(error)
            self._stopped.set()
        finally:
            self._slots.release()

    def _put(self, taken: list[Any]) -> None:
        """Send ``[chunk, bytes]``, out of which the bytes are taken: nobody else holds them."""
        body, encoding = self._encoded(taken.pop())
        (chunk,) = taken
        body_size = body.seek(0, io.SEEK_END)
        headers = {**self._whole.headers(), "Content-Type": "application/octet-stream"}
        if encoding:
            headers["Content-Encoding"] = encoding
        call = Call(
            method="PUT",
            path=f"/upload/{self._whole.shipment.product}/{self._upload_id}/chunks/{chunk.sha256}",
            body=body,
            body_size=body_size,
            headers=headers,
            on_sent=lambda sent: self._whole.meter.note(
                chunk.sha256, chunk.size * sent // max(body_size, 1)
            ),
        )
        self._send_patiently(call, chunk)
        self._whole.meter.note(chunk.sha256, chunk.size)

    def _send_patiently(self, call: Call, chunk: Chunk) -> None:
        attempt = 1
        while True:
            try:
                self._whole.client.send(call, policy=ONCE)
            except TransientError as error:
                pause = POLICY.pause(attempt, error.retry_after)
                if pause is None:
                    if was_cut(error) and chunk.size > SMALLEST_CHUNK:
                        raise _CutOff from error
                    raise
            else:
                return
            if self._stopped.wait(pause):
                raise TransientError("The transfer has stopped.")
            attempt += 1

    def _encoded(self, data: bytes) -> tuple[_Stoppable, str]:
        """As it crosses the wire. What does not become smaller is sent as it is."""
        shipment, options = self._whole.shipment, self._whole.options
        if GZIP not in options.encodings or shipment.type in ALREADY_COMPRESSED:
            return _Stoppable(data, self._stopped), ""
        if not is_worth_compressing(data):
            return _Stoppable(data, self._stopped), ""
        # In the form that the hub keeps: it need not compress the chunk a second time.
        with memoryview(data) as view:
            parts = (view[at : at + _PIECE] for at in range(0, len(data), _PIECE))
            return _Stoppable(b"".join(joinable_pieces(parts)), self._stopped), GZIP


class _Stoppable(io.BytesIO):
    """A body that breaks off once the transfer has stopped."""

    def __init__(self, data: bytes, stopped: threading.Event) -> None:
        super().__init__(data)
        self._stopped = stopped

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped.is_set():
            raise TransientError("The transfer has stopped.")
        return super().read(size)


def _divided(pieces: Iterator[bytes], sizes: Iterable[int]) -> Iterator[Iterator[bytes]]:
    """The bytes of ``pieces`` in parts of ``sizes``; a part not read to its end is passed over."""
    rest = b""

    def part(size: int) -> Iterator[bytes]:
        nonlocal rest
        left = size
        while left:
            piece = rest or next(pieces, b"")
            if not piece:
                return
            rest, piece = piece[left:], piece[:left]
            left -= len(piece)
            yield piece

    for size in sizes:
        current = part(size)
        yield current
        for _ in current:
            pass


def _even(size: int, largest: int) -> list[int]:
    whole, rest = divmod(size, largest)
    return [largest] * whole + ([rest] if rest else [])
