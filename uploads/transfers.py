"""Uploads in chunks, from the announcement until everything has arrived.

A transfer holds the chunks that have arrived (``TransferChunk.stored``): its rows are the lease
against clean-up, and they live as long as the transfer is used at least once in :data:`LEASE`.

How many may be under way is bounded, as each holds a row for each chunk of its manifest: one key
could fill the table by announcing, without ever sending a byte.

What the sender may read anyway need not be sent again. Contents lie once in an organization, but a
digest opens nothing: whoever names one that they may not read is asked for the bytes like anybody
who brings something new; having them is the proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum

from accounts.admission import Admission, Stage
from accounts.models import Organization, Project
from accounts.principal import Principal
from frame.database.clock import database_now
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import (
    FieldError,
    IdempotencyMismatch,
    InvalidPayload,
    PayloadTooLarge,
    TooManyTransfers,
)
from odavl.wire.transfer import Chunk, TransferRequest
from storage import services as storage
from storage.chunk_verification import Arriving
from storage.models import ObjectPart, StoredObject
from uploads.models import Transfer, TransferChunk, TransferState, Upload
from uploads.queries import Place, check_open, missing_chunks
from uploads.registry import areas, payload_type
from uploads.services import admit, kept_metadata, project_for

LEASE = timedelta(hours=24)
"""How long a transfer is kept after the last thing that arrived for it."""

_OVER = Q(state__in=[TransferState.DONE, TransferState.FAILED, TransferState.EXPIRED])
_AT_ONCE = 100
_RENEW_EVERY = timedelta(minutes=1)


class Begun(NamedTuple):
    transfer: Transfer
    missing: list[str]


@transaction.atomic
def begin(
    *, principal: Principal, product: str, request: TransferRequest, idempotency_key: str | None
) -> Begun:
    """The transfer of this payload: a new one, or the one that is under way.

    With an ``idempotency_key`` it is the same of its project for ever. Cut otherwise than before,
    it goes on with the new chunks. Raises :class:`PayloadTooLarge` or :class:`InvalidPayload` for
    a manifest that cannot be, :class:`IdempotencyMismatch`, and what admission checks and
    :func:`project_for` raise.
    """
    payload_type(product, request.type)
    _check_manifest(request)
    project = project_for(principal, request.metadata)
    digest = _digest(product, project, request)
    _lock(project, idempotency_key or digest)
    transfer = _known(project, digest, idempotency_key)
    if transfer is None:
        transfer = Transfer(
            organization=principal.organization,
            project=project,
            api_key=principal.key,
            product=product,
            type=request.type,
            file_name=request.file_name,
            metadata=kept_metadata(request.metadata),
            size=request.size,
            sha256=request.sha256,
            idempotency_key=idempotency_key,
            digest=digest,
        )
    begins = transfer.state == TransferState.EXPIRED or transfer.expires_at is None
    if transfer.state == TransferState.EXPIRED:
        transfer.state = TransferState.OPEN
    if transfer.state != TransferState.OPEN:
        return Begun(transfer, [])
    count = len(request.chunks)
    if begins or count > transfer.chunk_count:
        admit(principal, transfer, stage=Stage.TRANSFER, size=request.size, chunks=count)
    transfer.chunk_count = count
    transfer.expires_at = database_now() + LEASE
    transfer.save()
    _set_manifest(transfer, request.chunks)
    hold_known(principal, transfer)
    return Begun(transfer, missing_chunks(transfer))


def store_chunk(
    *, organization: Organization, place: Place, body: Iterable[bytes], compressed: bool
) -> bool:
    """Keep one chunk of an open transfer; whether it is new.

    ``body`` is what crossed the wire, in pieces: gzip where ``compressed``. Raises
    :class:`DigestMismatch` for other bytes than announced (then nothing is stored) and
    :class:`MalformedGzip`.
    """
    pieces = Arriving(place.sha256, place.size).joinable(body, compressed=compressed)
    if place.has_arrived:
        deque(pieces, maxlen=0)
        is_new = False
    else:
        # Written before the transaction begins: nothing is locked while a client sends, nor while
        # a store takes it.
        with (
            storage.stage(pieces, size=place.size) as staged,
            storage.placed(
                organization=organization,
                staged=staged,
                sha256=place.sha256,
                size=place.size,
                joinable=True,
            ) as placed,
        ):
            is_new = _note_arrival(place, placed)
    _renew(organization, place)
    return is_new


@transaction.atomic
def _note_arrival(place: Place, placed: storage.Placed) -> bool:
    """Note the chunk wherever the transfer waits for it; whether it did."""
    stored = storage.keep_placed(placed)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE uploads_transferchunk SET stored_id = %s"
            " WHERE transfer_id = %s AND sha256 = %s AND size = %s AND stored_id IS NULL",
            [stored.pk, place.transfer_id, place.sha256, place.size],
        )
        return bool(cursor.rowcount)


@transaction.atomic
def drop(transfer: Transfer) -> None:
    """End an open transfer; dropped is dropped. Raises :class:`Conflict` after finalize."""
    locked = Transfer.across_organizations.select_for_update().get(pk=transfer.pk)
    if locked.state == TransferState.EXPIRED:
        return
    check_open(locked.state)
    _end(locked.pk)


def clean_up() -> int:
    """End transfers that nobody has used for :data:`LEASE`, then let go of chunks; how many.

    For a scheduler; two at once do no harm.
    """
    now = database_now()
    stale = Transfer.across_organizations.filter(state=TransferState.OPEN, expires_at__lt=now)
    for pk in stale.values_list("pk", flat=True)[:_AT_ONCE]:
        with transaction.atomic():
            still = Transfer.across_organizations.select_for_update(skip_locked=True)
            if still.filter(pk=pk, state=TransferState.OPEN, expires_at__lt=now).exists():
                _end(pk)
    held = TransferChunk.across_organizations.filter(
        transfer__state=TransferState.FAILED, transfer__expires_at__lt=now
    )
    for pk in held.order_by().values_list("transfer", flat=True).distinct()[:_AT_ONCE]:
        TransferChunk.across_organizations.filter(transfer_id=pk).delete()
        Transfer.across_organizations.filter(pk=pk).update(chunk_count=0)
    return storage.discard_chunks(older_than=now - LEASE)


def forget_transfers(*, older_than: datetime, at_most: int) -> int:
    """Remove transfers that ended before ``older_than``, whatever became of them; how many.

    The upload that a transfer became stays, and answers for it under the same id.
    """
    # What a failed one still holds goes with :func:`clean_up`: thousands of rows are no small step.
    over = Transfer.across_organizations.filter(_OVER, expires_at__lt=older_than, chunks=None)
    oldest = list(over.order_by("expires_at").values_list("pk", flat=True)[:at_most])
    return int(Transfer.across_organizations.filter(pk__in=oldest).delete()[0])


def _end(pk: UUID) -> None:
    Transfer.across_organizations.filter(pk=pk).update(
        state=TransferState.EXPIRED, expires_at=database_now(), chunk_count=0
    )
    TransferChunk.across_organizations.filter(transfer_id=pk).delete()


def _check_manifest(request: TransferRequest) -> None:
    if len(request.chunks) > limits.MAX_CHUNKS:
        raise PayloadTooLarge(f"A transfer may have {limits.MAX_CHUNKS} chunks.")
    if request.size > limits.MAX_TRANSFER_SIZE:
        raise PayloadTooLarge(f"A transfer may have {limits.MAX_TRANSFER_SIZE} bytes.")
    if any(chunk.size > limits.CHUNK_SIZE for chunk in request.chunks):
        raise PayloadTooLarge(f"A chunk may have {limits.CHUNK_SIZE} bytes.")
    total = sum(chunk.size for chunk in request.chunks)
    if total != request.size:
        raise InvalidPayload(
            f"The chunks have {total} bytes, and size is {request.size}.",
            errors=(FieldError("/chunks", "invalid", "Not the size of the whole."),),
        )
    if len({chunk.sha256 for chunk in request.chunks}) != len(set(request.chunks)):
        raise InvalidPayload(
            "A chunk stands in the list with two sizes.",
            errors=(FieldError("/chunks", "invalid", "Equal bytes have equal sizes."),),
        )


def _digest(product: str, project: Project, request: TransferRequest) -> str:
    parts = (product, request.type, request.file_name, request.size, request.sha256, project.pk)
    return sha256_hex(repr(parts).encode() + msgspec.json.encode(request.metadata))


def _lock(project: Project, name: str) -> None:
    """One at a time, whoever begins the same transfer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"transfer:{project.pk}:{name}"],
        )


def _known(project: Project, digest: str, key: str | None) -> Transfer | None:
    rows: QuerySet[Transfer] = Transfer.objects.belonging_to(project=project)
    rows = rows.select_related("organization").select_for_update(of=("self",))
    if key is None:
        return rows.filter(digest=digest, idempotency_key=None, state=TransferState.OPEN).first()
    found = rows.filter(idempotency_key=key).first()
    if found is not None and found.digest != digest:
        raise IdempotencyMismatch("This Idempotency-Key came first with another upload.")
    return found


def _set_manifest(transfer: Transfer, chunks: list[Chunk]) -> None:
    rows = TransferChunk.objects.belonging_to(transfer=transfer)
    known = list(rows.order_by("position").values_list("sha256", "size", "stored"))
    if [(chunk.sha256, chunk.size) for chunk in chunks] == [each[:2] for each in known]:
        return
    arrived = {(sha256, size): stored for sha256, size, stored in known if stored is not None}
    rows.delete()
    TransferChunk.across_organizations.bulk_create(
        TransferChunk(
            transfer=transfer,
            position=position,
            sha256=chunk.sha256,
            size=chunk.size,
            stored_id=arrived.get((chunk.sha256, chunk.size)),
        )
        for position, chunk in enumerate(chunks)
    )


def _renew(organization: Organization, place: Place) -> None:
    """Put the expiry off; about once a minute is enough, and spares a write for each chunk."""
    end = place.looked_at + LEASE
    if place.expires_at >= end - _RENEW_EVERY:
        return
    Transfer.objects.for_organization(organization).filter(
        pk=place.transfer_id, state=TransferState.OPEN, expires_at__lt=end - _RENEW_EVERY
    ).update(expires_at=end)


_HOLDING = (TransferState.OPEN, TransferState.ASSEMBLING, TransferState.FAILED)
_RETRY_SECONDS = 60.0


def check_room(wanted: Admission) -> None:
    """Raise :class:`TooManyTransfers` unless the transfer may be open with so many chunks.

    In the caller's transaction, until whose end nobody else of the organization is let in: what is
    counted is what there is.
    """
    if wanted.stage != Stage.TRANSFER:
        return
    principal, chunks = wanted.principal, wanted.chunks
    _take_turns(principal.organization)
    holding = Transfer.objects.for_organization(principal.organization).filter(state__in=_HOLDING)
    own = Q(api_key=principal.key) if principal.key else Q(api_key=None)
    is_open = Q(state=TransferState.OPEN)
    found = holding.exclude(pk=wanted.subject).aggregate(
        transfers=Count("pk", filter=is_open),
        chunks=Sum("chunk_count", default=0),
        own_transfers=Count("pk", filter=is_open & own),
        own_chunks=Sum("chunk_count", filter=own, default=0),
    )
    for whose, count, held, most, most_chunks in (
        (
            "This API key",
            found["own_transfers"],
            found["own_chunks"],
            limits.MAX_OPEN_TRANSFERS,
            limits.MAX_OPEN_CHUNKS,
        ),
        (
            "The organization",
            found["transfers"],
            found["chunks"],
            limits.MAX_ORGANIZATION_TRANSFERS,
            limits.MAX_ORGANIZATION_CHUNKS,
        ),
    ):
        if count >= most:
            raise _too_many(f"{whose} has {count} uploads in chunks under way, of {most}")
        if held + chunks > most_chunks:
            raise _too_many(
                f"{whose} has {held} chunks in uploads under way, and {chunks} more would make it"
                f" more than {most_chunks}"
            )


def _too_many(what: str) -> TooManyTransfers:
    return TooManyTransfers(
        f"{what}. Finalize or drop (DELETE) one, or wait: unused ones end after a day.",
        retry_after=_RETRY_SECONDS,
    )


def _take_turns(organization: Organization) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"transfers:{organization.pk}"],
        )


def hold_known(principal: Principal, transfer: Transfer) -> None:
    """Hold those missing chunks that ``principal`` may read, in the caller's transaction.

    What the object store has lost counts as missing: sent again, it is mended.
    """
    chunks = TransferChunk.objects.belonging_to(transfer=transfer)
    chunks.filter(stored__missing_since__isnull=False).update(stored=None)
    missing = chunks.filter(stored=None)
    contents: QuerySet[StoredObject] = StoredObject.objects.for_organization(principal.organization)
    known = contents.filter(
        _readable(principal),
        sha256__in=missing.values("sha256"),
        missing_since=None,
        expired_at=None,
    )
    # Locked, so that clean-up either sees that they are held or has removed them already.
    held = list(
        known.select_for_update(no_key=True, of=("self",))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    if not held:
        return
    same = contents.filter(pk__in=held, sha256=OuterRef("sha256"), size=OuterRef("size"))
    missing.update(stored_id=Subquery(same.values("pk")[:1]))


def _readable(principal: Principal) -> Q:
    """The contents of uploads that ``principal`` may read, and the chunks of such on their way."""
    products = [product for product, area in areas().items() if principal.may(f"{area}:read")]
    uploads = Upload.objects.for_organization(principal.organization)
    uploads = uploads.filter(product__in=products)
    chunks = TransferChunk.objects.for_organization(principal.organization)
    chunks = chunks.filter(transfer__product__in=products)
    if principal.project is not None:
        uploads = uploads.filter(project=principal.project)
        chunks = chunks.filter(transfer__project=principal.project)
    parts = ObjectPart.objects.for_organization(principal.organization).filter(
        Exists(uploads.filter(stored=OuterRef("whole")))
    )
    return (
        Q(Exists(uploads.filter(stored=OuterRef("pk"))))
        | Q(Exists(parts.filter(part=OuterRef("pk"))))
        | Q(Exists(chunks.filter(stored=OuterRef("pk"))))
    )
