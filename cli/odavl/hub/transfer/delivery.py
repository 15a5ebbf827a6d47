"""One payload to the hub: envelope or raw body, then wait until the run can be read."""

from __future__ import annotations

import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Literal

import msgspec

from odavl.hub.transfer.chunks import SMALLEST_CHUNK, transfer
from odavl.hub.transfer.encoding import GZIP, Body, compressed, without_gzip
from odavl.hub.transfer.progress import OnTransfer, Progress
from odavl.hub.transfer.shipment import Shipment
from odavl.hub.transport import Answer, Call, HubClient, was_cut
from odavl.wire import limits
from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from odavl.wire.errors import (
    NotFound,
    OdavlError,
    PayloadTooLarge,
    RefusedError,
    TransientError,
)
from odavl.wire.problem import Problem, rebuild_error

LARGEST_ENVELOPED = 256 * limits.KIBIBYTE
"""A body up to this travels in an envelope: base64 costs a third more, which small ones bear."""

LONGEST_WAIT = 300.0
"""Seconds to watch a payload being taken in; it is stored already, so nothing hangs on them."""

FIRST_LOOK = 0.2
SLOWEST_LOOK = 2.0

_STORED = msgspec.json.Decoder(UploadStored)
_ACCEPTED = msgspec.json.Decoder(UploadAccepted)
_STATUS = msgspec.json.Decoder(UploadStatus)
_OPTIONS = msgspec.json.Decoder(UploadOptions)


@dataclass(frozen=True, kw_only=True)
class Delivery:
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


def deliver(
    client: HubClient,
    shipment: Shipment,
    options: UploadOptions,
    *,
    wait: bool = True,
    on_progress: Progress | None = None,
    on_transfer: OnTransfer | None = None,
) -> Delivery:
    """Send ``shipment`` and, where the hub takes it in later, watch until it is done.

    What is larger than the hub's chunks travels in chunks, and so does what a line that breaks
    does not let through in one piece; ``on_transfer`` is told how far they are.
    Raises what the hub tells, :class:`HubUnreachable` or :class:`NotTheHub`; when it raises
    nothing, the hub said that the payload is stored.
    """
    size = shipment.payload.size
    if size is None or size > options.chunk_size:
        answer = transfer(
            client, shipment, options, on_progress=on_progress, on_transfer=on_transfer
        )
    else:
        answer = _send_whole(client, shipment, options, on_progress)
    if answer.status != HTTPStatus.ACCEPTED:
        stored = answer.decode(_STORED)
        run_id = stored.run_id or stored.test_id
        return Delivery(upload_id=stored.upload_id, state="stored", url=stored.url, run_id=run_id)
    accepted = answer.decode(_ACCEPTED)
    if not wait:
        return Delivery(upload_id=accepted.upload_id, state="processing")
    return _watched(client, accepted, on_progress)


def _send_whole(
    client: HubClient, shipment: Shipment, options: UploadOptions, on_progress: Progress | None
) -> Answer:
    takes_gzip = GZIP in options.encodings
    as_taken = (
        compressed(shipment.payload, shipment.type)
        if takes_gzip
        else without_gzip(shipment.payload)
    )
    with as_taken as payload:
        try:
            return _send(client, shipment, payload, options, on_progress)
        except TransientError as error:
            if not was_cut(error) or payload.body_size <= SMALLEST_CHUNK:
                raise
            largest = max(payload.size // 8, SMALLEST_CHUNK)
    # The same Idempotency-Key: had it been taken in after all, this would give its answer.
    return transfer(client, shipment, options, on_progress=on_progress, largest=largest)


def _send(
    client: HubClient,
    shipment: Shipment,
    payload: Body,
    options: UploadOptions,
    on_progress: Progress | None,
) -> Answer:
    if payload.body_size <= LARGEST_ENVELOPED:
        body = _envelope(shipment, payload)
        if len(body) <= options.max_envelope_size:
            headers = {"Content-Type": "application/json"}
            return client.send(_call(shipment, body, len(body), headers, on_progress))
    if payload.body_size > options.max_upload_size:
        raise PayloadTooLarge(
            f"The payload takes {payload.body_size} bytes on the wire; "
            f"the hub takes {options.max_upload_size}."
        )
    return client.send(
        _call(
            shipment, payload.body, payload.body_size, _raw_headers(shipment, payload), on_progress
        )
    )


def _call(
    shipment: Shipment,
    body: bytes | IO[bytes],
    body_size: int,
    headers: dict[str, str],
    on_progress: Progress | None,
) -> Call:
    def on_sent(sent: int) -> None:
        if on_progress:
            on_progress("uploading", sent / max(body_size, 1))

    headers = {
        **headers,
        **shipment.headers(),
        "Idempotency-Key": shipment.idempotency_key,
    }
    return Call(
        method="POST",
        path=f"/upload/{shipment.product}",
        body=body,
        body_size=body_size,
        headers=headers,
        on_sent=on_sent,
    )


def _envelope(shipment: Shipment, payload: Body) -> bytes:
    return msgspec.json.encode(
        Envelope(
            type=shipment.type,
            data=b64encode(payload.read()).decode(),
            compressed=payload.encoding == GZIP,
            metadata=shipment.metadata,
            sha256=payload.name(),
        )
    )


def _raw_headers(shipment: Shipment, payload: Body) -> dict[str, str]:
    metadata = urlsafe_b64encode(msgspec.json.encode(shipment.metadata)).decode()
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Odavl-Type": shipment.type,
        "X-Odavl-Metadata": metadata,
        "X-Odavl-Sha256": payload.name(),
    }
    if payload.encoding == GZIP:
        headers["Content-Encoding"] = GZIP
    return headers


def _watched(client: HubClient, accepted: UploadAccepted, on_progress: Progress | None) -> Delivery:
    """The end of the work, or ``processing`` where watching fails: the payload is stored anyway."""
    try:
        status = _last_status(client, accepted.status_url, on_progress)
    except (OdavlError, KeyboardInterrupt):
        return Delivery(upload_id=accepted.upload_id, state="processing")
    if status.state == "failed":
        raise _failure(status)
    done = status.state == "completed"
    return Delivery(
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
