"""How many transfers may be under way: each holds a row for each chunk of its manifest.

Without a bound one key could fill the table by announcing, without ever sending a byte.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import Count, Q, Sum

from accounts.admission import Admission, Stage
from accounts.models import Organization
from odavl.wire import limits
from odavl.wire.errors import TooManyTransfers
from uploads.models import Transfer, TransferState

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
