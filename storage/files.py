"""Files: announced, sent to a signed address, checked, given out, deleted.

Bytes arrive under a key of their own that is never read from. Before a file counts as stored, its
object is moved to where no signed address writes, and checked there against what was announced.
Hence an address that is used twice, or by somebody else, changes nothing that was ever shown.
Every step can be done again: where the hub dies in between, the next question or the clean-up
(:mod:`storage.collecting.cleaning`) goes on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import uuid4

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import Project
from accounts.principal import Principal
from accounts.services.audit import record
from frame.database.clock import database_now
from odavl.wire import limits
from odavl.wire.errors import (
    BytesMissing,
    Conflict,
    DigestMismatch,
    FieldError,
    InvalidPayload,
    NotFound,
    OdavlError,
    PayloadTooLarge,
)
from odavl.wire.problem import problem_of
from storage.access import require_change
from storage.configuration import object_store
from storage.models import Access, FileState, StoredFile
from storage.naming import allowed_type, safe_name
from storage.objects.interface import ObjectMissing, Part, SignedRequest, UploadTerms

_log = logging.getLogger(__name__)
_NAMED_PARTS = 100


@dataclass(frozen=True, slots=True)
class Announced:
    """What somebody is about to upload; ``size`` in bytes, ``sha256`` in hex or empty."""

    name: str
    content_type: str
    size: int
    sha256: str = ""
    access: str = Access.ORGANIZATION
    project: Project | None = None
    product: str = ""
    type: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PartAddress:
    size: int
    request: SignedRequest


def announce(*, by: Principal, file: Announced, seconds: int) -> tuple[StoredFile, SignedRequest]:
    """The record of a file to come, and where its bytes go within ``seconds``.

    Raises :class:`UnsupportedMedia`, :class:`PayloadTooLarge` and :class:`InvalidPayload`.
    """
    announced = _recorded(by, file, seconds)
    return announced, _signed(announced, seconds)


@dataclass(slots=True)
class BegunParts:
    """An upload in parts that the store knows and no file has yet."""

    file: StoredFile
    upload_id: str
    is_taken: bool = False


@contextmanager
def parts_begun(*, by: Principal, content_type: str) -> Iterator[BegunParts]:
    """An upload in parts, begun at the store before any transaction; dropped if no file took it."""
    file = StoredFile(id=uuid4(), organization=by.organization)
    store = object_store()
    upload_id = store.start_multipart(file.incoming, content_type=allowed_type(content_type))
    begun = BegunParts(file, upload_id)
    try:
        yield begun
    finally:
        if not begun.is_taken:
            with suppress(OdavlError):  # the sweep finds it, too
                store.abort_multipart(file.incoming, upload_id)


def announce_in_parts(
    *, by: Principal, file: Announced, seconds: int, begun: BegunParts
) -> StoredFile:
    """As :func:`announce`; each part asks for its own address (:func:`part_address`)."""
    announced = _recorded(by, file, seconds, pk=begun.file.pk, multipart_id=begun.upload_id)
    begun.is_taken = True
    return announced


def upload_address(file: StoredFile, *, seconds: int) -> SignedRequest:
    """A new address for a file that is still pending; :class:`Conflict` for one that is not."""
    _check_pending(file)
    if file.multipart_id:
        raise Conflict("This file is uploaded in parts.")
    _note_end(file, seconds)
    return _signed(file, seconds)


def part_address(*, by: Principal, file: StoredFile, number: int, seconds: int) -> PartAddress:
    """Where one part goes.

    Raises what :func:`~storage.access.require_change` does, :class:`Conflict` and
    :class:`InvalidPayload`.
    """
    require_change(by, file)
    _check_in_parts(file)
    size = part_size(file, number)
    if size == 0:
        raise InvalidPayload(
            f"The file has {part_count(file)} parts.",
            errors=(FieldError("/partNumber", "invalid", "There is no such part."),),
        )
    _note_end(file, seconds)
    request = object_store().sign_part(
        file.incoming, file.multipart_id, number, size=size, seconds=seconds
    )
    return PartAddress(size, request)


def part_count(file: StoredFile) -> int:
    return ceil(file.size / limits.PART_SIZE)


def part_size(file: StoredFile, number: int) -> int:
    """In bytes; 0 for a part that the file does not have."""
    return max(0, min(limits.PART_SIZE, file.size - (number - 1) * limits.PART_SIZE))


def complete_parts(*, by: Principal, file: StoredFile) -> StoredFile:
    """Make one object of the parts and check it; done again, the same answer.

    Raises what :func:`~storage.access.require_change` does, :class:`Conflict` that names the parts
    which are missing or have another size, and what :func:`settle` finds wrong.
    """
    require_change(by, file)
    if file.state != FileState.PENDING:
        return _unless_refused(file)
    _check_in_parts(file)
    store = object_store()
    if not (store.exists(file.incoming) or store.exists(file.own_key)):
        try:
            arrived = store.parts(file.incoming, file.multipart_id)
        except ObjectMissing:
            raise Conflict("The upload was aborted.") from None
        _check_parts(file, arrived)
        store.complete_multipart(file.incoming, file.multipart_id, arrived)
    return _unless_refused(settle(file))


def abort_parts(*, by: Principal, file: StoredFile) -> None:
    """Forget an upload in parts; :class:`Conflict` where it was completed.

    Raises what :func:`~storage.access.require_change` does.
    """
    require_change(by, file)
    _check_in_parts(file)
    delete_file(by=by, file=file)


def settle(file: StoredFile) -> StoredFile:
    """``file`` as it stands now: stored or refused where its bytes have arrived, else pending."""
    if file.state != FileState.PENDING:
        return file
    store = object_store()
    try:
        store.move(file.incoming, file.own_key)
        problem, sha256 = _compared(file)
    except ObjectMissing:
        # Nothing has come yet, or somebody else settled it at the same time.
        return _as_it_is(file)
    try:
        if problem is None:
            _note_stored(file, sha256)
        else:
            _note_refused(file, problem)
    except StoredFile.DoesNotExist:
        store.delete(file.own_key)
        raise NotFound("The file was deleted in the meantime.") from None
    if file.key != file.own_key:
        store.delete(file.own_key)
    return file


def download_address(file: StoredFile, *, seconds: int) -> SignedRequest:
    """Where the file can be fetched, which counts as a download.

    Raises :class:`Conflict` before it is stored and :class:`BytesMissing` once its bytes are lost.
    """
    if file.state != FileState.STORED:
        raise Conflict("The file has not been stored yet.")
    if file.missing_since is not None:
        raise lost_file()
    rows = StoredFile.objects.for_organization(file.organization).filter(pk=file.pk)
    rows.update(downloads=F("downloads") + 1, last_download_at=Now())
    return object_store().sign_download(
        file.key, file_name=file.name, content_type=file.content_type, seconds=seconds
    )


def lost_file() -> BytesMissing:
    """What is said of a file whose bytes are not in the object store any more."""
    return BytesMissing("The hub's object store has lost this file: upload it again.")


def delete_file(*, by: Principal, file: StoredFile) -> None:
    """Take a file away. Raises what :func:`~storage.access.require_change` does."""
    require_change(by, file)
    with transaction.atomic():
        rows = StoredFile.objects.for_organization(by.organization).filter(pk=file.pk)
        # Conditional, so that of two people who delete only one is noted.
        if not rows.exclude(state=FileState.DELETED).update(state=FileState.DELETED):
            return
        record(
            organization=by.organization,
            action="file.deleted",
            target=file.name,
            by=by,
            details={"id": str(file.pk), "size": file.size},
        )
    try:
        remove(file)
    except OdavlError as error:
        # Nobody sees it any more; the clean-up tries again.
        _log.warning("A deleted file's object stays for now: %s", error.detail)


def remove(file: StoredFile) -> None:
    """Drop a file's bytes and then its row; what other files share stays."""
    store = object_store()
    if file.multipart_id:
        store.abort_multipart(file.incoming, file.multipart_id)
    store.delete(file.incoming)
    rows = StoredFile.objects.for_organization(file.organization)
    with transaction.atomic():
        _lock_content(file)
        sharing = rows.filter(state=FileState.STORED, sha256=file.sha256).exclude(pk=file.pk)
        shared = set(sharing.values_list("key", flat=True))
        # From now on nobody comes to share what this file has: that is done with stored ones.
        rows.filter(pk=file.pk).update(state=FileState.DELETED)
    for key in {file.key, file.own_key} - {"", *shared}:
        store.delete(key)
    rows.filter(pk=file.pk).delete()


def _recorded(by: Principal, file: Announced, seconds: int, **known: Any) -> StoredFile:
    by.require("storage:write")
    if file.size > settings.STORAGE_MAX_FILE_SIZE:
        raise PayloadTooLarge(f"A file may have {settings.STORAGE_MAX_FILE_SIZE} bytes.")
    if file.access == Access.PROJECT and file.project is None:
        raise InvalidPayload(
            "A file with the access PROJECT belongs to a project.",
            errors=(FieldError("/projectId", "missing", "Required with this access."),),
        )
    now = database_now()
    if file.expires_at is not None and file.expires_at <= now:
        raise InvalidPayload(
            "expiresAt has passed.",
            errors=(FieldError("/expiresAt", "invalid", "It must lie in the future."),),
        )
    created: StoredFile = StoredFile.objects.for_organization(by.organization).create(
        organization=by.organization,
        project=file.project,
        name=safe_name(file.name),
        content_type=allowed_type(file.content_type),
        size=file.size,
        sha256=file.sha256,
        access=file.access,
        product=file.product,
        type=file.type,
        uploaded_by_id=by.user_id,
        api_key=by.key,
        upload_until=now + timedelta(seconds=seconds),
        expires_at=file.expires_at,
        **known,
    )
    return created


def _signed(file: StoredFile, seconds: int) -> SignedRequest:
    terms = UploadTerms(file.size, file.content_type, file.sha256)
    return object_store().sign_upload(file.incoming, terms, seconds=seconds)


def _note_end(file: StoredFile, seconds: int) -> None:
    end = database_now() + timedelta(seconds=seconds)
    if file.upload_until is None or end > file.upload_until:
        file.upload_until = end
        file.save(update_fields=["upload_until"])


def _check_pending(file: StoredFile) -> None:
    if file.state != FileState.PENDING:
        raise Conflict(f"The file is {file.state} already.")


def _check_in_parts(file: StoredFile) -> None:
    _check_pending(file)
    if not file.multipart_id:
        raise Conflict("This file is uploaded as a whole.")


def _check_parts(file: StoredFile, arrived: Sequence[Part]) -> None:
    sizes = {part.number: part.size for part in arrived}
    wanted = range(1, part_count(file) + 1)
    wrong = [number for number in wanted if sizes.get(number) != part_size(file, number)]
    if wrong:
        raise Conflict(
            f"{len(wrong)} of {part_count(file)} parts are missing or have another size.",
            errors=tuple(
                FieldError(f"/parts/{number}", "missing", f"Part {number}.")
                for number in wrong[:_NAMED_PARTS]
            ),
        )


def _compared(file: StoredFile) -> tuple[OdavlError | None, str]:
    """What is wrong with the object that arrived, if anything, and its SHA-256."""
    store = object_store()
    facts = store.facts(file.own_key)
    if facts.size != file.size:
        detail = f"{facts.size} bytes arrived instead of {file.size}."
        return InvalidPayload(detail, errors=(FieldError("/size", "invalid", detail),)), ""
    if facts.content_type and facts.content_type != file.content_type:
        detail = f"It arrived as {facts.content_type[:100]}, not as {file.content_type}."
        return InvalidPayload(detail, errors=(FieldError("/contentType", "invalid", detail),)), ""
    digest = hashlib.sha256()
    for piece in store.pieces(file.own_key):
        digest.update(piece)
    if file.sha256 and digest.hexdigest() != file.sha256:
        return DigestMismatch("The SHA-256 is not the one that was announced."), ""
    return None, digest.hexdigest()


def _note_stored(file: StoredFile, sha256: str) -> None:
    file.sha256 = sha256
    with transaction.atomic():
        _lock_content(file)
        rows = StoredFile.objects.for_organization(file.organization)
        equal = rows.filter(state=FileState.STORED, sha256=sha256, size=file.size)
        twin = equal.filter(missing_since=None).first()
        key = twin.key if twin else file.own_key
        # What the store had lost of the same bytes is there again.
        equal.filter(missing_since__isnull=False).update(key=key, missing_since=None)
        # Conditional: whoever deleted it meanwhile, or settled it at the same time, has won.
        rows.filter(pk=file.pk, state=FileState.PENDING).update(
            state=FileState.STORED, sha256=sha256, key=key, stored_at=Now()
        )
    file.refresh_from_db()


def _note_refused(file: StoredFile, problem: OdavlError) -> None:
    rows = StoredFile.objects.for_organization(file.organization)
    rows.filter(pk=file.pk, state=FileState.PENDING).update(
        state=FileState.REFUSED, problem=msgspec.to_builtins(problem_of(problem))
    )
    file.refresh_from_db()


def _as_it_is(file: StoredFile) -> StoredFile:
    try:
        file.refresh_from_db()
    except StoredFile.DoesNotExist:
        raise NotFound("The file was deleted in the meantime.") from None
    return file


def _lock_content(file: StoredFile) -> None:
    """One at a time decides who shares an object, until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"file:{file.organization_id}:{file.sha256}"],
        )


def _unless_refused(file: StoredFile) -> StoredFile:
    """``file``, or what stands against it, raised."""
    if file.state == FileState.REFUSED:
        problem = file.problem or {}
        error = DigestMismatch if problem.get("code") == DigestMismatch.code else InvalidPayload
        raise error(str(problem.get("detail", "")))
    return file
