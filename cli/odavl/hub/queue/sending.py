"""Sending what is queued: by ``odavl sync process-queue``, and after what reached the hub.

The latter in passing: a little at once, the rest by a process of its own,
``python -m odavl.hub.queue.sending HOME ADDRESS ORGANIZATION [new-rights]`` (``-`` where the
organization is not known); the key comes through standard input, where no list of processes shows
it. Killed anywhere, it loses nothing: an item is removed once the hub has it, and what is sent
twice is taken once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from odavl.hub.private_files import open_private
from odavl.hub.queue.items import QueuedUpload, timestamp, with_failure
from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import LONGEST_RETRY_AFTER, ONCE, full_jitter
from odavl.hub.transfer.encoding import Body, Payload
from odavl.hub.transfer.progress import Progress
from odavl.hub.transfer.upload import Upload, send, upload_options
from odavl.hub.transport import STEP_SECONDS, HubClient
from odavl.wire import limits
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

_CONCERNS_ALL = (HubUnreachable, NotTheHub, NotAuthenticated, RateLimited)
"""Errors that the next item would meet as well."""

SECONDS = 3.0
"""After this much time no further item is begun in passing."""

LARGEST = 256 * limits.KIBIBYTE
"""An item of more bytes on the wire is not begun in passing."""

TIMEOUT = 5.0
"""Seconds for one step of a request that nobody asked for."""

PATIENT_SECONDS = 30.0
"""As :data:`SECONDS`, after an upload where nobody sits at a terminal: of any size."""

NEW_RIGHTS = "new-rights"
UNKNOWN = "-"

LEFT_ALONE = timedelta(hours=1)
"""What is held is tried unasked as often as this: rights and quotas change rarely."""

Choice = Callable[[QueuedUpload], bool]


def everything(_item: QueuedUpload) -> bool:
    return True


def _ignored(_what: str, _share: float) -> None:
    """Nobody wants to be told."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One item that is still there, and why."""

    item: QueuedUpload
    error: OdavlError


@dataclass(kw_only=True)
class QueueReport:
    """What became of one call. ``processed`` is ``succeeded`` and ``failed`` together.

    What was not chosen is in none of them.
    """

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
    choose: Choice
    on_progress: Progress
    options: UploadOptions | None = None

    def send(self, item: QueuedUpload, what: str) -> None:
        """Deliver ``item`` and remove it; raises what stood against it."""

        def on_progress(step: str, share: float) -> None:
            self.on_progress(f"{what}: {step}", share)

        if self.options is None:
            self.options = upload_options(self.client)
        body = open_private(self.queue.blob_path(item))
        if body is None:
            raise RefusedError("The snapshot of the payload is gone.")
        with body:
            payload = Body(
                body=body,
                body_size=item.bodySize,
                encoding=item.encoding,
                size=item.size,
                sha256=item.sha256,
            )
            if body.seek(0, 2) != item.bodySize:
                raise RefusedError("The snapshot of the payload is damaged.")
            upload = _upload(item, payload)
            send(self.client, upload, self.options, wait=False, on_progress=on_progress)
        self.queue.remove(item)


def process_queue(
    queue: UploadQueue,
    client: HubClient,
    *,
    rounds: int = len(PAUSES),
    wait: bool = True,
    choose: Choice = everything,
    on_progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> QueueReport:
    """Send what may go to the client's hub, in up to ``rounds`` attempts.

    The oldest first, but what was tried in vain behind what was not: one upload that no hub takes
    must not stand before all others. ``choose`` is asked just before each is sent. With ``wait``
    False it gives way to another process that is sending.
    """
    report = QueueReport()
    with queue.sending(wait=wait) as mine:
        if not mine:
            report.busy = True
            return report
        run = _Run(queue=queue, client=client, choose=choose, on_progress=on_progress or _ignored)
        pending = _waiting(queue, client, report)
        for attempt in range(rounds):
            pending.sort(key=lambda item: item.attempts)
            failures = list(_round(run, report, pending, PAUSES[min(attempt, len(PAUSES) - 1)]))
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
    pending: list[QueuedUpload] = []
    for item in queue.content().items:
        if item.state == "refused":
            told = str((item.lastError or {}).get("detail", "Refused by the hub."))
            report.set_aside.append(Failure(item=item, error=RefusedError(told)))
            continue
        error = hindrance(item, client)
        if error is None:
            pending.append(item)
        else:
            report.failures.append(Failure(item=item, error=error))
    return pending


def hindrance(item: QueuedUpload, client: HubClient) -> OdavlError | None:
    """Why ``item`` must not be sent now, and by this client; None where it may."""
    if item.hub != client.address:
        return HeldError(
            f"It was queued for {item.hub}, and the hub is now {client.address}.",
            hint=f"To send it: ODAVL_CLOUD_API={item.hub} odavl sync process-queue",
        )
    if (
        item.organizationId
        and (client.organization_id or item.organizationId) != item.organizationId
    ):
        return HeldError(
            f"It was queued for the organization {item.organizationId}, and you now act in "
            f"{client.organization_id}.",
            hint=f"To send it: odavl sync process-queue --organization {item.organizationId}, "
            "signed in to that one.",
        )
    if item.keyDigest and not client.has_key(item.keyDigest):
        return HeldError(
            "It was queued with another key, and nobody knows for which organization.",
            hint=f"To send it with this one: odavl sync queue --retry {item.id[:8]}",
        )
    asked_to_wait = (item.lastError or {}).get("retryAfter") is not None
    if item.state == "queued" and asked_to_wait and is_put_off(item):
        return RateLimited(f"The hub asked to wait until {item.nextAttemptAt}.")
    return None


def _round(
    run: _Run, report: QueueReport, pending: list[QueuedUpload], pause: float
) -> Iterator[Failure]:
    """Try each of ``pending`` once; what others of them would meet as well is not tried again."""
    met: list[Failure] = []
    for done, item in enumerate(pending):
        if not run.choose(item):
            continue
        if known := next((each.error for each in met if _concerns(each, item)), None):
            yield Failure(item=_unbound(run.queue, item, known), error=known)
            continue
        what = f"sending {done + 1} of {len(pending)}"
        run.on_progress(what, done / len(pending))
        try:
            run.send(item, what)
            report.succeeded += 1
        except OdavlError as error:
            failure = Failure(item=_noted(run.queue, item, error, pause), error=error)
            if isinstance(error, (*_CONCERNS_ALL, HeldError)):
                met.append(failure)
            yield failure


def _unbound(queue: UploadQueue, item: QueuedUpload, error: OdavlError) -> QueuedUpload:
    """``item`` without the key that it was queued with, where the hub says that it is none."""
    if not isinstance(error, NotAuthenticated) or item.keyDigest is None:
        return item
    changed = item._replace(keyDigest=None)
    queue.update(changed)
    return changed


def _concerns(failure: Failure, item: QueuedUpload) -> bool:
    """Whether ``item`` would fail as ``failure`` did; of what is held, where it is of the kind."""
    if isinstance(failure.error, _CONCERNS_ALL):
        return True
    # A smaller one may still fit into what is left of a quota.
    return _kind(item) == _kind(failure.item) and item.size >= failure.item.size


def _kind(item: QueuedUpload) -> tuple[object, ...]:
    metadata = item.metadata
    project = (metadata.get("projectId"), metadata.get("projectName"))
    return item.product, item.type, item.organizationId, *project


def _noted(queue: UploadQueue, item: QueuedUpload, error: OdavlError, pause: float) -> QueuedUpload:
    if isinstance(error, LocalStorageFailed):
        return item  # the disk that cannot be read will not take the note either
    seconds = error.retry_after if error.retry_after is not None else full_jitter(pause)
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    comes_again = error.retryable or error.retry_after is not None
    changed = with_failure(item, error, next_attempt_at=moment if comes_again else None)
    queue.update(changed)
    return changed


def _soon(failure: Failure) -> bool:
    return failure.error.retryable and (failure.error.retry_after or 0) <= LONGEST_PAUSE


def _pause(errors: list[OdavlError], attempt: int) -> float:
    """Seconds until the next attempt: never less than what the hub asked for."""
    if all(isinstance(error, RenewableError) for error in errors):
        return 0.0  # nothing has to pass: a new transfer or URL is there at once
    return max(full_jitter(PAUSES[attempt]), *(error.retry_after or 0.0 for error in errors))


def _upload(item: QueuedUpload, payload: Payload) -> Upload:
    try:
        metadata = msgspec.convert(item.metadata, UploadMetadata)
    except msgspec.ValidationError as error:
        raise RefusedError(f"The metadata of the queued upload is damaged: {error}.") from error
    return Upload(
        product=item.product,
        type=item.type,
        payload=payload,
        metadata=metadata,
        idempotency_key=item.idempotencyKey,
        organization_id=item.organizationId,
        project_id=item.projectId,
    )


def is_due(item: QueuedUpload, *, new_rights: bool = False) -> bool:
    """Whether ``item`` may be sent unasked; with ``new_rights`` also what waits for a person."""
    if item.state == "refused" or is_put_off(item):
        return False
    if item.state == "queued" or item.nextAttemptAt or new_rights:
        return True
    now = datetime.now(UTC)
    return not timestamp(now - LEFT_ALONE) < (item.lastAttemptAt or "") <= timestamp(now)


def is_put_off(item: QueuedUpload) -> bool:
    """Whether its next attempt lies ahead.

    A clock that was set back since the last attempt, or a time beyond what a hub may ask for, must
    not hold it for ever: neither is believed.
    """
    now = datetime.now(UTC)
    latest = timestamp(now + timedelta(seconds=LONGEST_RETRY_AFTER))
    return (item.lastAttemptAt or "") <= timestamp(now) < (item.nextAttemptAt or "") <= latest


@dataclass(frozen=True, kw_only=True)
class Sender:
    """For whom it goes out. ``new_rights``: what is held may be taken now."""

    home: Path
    address: str
    token: str
    organization_id: str | None = None
    new_rights: bool = False

    def client(self, timeout: float) -> HubClient:
        return HubClient(
            self.address,
            token=self.token,
            organization_id=self.organization_id,
            policy=ONCE,
            timeout=timeout,
        )


@dataclass(frozen=True, kw_only=True)
class SentInPassing:
    """What came of it. ``due`` were left for want of time, or because they are large."""

    sent: int = 0
    failed: int = 0
    due: int = 0


def send_in_passing(
    sender: Sender, *, patient: bool = False, now: Callable[[], float] = time.monotonic
) -> SentInPassing:
    """Send small items that are due for about :data:`SECONDS`; ``patient``, of any size and longer.

    Gives way to another process that is sending.
    """
    queue = UploadQueue(sender.home)
    due = [
        item
        for item in queue.content().items
        if item.hub == sender.address and is_due(item, new_rights=sender.new_rights)
    ]
    if not due:
        return SentInPassing()
    ends = now() + (PATIENT_SECONDS if patient else SECONDS)
    begun = set()
    with sender.client(STEP_SECONDS if patient else TIMEOUT) as client:
        ids = {item.id for item in due if hindrance(item, client) is None}

        def choose(item: QueuedUpload) -> bool:
            fits = patient or item.bodySize <= LARGEST
            chosen = item.id in ids and fits and now() < ends
            if chosen:
                begun.add(item.id)
            return chosen

        report = process_queue(queue, client, rounds=1, wait=False, choose=choose)
    if report.busy:
        return SentInPassing()
    failed = sum(failure.item.id in begun for failure in report.failures)
    return SentInPassing(sent=report.succeeded, failed=failed, due=len(ids - begun))


def send_in_background(sender: Sender) -> None:
    """Start a process that sends all that is due and ends. Raises :class:`OSError`."""
    # -P: a module of ours must not be looked for in the folder that the command was run in.
    arguments = [sys.executable, "-P", "-m", "odavl.hub.queue.sending", str(sender.home)]
    arguments += [sender.address, sender.organization_id or UNKNOWN]
    process = subprocess.Popen(
        [*arguments, NEW_RIGHTS] if sender.new_rights else arguments,
        cwd=sender.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(sender.token.encode())


def main(arguments: list[str], token: str) -> None:
    """What the process in the background does: one attempt for each item that is due."""
    home, address, organization, *more = arguments
    sender = Sender(
        home=Path(home),
        address=address,
        token=token,
        organization_id=None if organization == UNKNOWN else organization,
        new_rights=NEW_RIGHTS in more,
    )
    try:
        with sender.client(STEP_SECONDS) as client:
            process_queue(
                UploadQueue(sender.home),
                client,
                rounds=1,
                wait=False,
                choose=lambda item: is_due(item, new_rights=sender.new_rights),
            )
    except OdavlError:
        return  # whatever it was, the queue tells it


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.read())
