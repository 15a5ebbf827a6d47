"""One payload to the hub: in an envelope, as a raw body or in chunks, until its run can be read.

In chunks means: what the hub lacks, up to four at a time, in bounded memory. There is no state of
our own to keep: the same announcement with the same ``Idempotency-Key`` is the same transfer, and
its answer tells what is missing. So a transfer that was interrupted anywhere, on either side, goes
on by being begun again. The payload is read from where it lies, once to name its chunks
(:mod:`odavl.hub.transfer.chunking`) and, for what is missing and was not packed by then, once more.
On a line that breaks before a chunk is through, what is missing is cut finer.
"""

from __future__ import annotations

import io
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Literal

import msgspec

from odavl.hub.parallel import in_parallel
from odavl.hub.retry import ONCE, RetryPolicy
from odavl.hub.transfer.chunking import (
    Chunked,
    Pack,
    as_it_is,
    in_chunks,
    joinable,
    name,
    named,
    parts,
)
from odavl.hub.transfer.encoding import (
    ALREADY_COMPRESSED,
    GZIP,
    Body,
    Payload,
    compressed,
    without_gzip,
)
from odavl.hub.transfer.progress import Meter, OnTransfer, Progress, followed
from odavl.hub.transport import Answer, Call, HubClient, was_cut
from odavl.wire import limits
from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadMetadata,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from odavl.wire.errors import (
    NotFound,
    OdavlError,
    PayloadTooLarge,
    RefusedError,
    RenewableError,
    TransientError,
)
from odavl.wire.problem import Problem, rebuild_error
from odavl.wire.transfer import Chunk, TransferEnd, TransferRequest, TransferStarted

LARGEST_ENVELOPED = 256 * limits.KIBIBYTE
"""A body up to this travels in an envelope: base64 costs a third more, which small ones bear."""

LONGEST_WAIT = 300.0
"""Seconds to watch a payload being taken in; it is stored already, so nothing hangs on them."""

FIRST_LOOK = 0.2
SLOWEST_LOOK = 2.0

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
_STORED = msgspec.json.Decoder(UploadStored)
_ACCEPTED = msgspec.json.Decoder(UploadAccepted)
_STATUS = msgspec.json.Decoder(UploadStatus)
_OPTIONS = msgspec.json.Decoder(UploadOptions)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What is sent. The same ``idempotency_key`` never makes a second run."""

    product: str
    type: str
    payload: Payload
    metadata: UploadMetadata
    idempotency_key: str
    organization_id: str | None = None
    project_id: str | None = None
    """The one project that the sender's key was bound to."""

    def headers(self) -> dict[str, str]:
        """Whose it is. The hub refuses a key of another organization or project.

        So a sign-in to one, after this was queued for the other, cannot carry the payload across.
        """
        named = {"X-Organization-Id": self.organization_id, "X-Project-Id": self.project_id}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The hub has it. While ``processing`` the run cannot be read yet."""

    upload_id: str
    state: Literal["stored", "processing"]
    url: str | None = None
    run_id: str | None = None


def upload_options(client: HubClient) -> UploadOptions:
    """What the hub asks of uploads; the documented defaults where it does not say."""
    try:
        return client.get("/upload/options").decode(_OPTIONS)
    except NotFound:
        return UploadOptions()


def send(
    client: HubClient,
    upload: Upload,
    options: UploadOptions,
    *,
    wait: bool = True,
    on_progress: Progress | None = None,
    on_transfer: OnTransfer | None = None,
) -> Receipt:
    """Send ``upload`` and, where the hub takes it in later, watch until it is done.

    What is larger than the hub's chunks travels in chunks, and so does what a line that breaks
    does not let through in one piece; ``on_transfer`` is told how far they are.
    Raises what the hub tells, :class:`HubUnreachable` or :class:`NotTheHub`; when it raises
    nothing, the hub said that the payload is stored.
    """
    size = upload.payload.size
    if size is None or size > options.chunk_size:
        answer = _send_in_chunks(
            client, upload, options, on_progress=on_progress, on_transfer=on_transfer
        )
    else:
        answer = _send_whole(client, upload, options, on_progress)
    if answer.status != HTTPStatus.ACCEPTED:
        stored = answer.decode(_STORED)
        run_id = stored.run_id or stored.test_id
        return Receipt(upload_id=stored.upload_id, state="stored", url=stored.url, run_id=run_id)
    accepted = answer.decode(_ACCEPTED)
    if not wait:
        return Receipt(upload_id=accepted.upload_id, state="processing")
    return _watched(client, accepted, on_progress)


def _send_whole(
    client: HubClient, upload: Upload, options: UploadOptions, on_progress: Progress | None
) -> Answer:
    ready = (
        compressed(upload.payload, upload.type)
        if GZIP in options.encodings
        else without_gzip(upload.payload)
    )
    with ready as body:
        try:
            return client.send(_whole(upload, body, options, on_progress))
        except TransientError as error:
            if not was_cut(error) or body.body_size <= SMALLEST_CHUNK:
                raise
            largest = max(body.size // 8, SMALLEST_CHUNK)
    # The same Idempotency-Key: had it been taken in after all, this would give its answer.
    return _send_in_chunks(client, upload, options, on_progress=on_progress, largest=largest)


def _whole(
    upload: Upload, body: Body, options: UploadOptions, on_progress: Progress | None
) -> Call:
    """One request with all of it: in an envelope where that is small, else raw.

    Raises :class:`PayloadTooLarge` for more than the hub takes in one.
    """
    content: bytes | IO[bytes]
    envelope = _envelope(upload, body) if body.body_size <= LARGEST_ENVELOPED else b""
    if envelope and len(envelope) <= options.max_envelope_size:
        content, size, headers = envelope, len(envelope), {"Content-Type": "application/json"}
    elif body.body_size <= options.max_upload_size:
        content, size, headers = body.body, body.body_size, _raw_headers(upload, body)
    else:
        raise PayloadTooLarge(
            f"The payload takes {body.body_size} bytes on the wire; "
            f"the hub takes {options.max_upload_size}."
        )

    def on_sent(sent: int) -> None:
        if on_progress:
            on_progress("uploading", sent / max(size, 1))

    return Call(
        method="POST",
        path=f"/upload/{upload.product}",
        body=content,
        body_size=size,
        headers={**headers, **upload.headers(), "Idempotency-Key": upload.idempotency_key},
        on_sent=on_sent,
    )


def _envelope(upload: Upload, body: Body) -> bytes:
    return msgspec.json.encode(
        Envelope(
            type=upload.type,
            data=b64encode(body.read()).decode(),
            compressed=body.encoding == GZIP,
            metadata=upload.metadata,
            sha256=body.name(),
        )
    )


def _raw_headers(upload: Upload, body: Body) -> dict[str, str]:
    metadata = urlsafe_b64encode(msgspec.json.encode(upload.metadata)).decode()
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Odavl-Type": upload.type,
        "X-Odavl-Metadata": metadata,
        "X-Odavl-Sha256": body.name(),
    }
    if body.encoding == GZIP:
        headers["Content-Encoding"] = GZIP
    return headers


def _watched(client: HubClient, accepted: UploadAccepted, on_progress: Progress | None) -> Receipt:
    """The end of the work, or ``processing`` where watching fails: the payload is stored anyway."""
    try:
        status = _last_status(client, accepted.status_url, on_progress)
    except (OdavlError, KeyboardInterrupt):
        return Receipt(upload_id=accepted.upload_id, state="processing")
    if status.state == "failed":
        raise _failure(status)
    done = status.state == "completed"
    return Receipt(
        upload_id=accepted.upload_id,
        state="stored" if done else "processing",
        url=status.url,
        run_id=status.run_id or status.test_id,
    )


def _last_status(client: HubClient, status_url: str, on_progress: Progress | None) -> UploadStatus:
    deadline = time.monotonic() + LONGEST_WAIT
    pause = FIRST_LOOK
    while True:
        status = client.get(status_url).decode(_STATUS)
        if on_progress:
            on_progress("processing", status.progress / 100)
        if status.state in {"completed", "failed"} or time.monotonic() >= deadline:
            return status
        client.pause(pause)
        pause = min(pause * 1.5, SLOWEST_LOOK)


def _failure(status: UploadStatus) -> OdavlError:
    """What the hub's job told. It is never retryable: the same upload would replay the answer."""
    try:
        problem = msgspec.convert(status.problem, Problem)
    except msgspec.ValidationError:
        return RefusedError("The hub took the upload and could not read it.")
    error = rebuild_error(problem)
    return RefusedError(error.detail) if error.retryable else error


def _send_in_chunks(
    client: HubClient,
    upload: Upload,
    options: UploadOptions,
    *,
    on_progress: Progress | None = None,
    on_transfer: OnTransfer | None = None,
    largest: int | None = None,
) -> Answer:
    """The hub's answer to the end of a transfer of ``upload``; ``largest`` bounds its chunks.

    Raises what the hub tells, :class:`HubUnreachable`, :class:`NotTheHub`, and
    :class:`TransientError` where the payload changes while it is read.
    """
    size = min(largest or options.chunk_size, options.chunk_size, LARGEST_CHUNK)
    payload = upload.payload
    takes_gzip = GZIP in options.encodings and upload.type not in ALREADY_COMPRESSED
    pack = joinable if takes_gzip else as_it_is
    reading = followed(payload.pieces(), "reading", payload.size, on_progress)
    chunked = in_chunks(reading, largest=size, pack=pack)
    payload.sha256 = payload.sha256 or chunked.sha256
    meter = Meter(chunked.size, on_progress, on_transfer)
    return _Transfer(client, upload, options, chunked, pack, meter).run()


class _LineBroke(Exception):
    """A chunk did not come through whole, however often it was sent."""


@dataclass(slots=True)
class _Outgoing:
    """A chunk on its way. ``data`` is its content, or what ``encoding`` makes of it."""

    chunk: Chunk
    data: bytes
    encoding: str = ""


@dataclass
class _Transfer:
    client: HubClient
    upload: Upload
    options: UploadOptions
    chunked: Chunked
    pack: Pack
    meter: Meter

    @property
    def chunks(self) -> list[Chunk]:
        return self.chunked.chunks

    def run(self) -> Answer:
        begun = 0
        while True:
            try:
                return self._try_once()
            except _LineBroke as broken:
                self._cut_finer(broken)
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
        self._send(missing, started.upload_id)
        end = msgspec.json.encode(TransferEnd(upload_id=started.upload_id))
        return self._call("finalize", end)

    def _begun(self) -> TransferStarted:
        request = TransferRequest(
            type=self.upload.type,
            size=self.chunked.size,
            # What was queued is announced by that name: the hub finds out whether it is damaged.
            sha256=self.upload.payload.name(),
            chunks=self.chunks,
            file_name=self.upload.metadata.file_name or "",
            metadata=self.upload.metadata,
        )
        return self._call("init", msgspec.json.encode(request)).decode(_STARTED)

    def _call(self, step: str, body: bytes) -> Answer:
        """One request below the product's address, tried again as a chunk is."""
        headers = {
            **self.upload.headers(),
            "Content-Type": "application/json",
            "Idempotency-Key": self.upload.idempotency_key,
        }
        path = f"/upload/{self.upload.product}/{step}"
        call = Call(method="POST", path=path, body=body, headers=headers)
        return self.client.send(call, policy=POLICY)

    def _send(self, missing: set[str], upload_id: str) -> None:
        """Up to four chunks at once; raises the first failure, once no other is on its way."""
        stopped = threading.Event()
        count = min(limits.MAX_CONCURRENCY, self.options.max_concurrency)

        def put(each: _Outgoing) -> None:
            self._put(each, upload_id, stopped)

        try:
            for _ in in_parallel(put, self._outgoing(missing), count, stopped=stopped):
                """Each tells the meter itself how far it is."""
        finally:
            stopped.set()

    def _put(self, each: _Outgoing, upload_id: str, stopped: threading.Event) -> None:
        chunk = each.chunk
        if not each.encoding and (packed := self.pack([each.data])) is not None:
            each.data, each.encoding = packed, GZIP
        body_size = len(each.data)
        headers = {**self.upload.headers(), "Content-Type": "application/octet-stream"}
        if each.encoding:
            headers["Content-Encoding"] = each.encoding
        call = Call(
            method="PUT",
            path=f"/upload/{self.upload.product}/{upload_id}/chunks/{chunk.sha256}",
            body=_Stoppable(each.data, stopped),
            body_size=body_size,
            headers=headers,
            on_sent=lambda sent: self.meter.note(
                chunk.sha256, chunk.size * sent // max(body_size, 1)
            ),
        )
        self._send_patiently(call, chunk, stopped)
        self.meter.note(chunk.sha256, chunk.size)

    def _send_patiently(self, call: Call, chunk: Chunk, stopped: threading.Event) -> None:
        attempt = 1
        while True:
            try:
                self.client.send(call, policy=ONCE)
            except TransientError as error:
                pause = POLICY.pause(attempt, error.retry_after)
                if pause is None:
                    if was_cut(error) and chunk.size > SMALLEST_CHUNK:
                        raise _LineBroke from error
                    raise
            else:
                return
            if stopped.wait(pause):
                raise TransientError("The transfer has stopped.")
            attempt += 1

    def _outgoing(self, wanted: set[str]) -> Iterator[_Outgoing]:
        """One for each chunk of ``wanted``; the bytes of one that is to be packed are in memory.

        Raises :class:`TransientError` where they are not the ones that were announced.
        """
        left = set(wanted)
        for chunk in self.chunks:
            packed = self.chunked.packed(chunk.sha256)
            if packed is not None and chunk.sha256 in left:
                left.remove(chunk.sha256)
                yield _Outgoing(chunk, packed, GZIP)
        if left:
            yield from self._read_again(left)

    def _read_again(self, left: set[str]) -> Iterator[_Outgoing]:
        sizes = [chunk.size for chunk in self.chunks]
        for chunk, part in zip(
            self.chunks, parts(self.upload.payload.pieces(), sizes), strict=True
        ):
            if chunk.sha256 not in left:
                continue
            if name(part) != chunk:
                raise TransientError("The file changed while it was being sent.")
            yield _Outgoing(chunk, b"".join(part))
            left.remove(chunk.sha256)
            if not left:
                return

    def _cut_finer(self, broken: _LineBroke) -> None:
        """Divide what is missing; raises the reason of ``broken`` where it is small enough."""
        missing = set(self._begun().missing)
        size = max((chunk.size for chunk in self.chunks if chunk.sha256 in missing), default=0)
        finer = max(size // _FINER, SMALLEST_CHUNK, 1 + self._size_of(missing) // limits.MAX_CHUNKS)
        if finer >= size:
            raise broken.__cause__ or TransientError("The connection breaks.")
        sizes: list[int] = []
        for chunk in self.chunks:
            sizes += _even(chunk.size, finer) if chunk.sha256 in missing else [chunk.size]
        self.chunked.chunks = named(self.upload.payload.pieces(), sizes)
        self.chunked.packing.clear()

    def _size_of(self, names: set[str]) -> int:
        return sum(chunk.size for chunk in self.chunks if chunk.sha256 in names)


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
