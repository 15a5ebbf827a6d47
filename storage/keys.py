"""What the keys of objects say, and which of them rows refer to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import Organization
from storage.collecting.discarding import content_name, key_name
from storage.models import FileState, StoredFile, StoredObject

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SHAPES: tuple[tuple[Literal["content", "incoming", "file"], re.Pattern[str]], ...] = (
    ("content", re.compile(rf"({_UUID})/[0-9a-f]{{2}}/([0-9a-f]{{64}})\.gz")),
    ("incoming", re.compile(rf"incoming/({_UUID})/({_UUID})")),
    ("file", re.compile(rf"({_UUID})/files/({_UUID})")),
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that this hub makes; ``name`` is the SHA-256 of a content, or the id of a file."""

    text: str
    kind: Literal["content", "incoming", "file"]
    organization: UUID
    name: str

    @property
    def lock(self) -> str:
        """What whoever is about to refer to it holds."""
        if self.kind == "content":
            return content_name(self.organization, self.name)
        return key_name(self.text)


def key_of(text: str) -> Key | None:
    """None for a key that no room of this hub makes."""
    for kind, shape in _SHAPES:
        if found := shape.fullmatch(text):
            return Key(text, kind, UUID(found[1]), found[2])
    return None


def of_known_organizations(keys: Iterable[Key]) -> list[Key]:
    """Those whose organization is one of this hub's, in their order."""
    listed = list(keys)
    named = {key.organization for key in listed}
    known = set(Organization.objects.filter(pk__in=named).values_list("pk", flat=True))
    return [key for key in listed if key.organization in known]


def unreferenced(keys: Iterable[Key]) -> list[Key]:
    """Those to which no row refers, in their order; three queries however many there are."""
    listed = list(keys)
    referred = {
        *_contents([key for key in listed if key.kind == "content"]),
        *_files([key for key in listed if key.kind != "content"]),
    }
    return [key for key in listed if key.text not in referred]


def _contents(keys: list[Key]) -> Iterable[str]:
    if not keys:
        return
    rows: QuerySet[StoredObject] = StoredObject.across_organizations.filter(
        organization__in={key.organization for key in keys},
        sha256__in={key.name for key in keys},
        # The others have no bytes of their own there.
        inline=None,
        crc32=None,
        expired_at=None,
    )
    for stored in rows.only("organization_id", "sha256"):
        yield stored.key


def _files(keys: list[Key]) -> Iterable[str]:
    if not keys:
        return
    rows: QuerySet[StoredFile] = StoredFile.across_organizations.all()
    # A file that has been settled is read from its key alone, which may be that of an equal one.
    expected = Q(pk__in={key.name for key in keys}, state=FileState.PENDING)
    for file in rows.filter(expected).only("organization_id"):
        yield from (file.incoming, file.own_key)
    yield from rows.filter(key__in={key.text for key in keys}).values_list("key", flat=True)
