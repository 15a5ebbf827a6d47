"""Who settles a file may be overtaken between the look at its bytes and the note about them."""

from __future__ import annotations

import pytest

from storage import files
from storage.configuration import object_store
from storage.models import FileState, StoredFile
from tests.cast import Person
from tests.storage.test_files_api import PICTURE, announce, send


def announced(alice: Person) -> tuple[StoredFile, dict[str, object]]:
    told = announce(alice.api).json()
    rows = StoredFile.across_organizations.select_related("organization")
    return rows.get(pk=told["fileId"]), told


@pytest.mark.parametrize("state", [FileState.DELETED, FileState.REFUSED])
def test_what_others_decided_meanwhile_stands(alice: Person, state: str) -> None:
    """``seen`` is the file as it was before they did."""
    seen, told = announced(alice)
    assert send(told).status_code == 201
    StoredFile.across_organizations.update(state=state)
    assert files.settle(seen).state == state
    assert StoredFile.across_organizations.get().state == state


def test_what_was_stored_meanwhile_is_not_refused(alice: Person) -> None:
    seen, _ = announced(alice)
    object_store().put(seen.incoming, [PICTURE + b"more"], content_type="image/png")
    StoredFile.across_organizations.update(state=FileState.STORED)
    assert files.settle(seen).state == FileState.STORED
    found = StoredFile.across_organizations.get()
    assert (found.state, found.problem) == (FileState.STORED, None)


def test_what_nobody_decided_is(alice: Person) -> None:
    seen, told = announced(alice)
    send(told)
    assert files.settle(seen).state == FileState.STORED
    other, _ = announced(alice)
    object_store().put(other.incoming, [PICTURE + b"more"], content_type="image/png")
    assert files.settle(other).state == FileState.REFUSED
