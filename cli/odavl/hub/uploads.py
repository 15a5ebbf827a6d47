"""Uploads: to the hub, or into the queue; what is said about one is what happened.

:func:`upload` sends one payload, :func:`upload_files` those of a run: its result aloud, what lies
beside it in silence.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from odavl.hub.queue.items import QueuedUpload, new_item_id, state_of, timestamp, with_failure
from odavl.hub.queue.sending import PAUSES
from odavl.hub.queue.store import UploadQueue
from odavl.hub.run_files import RunFile, RunProduct
from odavl.hub.transfer.encoding import Body, Payload, Pieces, compressed, opened
from odavl.hub.transfer.progress import OnTransfer, Progress
from odavl.hub.transfer.upload import Upload, send, upload_options
from odavl.hub.transport import STEP_SECONDS, HubClient, digest_of_key
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

    def document(self) -> dict[str, object]:
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
        with opened(payload, upload_type) as content:
            ready = _upload(destination, product, upload_type, content, metadata)
            try:
                return _sent(
                    destination,
                    ready,
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
            _queue(destination, ready, failure, shown, on_progress)
            return UploadResult(state=state, error=failure, queued=True)
    except OdavlError as error:
        if not silent:
            raise
        return UploadResult(state="refused", error=error)


def _sent(
    destination: Destination,
    ready: Upload,
    *,
    wait: bool,
    on_progress: Progress | None,
    on_transfer: OnTransfer | None,
) -> UploadResult:
    with _client(destination) as client:
        options = upload_options(client)
        receipt = send(
            client, ready, options, wait=wait, on_progress=on_progress, on_transfer=on_transfer
        )
    return UploadResult(
        state=receipt.state, upload_id=receipt.upload_id, run_id=receipt.run_id, url=receipt.url
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
        with opened(payload, upload_type) as content:
            ready = _upload(destination, product, upload_type, content, metadata)
            _queue(destination, ready, error, payload, on_progress)
    except OdavlError as failure:
        if not silent:
            raise
        return UploadResult(state="refused", error=failure)
    return UploadResult(state=state_of(error), error=error, queued=True)


def _upload(
    destination: Destination,
    product: Product,
    upload_type: str,
    payload: Payload,
    metadata: UploadMetadata,
) -> Upload:
    return Upload(
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
    ready: Upload,
    error: OdavlError,
    source: Path | None,
    on_progress: Progress | None,
) -> None:
    queue = UploadQueue(destination.home)
    # The file may have changed since it was first read; what is queued is what it holds now.
    with compressed(ready.payload, ready.type, on_progress) as snapshot:
        item = _item(destination, ready, snapshot)
        shown = source.absolute() if source else queue.blob_path(item)
        comes_again = error.retryable or error.retry_after is not None
        moment = datetime.now(UTC) + timedelta(seconds=error.retry_after or PAUSES[0])
        failed = with_failure(
            item._replace(filePath=str(shown)),
            error,
            next_attempt_at=moment if comes_again else None,
        )
        queue.add(failed, snapshot.body)


def _item(destination: Destination, ready: Upload, snapshot: Body) -> QueuedUpload:
    is_same = snapshot.name() == ready.payload.name()
    return QueuedUpload(
        id=new_item_id(),
        product=ready.product,
        type=ready.type,
        filePath="",
        metadata=msgspec.to_builtins(ready.metadata),
        hub=destination.address,
        organizationId=destination.organization_id,
        projectId=destination.project_id,
        keyDigest=_digest_where_nobody_knows_whose(destination),
        idempotencyKey=ready.idempotency_key if is_same else uuid.uuid4().hex,
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


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one file."""

    file: RunFile
    result: UploadResult


@dataclass(frozen=True, kw_only=True)
class ProjectName:
    """The project that uploads go to; with neither, the key's own or the default one."""

    id: str | None = None
    name: str | None = None


def upload_files(
    destination: Destination,
    product: RunProduct,
    files: Sequence[RunFile],
    *,
    project: ProjectName,
    wait: bool = True,
    on_progress: Progress | None = None,
    on_sent: Callable[[Sent], None] | None = None,
) -> list[Sent]:
    """Send ``files`` in their order; what cannot be sent now is queued.

    Once the hub is found away or holds something against the sender, the rest is queued without
    another try: none of it would fare better, and each try takes its time.

    Raises :class:`LocalStorageFailed` and :class:`UsageError` for a file that could neither be
    sent nor queued, unless it is silent.
    """
    sent: list[Sent] = []
    stopped: OdavlError | None = None
    for file in files:
        metadata = _metadata(product, file, project)
        if stopped is not None:
            result = put_off(
                destination,
                product,
                file.type,
                file.path,
                metadata=metadata,
                error=stopped,
                silent=file.silent,
                on_progress=on_progress,
            )
        else:
            result = upload(
                destination,
                product,
                file.type,
                file.path,
                metadata=metadata,
                silent=file.silent,
                wait=wait and not file.silent,
                on_progress=on_progress,
            )
        if isinstance(result.error, TransientError | HeldError):
            stopped = result.error
        sent.append(Sent(file=file, result=result))
        if on_sent is not None:
            on_sent(sent[-1])
    return sent


def exit_code(sent: Sequence[Sent]) -> int:
    """The worst of what was not silent."""
    return max((each.result.exit_code for each in sent if not each.file.silent), default=0)


def _metadata(product: RunProduct, file: RunFile, project: ProjectName) -> UploadMetadata:
    return UploadMetadata(
        project_id=project.id,
        project_name=project.name,
        timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        file_name=file.path.name,
        run_id=file.run_id if product == "autopilot" else None,
        test_run_id=file.run_id if product == "guardian" else None,
    )
