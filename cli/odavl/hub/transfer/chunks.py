"""A large payload in chunks: what the hub lacks, up to four at a time, in bounded memory.

There is no state of our own to keep: the same announcement with the same ``Idempotency-Key`` is the
same transfer, and its answer tells what is missing. So a transfer that was interrupted anywhere, on
either side, goes on by being begun again.

The payload is read from where it lies, once to name its chunks
(:mod:`odavl.hub.transfer.division`) and, for what is missing and was not packed by then, once more.
On a line that breaks before a chunk is through, what is missing is cut finer.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from odavl.hub.retry import ONCE, RetryPolicy
from odavl.hub.transfer.chunking import parts
from odavl.hub.transfer.division import Division, Pack, as_it_is, divided, joinable, name, named
from odavl.hub.transfer.encoding import ALREADY_COMPRESSED, GZIP
from odavl.hub.transfer.progress import Meter, OnTransfer, Progress, followed
from odavl.hub.transfer.shipment import Shipment
from odavl.hub.transport import Answer, Call, HubClient, was_cut
from odavl.wire import limits
from odavl.wire.envelope import UploadOptions
from odavl.wire.errors import NotFound, RenewableError, TransientError
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
    payload = shipment.payload
    takes_gzip = GZIP in options.encodings and shipment.type not in ALREADY_COMPRESSED
    pack = joinable if takes_gzip else as_it_is
    reading = followed(payload.pieces(), "reading", payload.size, on_progress)
    division = divided(reading, largest=size, pack=pack)
    payload.sha256 = payload.sha256 or division.sha256
    meter = Meter(division.size, on_progress, on_transfer)
    return _Transfer(client, shipment, options, division, pack, meter).run()


class _CutOff(Exception):
    """A chunk did not come through whole, however often it was sent."""


@dataclass(slots=True)
class _Parcel:
    """A chunk on its way. ``data`` is its content, or what ``encoding`` makes of it."""

    chunk: Chunk
    data: bytes
    encoding: str = ""


@dataclass
class _Transfer:
    client: HubClient
    shipment: Shipment
    options: UploadOptions
    division: Division
    pack: Pack
    meter: Meter

    @property
    def chunks(self) -> list[Chunk]:
        return self.division.chunks

    def run(self) -> Answer:
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
        request = TransferRequest(
            type=self.shipment.type,
            size=self.division.size,
            # What was queued is announced by that name: the hub finds out whether it is damaged.
            sha256=self.shipment.payload.name(),
            chunks=self.chunks,
            file_name=self.shipment.metadata.file_name or "",
            metadata=self.shipment.metadata,
        )
        return self.call("POST", "init", msgspec.json.encode(request)).decode(_STARTED)

    def call(self, method: str, step: str, body: bytes) -> Answer:
        """One request below the product's address, tried again as a chunk is."""
        headers = {
            **self.shipment.headers(),
            "Content-Type": "application/json",
            "Idempotency-Key": self.shipment.idempotency_key,
        }
        path = f"/upload/{self.shipment.product}/{step}"
        return self.client.send(Call(method=method, path=path, body=body, headers=headers),
                                policy=POLICY)  # fmt: skip

    def parcels(self, wanted: set[str]) -> Iterator[_Parcel]:
        """One for each chunk of ``wanted``; the bytes of one that is to be packed are in memory.

        Raises :class:`TransientError` where they are not the ones that were announced.
        """
        left = set(wanted)
        for chunk in self.chunks:
            packed = self.division.packed(chunk.sha256)
            if packed is not None and chunk.sha256 in left:
                left.remove(chunk.sha256)
                yield _Parcel(chunk, packed, GZIP)
        if left:
            yield from self._read_again(left)

    def _read_again(self, left: set[str]) -> Iterator[_Parcel]:
        sizes = [chunk.size for chunk in self.chunks]
        for chunk, part in zip(
            self.chunks, parts(self.shipment.payload.pieces(), sizes), strict=True
        ):
            if chunk.sha256 not in left:
                continue
            if name(part) != chunk:
                raise TransientError("The file changed while it was being sent.")
            yield _Parcel(chunk, b"".join(part))
            left.remove(chunk.sha256)
            if not left:
                return

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
        self.division.chunks = named(self.shipment.payload.pieces(), sizes)
        self.division.packing.clear()

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
            parcels = self._whole.parcels(missing)
            # The slot first: a chunk that waited for one would be one more in memory.
            while self._free() and (parcel := next(parcels, None)) is not None:
                # As daemons they do not keep a command that was interrupted.
                threading.Thread(target=self._work, args=(parcel,), daemon=True).start()
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

    def _work(self, parcel: _Parcel) -> None:
        try:
            self._put(parcel)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            self._failures.append(error)
            self._stopped.set()
        finally:
            self._slots.release()

    def _put(self, parcel: _Parcel) -> None:
        chunk = parcel.chunk
        if not parcel.encoding and (packed := self._whole.pack([parcel.data])) is not None:
            parcel.data, parcel.encoding = packed, GZIP
        body, body_size = _Stoppable(parcel.data, self._stopped), len(parcel.data)
        headers = {**self._whole.shipment.headers(), "Content-Type": "application/octet-stream"}
        if parcel.encoding:
            headers["Content-Encoding"] = parcel.encoding
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


class _Stoppable(io.BytesIO):
    """A body that breaks off once the transfer has stopped."""

    def __init__(self, data: bytes, stopped: threading.Event) -> None:
        super().__init__(data)
        self._stopped = stopped

    def read(self, size: int | None = -1, /) -> bytes:
        if self._stopped.is_set():
            raise TransientError("The transfer has stopped.")
        return super().read(size)


def _even(size: int, largest: int) -> list[int]:
    whole, rest = divmod(size, largest)
    return [largest] * whole + ([rest] if rest else [])
