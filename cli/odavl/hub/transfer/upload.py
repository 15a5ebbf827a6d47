"""``upload``: to the hub, or into the queue; what is said about it is what happened."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from odavl.hub.queue.items import digest_of_key
from odavl.hub.queue.sending import PAUSES
from odavl.hub.queue.store import (
    QueuedUpload,
    UploadQueue,
    new_item_id,
    state_of,
    timestamp,
    with_failure,
)
from odavl.hub.transfer.delivery import deliver, upload_options
from odavl.hub.transfer.encoding import Body, Payload, Pieces, compressed, opened
from odavl.hub.transfer.progress import OnTransfer, Progress
from odavl.hub.transfer.shipment import Shipment
from odavl.hub.transport import STEP_SECONDS, HubClient
from odavl.wire.api_keys import is_well_formed
from odavl.wire.envelope import Product, UploadMetadata
from odavl.wire.errors import (
    HeldError,
    NotAuthenticated,
    OdavlError,
    RefusedError,
    RenewableError,
    TransientError,
)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The hub to upload to, and with what. ``token`` None: nobody is signed in, so it is held."""

    address: str
    token: str | None
    organization_id: str | None
    home: Path
    timeout: float = STEP_SECONDS
    """Seconds for one step of an exchange."""
    project_id: str | None = None
    """The one project that the token is bound to, where that is known."""


@dataclass(frozen=True, kw_only=True)
class UploadResult:
    """What became of one upload.

    ``stored``: the hub has it, and its run can be read; ``processing``: the hub has it and is
    taking it in; ``queued`` and ``held``: it lies in the offline queue; ``refused``: it was not
    taken and will not be.
    """

    state: Literal["stored", "processing", "queued", "held", "refused"]
    upload_id: str | None = None
    run_id: str | None = None
    url: str | None = None
    error: OdavlError | None = None
    queued: bool = False

    @property
    def success(self) -> bool:
        return self.state in {"stored", "processing"}

    @property
    def retryable(self) -> bool:
        return self.error is not None and self.error.retryable

    @property
    def exit_code(self) -> int:
        return 0 if self.error is None else self.error.exit_code

    def document(self) -> dict[str, Any]:
        """The result for machines."""
        error = self.error
        return {
            "success": self.success,
            "state": self.state,
            "uploadId": self.upload_id,
            "runId": self.run_id,
            "url": self.url,
            "error": {"code": error.code, "detail": error.detail} if error else None,
            "retryable": self.retryable,
            "queued": self.queued,
        }


def upload(
    destination: Destination,
    product: Product,
    upload_type: str,
    payload: bytes | Path | Pieces,
    *,
    metadata: UploadMetadata,
    source: Path | None = None,
    silent: bool = False,
    wait: bool = True,
    on_progress: Progress | None = None,
    on_transfer: OnTransfer | None = None,
) -> UploadResult:
    """Send ``payload``; what cannot be sent now is queued. What is queued already can wait.

    A ``payload`` that can be called gives its pieces: it is called whenever they are needed, and
    must give the same ones. ``source`` is the file that a person knows the payload by.
    ``on_progress`` is told in words what goes on, ``on_transfer`` in figures how far the chunks of
    a large payload are; both from the threads that send, many times a second, and both should be
    back soon. Ctrl-C queues as well. A payload that the hub refuses is not queued, except for a
    ``silent`` upload, whose refusal nobody would see. Raises :class:`LocalStorageFailed` where it
    could neither be sent nor queued; a ``silent`` upload raises nothing of the kind, as what it
    goes with must not fail.
    """
    shown = source or (payload if isinstance(payload, Path) else None)
    try:
        with opened(payload, upload_type) as ready:
            shipment = _shipment(destination, product, upload_type, ready, metadata)
            try:
                return _sent(
                    destination,
                    shipment,
                    wait=wait,
                    on_progress=on_progress,
                    on_transfer=on_transfer,
                )
            except (TransientError, RenewableError, HeldError, RefusedError) as error:
                failure: OdavlError = error
            except KeyboardInterrupt:
                failure = TransientError("The upload was interrupted.")
            state = state_of(failure)
            if state == "refused" and not silent:
                return UploadResult(state=state, error=failure)
            _queue(destination, shipment, failure, shown, on_progress)
            return UploadResult(state=state, error=failure, queued=True)
    except OdavlError as error:
        if not silent:
            raise
        return UploadResult(state="refused", error=error)


def _sent(
    destination: Destination,
    shipment: Shipment,
    *,
    wait: bool,
    on_progress: Progress | None,
    on_transfer: OnTransfer | None,
) -> UploadResult:
    with _client(destination) as client:
        options = upload_options(client)
        delivery = deliver(
            client, shipment, options, wait=wait, on_progress=on_progress, on_transfer=on_transfer
        )
    return UploadResult(
        state=delivery.state,
        upload_id=delivery.upload_id,
        run_id=delivery.run_id,
        url=delivery.url,
    )


def put_off(
    destination: Destination,
    product: Product,
    upload_type: str,
    payload: Path,
    *,
    metadata: UploadMetadata,
    error: OdavlError,
    silent: bool = False,
    on_progress: Progress | None = None,
) -> UploadResult:
    """Queue ``payload`` without a try, because of the ``error`` that another one met just now.

    Raises as :func:`upload` does.
    """
    try:
        with opened(payload, upload_type) as ready:
            shipment = _shipment(destination, product, upload_type, ready, metadata)
            _queue(destination, shipment, error, payload, on_progress)
    except OdavlError as failure:
        if not silent:
            raise
        return UploadResult(state="refused", error=failure)
    return UploadResult(state=state_of(error), error=error, queued=True)


def _shipment(
    destination: Destination,
    product: Product,
    upload_type: str,
    payload: Payload,
    metadata: UploadMetadata,
) -> Shipment:
    return Shipment(
        product=product,
        type=upload_type,
        payload=payload,
        metadata=metadata,
        idempotency_key=uuid.uuid4().hex,
        organization_id=destination.organization_id,
        project_id=destination.project_id,
    )


def _client(destination: Destination) -> HubClient:
    if destination.token is None:
        raise NotAuthenticated(
            f"Nobody is signed in to {destination.address}.", hint="Run: odavl login --token -"
        )
    return HubClient(
        destination.address,
        token=destination.token,
        organization_id=destination.organization_id,
        timeout=destination.timeout,
    )


def _queue(
    destination: Destination,
    shipment: Shipment,
    error: OdavlError,
    source: Path | None,
    on_progress: Progress | None,
) -> None:
    queue = UploadQueue(destination.home)
    # The file may have changed since it was first read; what is queued is what it holds now.
    with compressed(shipment.payload, shipment.type, on_progress) as snapshot:
        item = _item(destination, shipment, snapshot)
        shown = source.absolute() if source else queue.blob_path(item)
        comes_again = error.retryable or error.retry_after is not None
        moment = datetime.now(UTC) + timedelta(seconds=error.retry_after or PAUSES[0])
        failed = with_failure(
            item._replace(filePath=str(shown)),
            error,
            next_attempt_at=moment if comes_again else None,
        )
        queue.add(failed, snapshot.body)


def _item(destination: Destination, shipment: Shipment, snapshot: Body) -> QueuedUpload:
    is_same = snapshot.name() == shipment.payload.name()
    return QueuedUpload(
        id=new_item_id(),
        product=shipment.product,
        type=shipment.type,
        filePath="",
        metadata=msgspec.to_builtins(shipment.metadata),
        hub=destination.address,
        organizationId=destination.organization_id,
        projectId=destination.project_id,
        keyDigest=_digest_where_nobody_knows_whose(destination),
        idempotencyKey=shipment.idempotency_key if is_same else uuid.uuid4().hex,
        encoding=snapshot.encoding,
        size=snapshot.size,
        bodySize=snapshot.body_size,
        sha256=snapshot.name(),
        createdAt=timestamp(),
    )


def _digest_where_nobody_knows_whose(destination: Destination) -> str | None:
    """A key from the environment says nothing of its organization: only the same key is safe.

    What is no key at all, such as a placeholder, is no organization's.
    """
    if destination.organization_id is not None or destination.token is None:
        return None
    if not is_well_formed(destination.token):
        return None
    return digest_of_key(destination.token)
