"""Whoever ends a transfer reads its chunks before anything is locked; what others do meanwhile."""

from __future__ import annotations

import json

import pytest

from accounts.models import Project
from odavl.wire.errors import ServiceUnavailable, TransferExpired
from storage import services as storage
from tests.cast import Person
from tests.insight.documents import document, finding
from tests.transfers.manifests import begun, cut, finalize, put
from uploads import assembly
from uploads.models import Transfer, TransferChunk

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
CHUNKS = cut(PAYLOAD, 1_000)


@pytest.fixture
def seen(alice: Person, website: Project) -> Transfer:
    """A transfer that is all there, as somebody saw it before it ended."""
    told = begun(alice.api, PAYLOAD, CHUNKS)
    for chunk in CHUNKS:
        assert put(alice.api, told["uploadId"], chunk).status_code == 201
    found: Transfer = Transfer.across_organizations.select_related("organization").get()
    return found


def test_a_second_end_gets_the_answer_of_the_first(alice: Person, seen: Transfer) -> None:
    first = finalize(alice.api, str(seen.pk))
    assert first.status_code == 201
    second = assembly.finalize(principal=alice.principal, transfer=seen)
    assert (second.status, second.body, second.replayed) == (201, first.content, True)


def test_one_that_was_dropped_is_told_so(alice: Person, seen: Transfer) -> None:
    assert alice.api.send("DELETE", f"/upload/insight/{seen.pk}").status_code == 204
    with pytest.raises(TransferExpired):
        assembly.finalize(principal=alice.principal, transfer=seen)


def test_a_chunk_that_goes_while_others_are_read_has_the_client_come_again(
    alice: Person, seen: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost_meanwhile(_transfer: Transfer) -> list[str]:
        TransferChunk.objects.belonging_to(transfer=seen).filter(position=1).update(stored=None)
        return []

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(assembly, "missing_chunks", lost_meanwhile)
        with pytest.raises(ServiceUnavailable):
            assembly.finalize(principal=alice.principal, transfer=seen)
    assert storage.read(TransferChunk.objects.belonging_to(transfer=seen).get(position=0).stored)
    assert put(alice.api, str(seen.pk), CHUNKS[1]).status_code in (200, 201)
    assert finalize(alice.api, str(seen.pk)).status_code == 201
