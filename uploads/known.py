"""Contents that need not be sent again: what the sender may read anyway.

Contents lie once in an organization, but a digest opens nothing. Whoever names one that they may
not read is asked for the bytes like anybody who brings something new; having them is the proof.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from accounts.principal import Principal
from storage.models import ObjectPart, StoredObject
from uploads.models import Transfer, TransferChunk, Upload
from uploads.registry import areas


def take_up_known(principal: Principal, transfer: Transfer) -> None:
    """Hold those missing chunks that ``principal`` may read, in the caller's transaction.

    What the object store has lost counts as missing: sent again, it is mended.
    """
    chunks = TransferChunk.objects.belonging_to(transfer=transfer)
    chunks.filter(stored__missing_since__isnull=False).update(stored=None)
    missing = chunks.filter(stored=None)
    contents: QuerySet[StoredObject] = StoredObject.objects.for_organization(principal.organization)
    known = contents.filter(
        _readable(principal), sha256__in=missing.values("sha256"), missing_since=None
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
