"""From chunks that have all arrived to an upload like any other.

Finalize answers once and for ever: the answer is kept with the transfer, in the transaction that
does what it promises. A small payload is checked and handed over within it; a large one by a job,
whose work is again one transaction. A process that dies at any point leaves either all or nothing.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

import msgspec
from django.db import transaction

from accounts.admission import Stage
from accounts.idempotency import Answer
from accounts.principal import Principal
from frame.database.clock import database_now
from jobs.claims import Claim
from jobs.models import Job
from jobs.services import enqueue
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.envelope import UploadAccepted
from odavl.wire.errors import (
    ChunksMissing,
    DigestMismatch,
    OdavlError,
    RefusedError,
    ServiceUnavailable,
    TransferExpired,
)
from odavl.wire.problem import Problem, problem_of, rebuild_error
from storage import joining
from storage import services as storage
from storage.models import StoredObject
from uploads.contents import Content, StoredContent, content_of
from uploads.models import Transfer, TransferChunk, TransferState, Upload
from uploads.queries import missing_chunks, transfer_address
from uploads.services import (
    RequestKey,
    admit,
    answer_once,
    dispatch,
    place,
    same_as_transfer,
    status_for,
)
from uploads.transfers import LEASE, hold_known

ASSEMBLY_JOB = "uploads.assemble"
_ALL = 100
_OTHER_DIGEST = "The payload's SHA-256 is not the one that was announced."


@dataclass(frozen=True, slots=True)
class _Whole:
    """A payload whose chunks were read and checked, before the transaction that takes it in.

    ``content`` are its bytes, where they are at hand; ``placed`` is for one that its parts cannot
    stand for. ``problem`` is what was found wrong, if those are the parts still.
    """

    parts: Sequence[StoredObject]
    crc32: int
    content: Content | None = None
    placed: storage.Placed | None = None
    problem: RefusedError | None = None


def finalize(*, principal: Principal, transfer: Transfer) -> Answer:
    """What was or is answered to the end of ``transfer``: 201, or 202 where a job takes it in.

    Raises :class:`ChunksMissing`, :class:`TransferExpired`, what admission checks and
    :func:`~accounts.idempotency.run_within` raises, and for a small payload what is wrong with it.
    """
    with _read_ahead(principal, transfer) as whole:
        return _finalized(principal, transfer, whole)


@transaction.atomic
def _finalized(principal: Principal, transfer: Transfer, whole: _Whole | None) -> Answer:
    locked = _locked(transfer.pk)
    if locked.answer is not None:
        return Answer(locked.answer_status or HTTPStatus.OK, bytes(locked.answer), replayed=True)
    if locked.state == TransferState.EXPIRED:
        raise TransferExpired("The transfer has expired or was dropped: begin a new one.")
    hold_known(principal, locked)
    missing = missing_chunks(locked)
    if missing:
        raise ChunksMissing(f"{len(missing)} chunks have not arrived.", missing=tuple(missing))
    answer = answer_once(
        principal, locked.project, _request(locked), lambda: _ingested(principal, locked, whole)
    )
    if locked.state == TransferState.OPEN:
        # The same upload came before in one request, and that was its answer.
        _end(locked, TransferState.DONE)
    locked.answer_status, locked.answer = answer.status, answer.body
    locked.save(update_fields=["answer_status", "answer", "state", "job_id", "chunk_count"])
    return answer


def run_assembly(claim: Claim) -> None:
    """Check the whole, keep it, hand it over; done already is done."""
    transfer = Transfer.across_organizations.select_related("organization").get(
        pk=claim.payload["transferId"]
    )
    if transfer.state == TransferState.FAILED:
        raise _refusal(transfer)
    if transfer.state != TransferState.ASSEMBLING:
        return
    parts = _parts(transfer)
    try:
        with _checked_whole(transfer, parts, claim.progress) as whole, transaction.atomic():
            locked = _locked(transfer.pk)
            if locked.state != TransferState.ASSEMBLING:
                return
            _dispatched(locked, whole)
            locked.save(update_fields=["state", "chunk_count"])
            claim.guard()
    except RefusedError as error:
        with transaction.atomic():
            _fail(transfer.pk, msgspec.to_builtins(problem_of(error)))
            claim.guard()
        raise


def give_up(job: Job) -> None:
    """The job will not be tried again."""
    problem = job.error or msgspec.to_builtins(problem_of(RefusedError("The job was cancelled.")))
    _fail(UUID(job.payload["transferId"]), problem)


def retry(job: Job) -> None:
    """A person wants the job run again; possible while the chunks are there."""
    transfer = _locked(UUID(job.payload["transferId"]))
    if transfer.state != TransferState.FAILED:
        return
    if not TransferChunk.objects.belonging_to(transfer=transfer).exists():
        raise _refusal(transfer)
    transfer.state, transfer.problem = TransferState.ASSEMBLING, None
    transfer.save(update_fields=["state", "problem"])


def _ingested(principal: Principal, transfer: Transfer, whole: _Whole | None) -> tuple[int, bytes]:
    admit(principal, transfer, stage=Stage.UPLOAD, size=transfer.size)
    if _is_small(transfer):
        if whole is None or whole.parts != _parts(transfer):
            raise _changed()
        if whole.problem is not None:
            raise whole.problem
        return _dispatched(transfer, whole)
    answer = _enqueued(transfer)
    return status_for(answer), msgspec.json.encode(answer)


def _enqueued(transfer: Transfer) -> UploadAccepted:
    job = enqueue(
        organization=transfer.organization,
        job_type=ASSEMBLY_JOB,
        payload={"transferId": str(transfer.pk)},
        project=transfer.project,
    )
    transfer.state, transfer.job_id = TransferState.ASSEMBLING, job.pk
    return UploadAccepted(
        upload_id=str(transfer.pk), job_id=str(job.pk), status_url=transfer_address(transfer)
    )


def _dispatched(transfer: Transfer, whole: _Whole) -> tuple[int, bytes]:
    stored = _whole_object(transfer, whole)
    upload = Upload(
        id=transfer.pk,
        organization=transfer.organization,
        project_id=transfer.project_id,
        api_key_id=transfer.api_key_id,
        product=transfer.product,
        type=transfer.type,
        metadata=transfer.metadata,
        stored=stored,
    )
    answered = None
    if transfer.answer is not None:
        answered = transfer.answer_status or HTTPStatus.ACCEPTED, bytes(transfer.answer)
    told = dispatch(
        upload,
        whole.content or StoredContent(stored),
        request=_request(transfer),
        answered=answered,
    )
    _end(transfer, TransferState.DONE)
    return told


def _request(transfer: Transfer) -> RequestKey:
    return RequestKey(transfer.idempotency_key, same_as_transfer(transfer))


def _whole_object(transfer: Transfer, whole: _Whole) -> StoredObject:
    """The whole as one object: made of its chunks, or of their bytes where they cannot be joined.

    Those are contents that the organization had already as something else than a chunk.
    """
    if whole.placed is not None:
        return storage.keep_placed(whole.placed)
    if len(whole.parts) == 1:
        return whole.parts[0]
    return joining.join(
        organization=transfer.organization,
        parts=whole.parts,
        sha256=transfer.sha256,
        size=transfer.size,
        crc32=whole.crc32,
    )


def _is_small(transfer: Transfer) -> bool:
    return transfer.size <= limits.MAX_INLINE_INFLATED_SIZE


@contextmanager
def _read_ahead(principal: Principal, transfer: Transfer) -> Iterator[_Whole | None]:
    """A small payload, if it is all there: its bytes are had before anything is locked."""
    if not _is_small(transfer) or transfer.state != TransferState.OPEN:
        yield None
        return
    with transaction.atomic():
        hold_known(principal, transfer)
    if missing_chunks(transfer):
        yield None
        return
    parts = _parts(transfer)
    data = b"".join(piece for part in parts for piece in _inflated(part))
    if sha256_hex(data) != transfer.sha256:
        # Or it has ended meanwhile, and its chunks are let go.
        yield _Whole(parts, 0, problem=DigestMismatch(_OTHER_DIGEST))
        return
    with ExitStack() as opened:
        content = opened.enter_context(content_of(data, compressed=False))
        yield _whole(opened, transfer, parts, zlib.crc32(data), content)


@contextmanager
def _checked_whole(
    transfer: Transfer, parts: Sequence[StoredObject], on_progress: Callable[[int], None]
) -> Iterator[_Whole]:
    crc32 = _crc32_of(transfer, parts, on_progress)
    with ExitStack() as opened:
        content = None
        if not _can_be_joined(parts):
            inflated = (piece for part in parts for piece in _inflated(part))
            content = opened.enter_context(content_of(inflated, compressed=False))
        yield _whole(opened, transfer, parts, crc32, content)


def _whole(
    opened: ExitStack,
    transfer: Transfer,
    parts: Sequence[StoredObject],
    crc32: int,
    content: Content | None,
) -> _Whole:
    placed = None
    if content is not None and not _can_be_joined(parts):
        placed = opened.enter_context(place(transfer.organization, content))
    return _Whole(parts, crc32, content, placed)


def _can_be_joined(parts: Sequence[StoredObject]) -> bool:
    return len(parts) == 1 or (bool(parts) and all(part.joinable for part in parts))


def _crc32_of(
    transfer: Transfer,
    parts: Sequence[StoredObject],
    on_progress: Callable[[int], None],
) -> int:
    """The CRC-32 of the whole; :class:`DigestMismatch` where it is not what was announced."""
    digest = hashlib.sha256()
    crc32 = told = 0
    for number, part in enumerate(parts):
        for piece in _inflated(part):
            digest.update(piece)
            crc32 = zlib.crc32(piece, crc32)
        percent = _ALL * number // len(parts)
        if percent > told:
            told = percent
            on_progress(percent)
    if digest.hexdigest() != transfer.sha256:
        raise DigestMismatch(_OTHER_DIGEST)
    return crc32


def _inflated(part: StoredObject) -> Iterator[bytes]:
    # Read anew, so that what small ones hold in their rows is in memory one at a time.
    stored = StoredObject.across_organizations.filter(pk=part.pk).first()
    if stored is None:
        raise _changed()
    return storage.inflated(stored)


def _parts(transfer: Transfer) -> list[StoredObject]:
    """In order. Their small bytes, where they lie in the row, are read when their turn comes."""
    rows = TransferChunk.objects.belonging_to(transfer=transfer).order_by("position")
    objects = StoredObject.objects.for_organization(transfer.organization).defer("inline")
    names = rows.values_list("stored_id", flat=True)
    by_id = objects.in_bulk(set(names))
    if None in names:
        raise _changed()
    return [by_id[name] for name in names]


def _changed() -> ServiceUnavailable:
    """A chunk was let go, as its bytes are lost, or the transfer has ended."""
    return ServiceUnavailable("The transfer changed while it was read.", retry_after=1.0)


def _locked(pk: UUID) -> Transfer:
    transfer: Transfer = (
        Transfer.across_organizations.select_related("organization", "project")
        .select_for_update(of=("self",))
        .get(pk=pk)
    )
    return transfer


def _end(transfer: Transfer, state: TransferState) -> None:
    transfer.state, transfer.chunk_count = state, 0
    TransferChunk.objects.belonging_to(transfer=transfer).delete()


def _fail(pk: UUID, problem: dict[str, object]) -> None:
    """Note the end; the chunks are held a while longer, in case a person tries again."""
    Transfer.across_organizations.filter(pk=pk, state=TransferState.ASSEMBLING).update(
        state=TransferState.FAILED, problem=problem, expires_at=database_now() + LEASE
    )


def _refusal(transfer: Transfer) -> OdavlError:
    try:
        error = rebuild_error(msgspec.convert(transfer.problem, Problem))
    except msgspec.ValidationError:
        return RefusedError("The transfer has failed.")
    return error if isinstance(error, RefusedError) else RefusedError(error.detail)
