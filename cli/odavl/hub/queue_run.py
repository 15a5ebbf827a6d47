"""Sending what is queued: by ``odavl sync process-queue``, and before the next upload."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from odavl.hub.delivery import deliver, upload_options
from odavl.hub.payload import Payload
from odavl.hub.private_files import open_private
from odavl.hub.queue import QueuedUpload, UploadQueue, timestamp, with_failure
from odavl.hub.retry import full_jitter
from odavl.hub.shipment import Shipment
from odavl.hub.transport import HubClient
from odavl.wire.envelope import UploadMetadata, UploadOptions
from odavl.wire.errors import (
    HeldError,
    HubUnreachable,
    LocalStorageFailed,
    NotAuthenticated,
    NotTheHub,
    OdavlError,
    RateLimited,
    RefusedError,
    RenewableError,
)

PAUSES = (1.0, 5.0, 15.0)
"""Most seconds after the first, second and third attempt of one call (full jitter)."""

LONGEST_PAUSE = 30.0
"""Seconds; an item whose ``Retry-After`` asks for more is left for the next call."""

_CONCERNS_ALL = (HubUnreachable, NotTheHub, NotAuthenticated)
"""Errors that the next item would meet as well."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One item that is still there, and why."""

    item: QueuedUpload
    error: OdavlError


@dataclass(kw_only=True)
class QueueReport:
    """What became of one call. ``processed`` is ``succeeded`` and ``failed`` together."""

    succeeded: int = 0
    failures: list[Failure] = field(default_factory=list)
    set_aside: list[Failure] = field(default_factory=list)
    """What was refused in an earlier call: kept and named, not tried again."""
    busy: bool = False
    """Another process was sending, so this one did nothing."""

    @property
    def processed(self) -> int:
        return self.succeeded + self.failed

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def exit_code(self) -> int:
        """0 where all is gone, else the gravest of what remains."""
        return max((failure.error.exit_code for failure in self.failures), default=0)


@dataclass(kw_only=True)
class _Run:
    queue: UploadQueue
    client: HubClient
    on_item: Callable[[int, int], None]
    options: UploadOptions | None = None

    def send(self, item: QueuedUpload) -> None:
        """Deliver ``item`` and remove it; raises what stood against it."""
        if self.options is None:
            self.options = upload_options(self.client)
        body = open_private(self.queue.blob_path(item))
        if body is None:
            raise RefusedError("The snapshot of the payload is gone.")
        with body:
            payload = Payload(
                body=body,
                body_size=item.bodySize,
                encoding=item.encoding,
                size=item.size,
                sha256=item.sha256,
            )
            if body.seek(0, 2) != item.bodySize:
                raise RefusedError("The snapshot of the payload is damaged.")
            deliver(self.client, _shipment(item, payload), self.options, wait=False)
        self.queue.remove(item)


def process_queue(
    queue: UploadQueue,
    client: HubClient,
    *,
    rounds: int = len(PAUSES),
    wait: bool = True,
    on_item: Callable[[int, int], None] = lambda _done, _total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> QueueReport:
    """Send everything that may go to the client's hub, oldest first, in up to ``rounds`` attempts.

    With ``wait`` False it gives way to another process that is sending. ``on_item`` is told how
    many are done, and of how many.
    """
    report = QueueReport()
    with queue.sending(wait=wait) as mine:
        if not mine:
            report.busy = True
            return report
        run = _Run(queue=queue, client=client, on_item=on_item)
        pending = _waiting(queue, client, report)
        for attempt in range(rounds):
            failures = list(_round(run, pending, PAUSES[min(attempt, len(PAUSES) - 1)]))
            report.succeeded += len(pending) - len(failures)
            again = [f.item for f in failures if attempt + 1 < rounds and _soon(f)]
            kept = {item.id for item in again}
            report.failures += [f for f in failures if f.item.id not in kept]
            if not again:
                break
            sleep(_pause([f.error for f in failures if f.item.id in kept], attempt))
            pending = again
    return report


def _waiting(queue: UploadQueue, client: HubClient, report: QueueReport) -> list[QueuedUpload]:
    """What may be sent now; what must not be goes into ``report`` with the reason."""
    now = timestamp()
    pending: list[QueuedUpload] = []
    for item in queue.content().items:
        if item.state == "refused":
            told = str((item.lastError or {}).get("detail", "Refused by the hub."))
            report.set_aside.append(Failure(item=item, error=RefusedError(told)))
            continue
        error = _hindrance(item, client, now)
        if error is None:
            pending.append(item)
        else:
            report.failures.append(Failure(item=item, error=error))
    return pending


def _hindrance(item: QueuedUpload, client: HubClient, now: str) -> OdavlError | None:
    if item.hub != client.address:
        return HeldError(
            f"It was queued for {item.hub}, and the hub is now {client.address}.",
            hint=f"To send it: ODAVL_CLOUD_API={item.hub} odavl sync process-queue",
        )
    asked_to_wait = (item.lastError or {}).get("retryAfter") is not None
    if asked_to_wait and (item.nextAttemptAt or "") > now:
        return RateLimited(f"The hub asked to wait until {item.nextAttemptAt}.")
    return None


def _round(run: _Run, pending: list[QueuedUpload], pause: float) -> Iterator[Failure]:
    """Try each of ``pending`` once; what hinders all ends the round without a try of the rest."""
    ended_by: OdavlError | None = None
    for done, item in enumerate(pending):
        run.on_item(done, len(pending))
        if ended_by is not None:
            yield Failure(item=item, error=ended_by)
            continue
        try:
            run.send(item)
        except OdavlError as error:
            yield Failure(item=_noted(run.queue, item, error, pause), error=error)
            if isinstance(error, _CONCERNS_ALL):
                ended_by = error


def _noted(queue: UploadQueue, item: QueuedUpload, error: OdavlError, pause: float) -> QueuedUpload:
    if isinstance(error, LocalStorageFailed):
        return item  # the disk that cannot be read will not take the note either
    seconds = error.retry_after if error.retry_after is not None else full_jitter(pause)
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    changed = with_failure(item, error, next_attempt_at=moment if error.retryable else None)
    queue.update(changed)
    return changed


def _soon(failure: Failure) -> bool:
    return failure.error.retryable and (failure.error.retry_after or 0) <= LONGEST_PAUSE


def _pause(errors: list[OdavlError], attempt: int) -> float:
    """Seconds until the next attempt: never less than what the hub asked for."""
    if all(isinstance(error, RenewableError) for error in errors):
        return 0.0  # nothing has to pass: a new transfer or URL is there at once
    return max(full_jitter(PAUSES[attempt]), *(error.retry_after or 0.0 for error in errors))


def _shipment(item: QueuedUpload, payload: Payload) -> Shipment:
    try:
        metadata = msgspec.convert(item.metadata, UploadMetadata)
    except msgspec.ValidationError as error:
        raise RefusedError(f"The metadata of the queued upload is damaged: {error}.") from error
    return Shipment(
        product=item.product,
        type=item.type,
        payload=payload,
        metadata=metadata,
        idempotency_key=item.idempotencyKey,
        organization_id=item.organizationId,
    )
