"""Uploads in chunks, from the announcement until everything has arrived.

A transfer holds the chunks that have arrived (``TransferChunk.stored``): its rows are the lease
against clean-up, and they live as long as the transfer is used at least once in :data:`LEASE`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts.models import Organization, Project
from accounts.principal import Principal
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import (
    FieldError,
    IdempotencyMismatch,
    InvalidPayload,
    PayloadTooLarge,
)
from odavl.wire.transfer import Chunk, TransferRequest
from storage import services as storage
from storage.arriving import Arriving
from storage.models import StoredObject
from uploads.models import Transfer, TransferChunk, TransferState
from uploads.queries import Place, check_open, missing_chunks
from uploads.services import check_type, project_for

LEASE = timedelta(hours=24)
"""How long a transfer is kept after the last thing that arrived for it."""

FORGOTTEN_AFTER = timedelta(days=7)
"""How long after its end an unfinished transfer is still told from one that never was."""

_RENEW_EVERY = timedelta(minutes=1)


class Begun(NamedTuple):
    transfer: Transfer
    missing: list[str]


@transaction.atomic
def begin(
    *, principal: Principal, product: str, request: TransferRequest, idempotency_key: str | None
) -> Begun:
    """The transfer of this payload: a new one, or the one that is under way.

    With an ``idempotency_key`` it is the same for ever. Cut otherwise than before, it goes on with
    the new chunks. Raises :class:`PayloadTooLarge` or :class:`InvalidPayload` for a manifest that
    cannot be, :class:`IdempotencyMismatch`, and what :func:`project_for` raises.
    """
    check_type(product, request.type)
    _check_manifest(request)
    project = project_for(principal, request.metadata)
    digest = _digest(product, project, request)
    _lock(principal.organization, idempotency_key or digest)
    transfer = _known(principal.organization, digest, idempotency_key)
    if transfer is None:
        transfer = Transfer(
            organization=principal.organization,
            project=project,
            api_key=principal.key,
            product=product,
            type=request.type,
            file_name=request.file_name,
            metadata=msgspec.to_builtins(request.metadata),
            size=request.size,
            sha256=request.sha256,
            idempotency_key=idempotency_key,
            digest=digest,
        )
    if transfer.state == TransferState.EXPIRED:
        transfer.state = TransferState.OPEN
    if transfer.state != TransferState.OPEN:
        return Begun(transfer, [])
    transfer.expires_at = timezone.now() + LEASE
    transfer.save()
    _set_manifest(transfer, request.chunks)
    take_up_known(transfer)
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
            is_new = _kept(place, placed)
    _renew(organization, place)
    return is_new


@transaction.atomic
def _kept(place: Place, placed: storage.Placed) -> bool:
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


def take_up_known(transfer: Transfer) -> None:
    """Hold those missing chunks that the organization has, in the caller's transaction."""
    missing = TransferChunk.objects.belonging_to(transfer=transfer).filter(stored=None)
    known = StoredObject.objects.for_organization(transfer.organization).filter(
        sha256__in=missing.values("sha256"), missing_since=None
    )
    # Locked, so that clean-up either sees that they are held or has removed them already.
    held = list(
        known.select_for_update(no_key=True, of=("self",))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    if not held:
        return
    same = known.filter(sha256=OuterRef("sha256"), size=OuterRef("size"), pk__in=held)
    missing.update(stored_id=Subquery(same.values("pk")[:1]))


def clean_up() -> int:
    """End transfers that nobody has used for :data:`LEASE`, then let go of chunks; how many.

    For a scheduler; two at once do no harm.
    """
    now = timezone.now()
    stale = Transfer.across_organizations.filter(state=TransferState.OPEN, expires_at__lt=now)
    for pk in stale.values_list("pk", flat=True)[:100]:
        with transaction.atomic():
            still = Transfer.across_organizations.select_for_update(skip_locked=True)
            if still.filter(pk=pk, state=TransferState.OPEN, expires_at__lt=now).exists():
                _end(pk)
    Transfer.across_organizations.filter(
        state=TransferState.EXPIRED, expires_at__lt=now - FORGOTTEN_AFTER
    ).delete()
    TransferChunk.across_organizations.filter(
        transfer__state=TransferState.FAILED, transfer__expires_at__lt=now
    ).delete()
    return storage.discard_chunks(older_than=now - LEASE)


def _end(pk: UUID) -> None:
    Transfer.across_organizations.filter(pk=pk).update(
        state=TransferState.EXPIRED, expires_at=timezone.now()
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


def _lock(organization: Organization, name: str) -> None:
    """One at a time, whoever begins the same transfer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"transfer:{organization.pk}:{name}"],
        )


def _known(organization: Organization, digest: str, key: str | None) -> Transfer | None:
    rows: QuerySet[Transfer] = Transfer.objects.for_organization(organization)
    rows = rows.select_related("organization").select_for_update(of=("self",))
    if key is None:
        return rows.filter(digest=digest, idempotency_key=None, state=TransferState.OPEN).first()
    found = rows.filter(idempotency_key=key).first()
    if found is not None and found.digest != digest:
        raise IdempotencyMismatch("This Idempotency-Key came first with another upload.")
    return found


def _set_manifest(transfer: Transfer, chunks: list[Chunk]) -> None:
    rows = TransferChunk.objects.belonging_to(transfer=transfer)
    known = rows.order_by("position").values_list("sha256", "size")
    if [(chunk.sha256, chunk.size) for chunk in chunks] == list(known):
        return
    rows.delete()
    TransferChunk.across_organizations.bulk_create(
        TransferChunk(transfer=transfer, position=position, sha256=chunk.sha256, size=chunk.size)
        for position, chunk in enumerate(chunks)
    )


def _renew(organization: Organization, place: Place) -> None:
    """Put the expiry off; about once a minute is enough, and spares a write for each chunk."""
    end = timezone.now() + LEASE
    if place.expires_at >= end - _RENEW_EVERY:
        return
    Transfer.objects.for_organization(organization).filter(
        pk=place.transfer_id, state=TransferState.OPEN, expires_at__lt=end - _RENEW_EVERY
    ).update(expires_at=end)
