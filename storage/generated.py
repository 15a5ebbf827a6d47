"""Files that the hub makes itself, such as exports: written, measured and noted in one go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import ApiKey, Organization, Project, User
from frame.database.clock import database_now
from storage.claims import placing
from storage.collecting.discarding import key_name
from storage.configuration import object_store
from storage.models import Access, FileState, StoredFile
from storage.naming import safe_name


@dataclass(frozen=True, slots=True)
class Made:
    """A file to be kept under ``id``, for the person or key that asked for it."""

    id: UUID
    organization: Organization
    name: str
    content_type: str
    type: str
    project: Project | None = None
    access: Access = Access.PRIVATE
    user: User | None = None
    key: ApiKey | None = None
    expires_at: datetime | None = None


@contextmanager
def placed_file(made: Made, pieces: Iterable[bytes]) -> Iterator[StoredFile]:
    """Write the bytes; the row is for the caller to insert, and to commit within the block.

    No transaction may be open when it begins. Whatever was written under the same id and not
    committed is replaced. Raises :class:`StorageFull` and :class:`ServiceUnavailable`.
    """
    now = database_now()
    file = StoredFile(
        id=made.id,
        organization=made.organization,
        project=made.project,
        name=safe_name(made.name),
        content_type=made.content_type,
        type=made.type,
        access=made.access,
        state=FileState.STORED,
        uploaded_by=made.user,
        api_key=made.key,
        stored_at=now,
        expires_at=made.expires_at,
    )
    file.key = file.own_key
    digest = hashlib.sha256()
    # Until the commit nobody takes it for bytes that nothing refers to.
    with placing(key_name(file.key), file.key):
        file.size = object_store().put(
            file.key, _measured(pieces, digest.update), content_type=made.content_type
        )
        file.sha256 = digest.hexdigest()
        yield file


def _measured(pieces: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece
