"""Leases: what clean-up ends, what it lets go, and what it never touches."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Project
from jobs import retention
from odavl.wire.encoding import gunzip, sha256_hex
from storage.collecting.discarding import hold
from storage.models import StoredObject
from storage.services import discard_chunks, read
from tests.cast import Api, Person
from tests.insight.documents import document, finding
from tests.transfers.manifests import begun, cut, finalize, noise, put, transferred
from uploads.models import Transfer, TransferChunk, Upload
from uploads.transfers import clean_up

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
CHUNKS = cut(PAYLOAD, 1_000)
LATER = timedelta(hours=25)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(alice: Person, website: Project) -> Api:
    return alice.api


def age(by: timedelta = LATER) -> None:
    """Everything has been there so much longer."""
    for transfer in Transfer.across_organizations.all():
        transfer.expires_at -= by
        transfer.save()
    for stored in StoredObject.across_organizations.all():
        StoredObject.across_organizations.filter(pk=stored.pk).update(
            created_at=stored.created_at - by
        )


def sent(api: Api, chunks: list[bytes] = CHUNKS, payload: bytes = PAYLOAD) -> Any:
    told = begun(api, payload, chunks)
    for chunk in chunks:
        put(api, told["uploadId"], chunk)
    return told


def test_a_transfer_that_nobody_uses_ends_and_its_chunks_go(api: Api) -> None:
    told = sent(api)
    age()
    assert clean_up() == len(CHUNKS)
    assert not StoredObject.across_organizations.exists()
    assert not TransferChunk.across_organizations.exists()
    answer = api.send("GET", f"/upload/insight/{told['uploadId']}")
    assert (answer.status_code, answer.json()["code"]) == (410, "transfer_expired")
    retention.apply()
    assert Transfer.across_organizations.count() == 1
    age(timedelta(days=31))
    retention.apply()
    assert not Transfer.across_organizations.exists()


def test_the_bytes_go_with_the_record(api: Api, settings: Any) -> None:
    large = noise(200_000)
    told = begun(api, large, [large], type="ml-training")
    put(api, told["uploadId"], large)
    objects = settings.ODAVL_DATA / "objects"
    name = f"{sha256_hex(large)}.gz"
    assert list(objects.rglob(name))
    age()
    assert clean_up() == 1
    assert not list(objects.rglob(name))


def test_chunks_of_a_live_transfer_stay_however_old(api: Api) -> None:
    told = sent(api)
    age()
    Transfer.across_organizations.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert clean_up() == 0
    assert finalize(api, told["uploadId"]).status_code == 201


def test_every_chunk_that_arrives_puts_the_end_off(api: Api) -> None:
    told = begun(api, PAYLOAD, CHUNKS)
    nearly = timezone.now() + timedelta(minutes=1)
    Transfer.across_organizations.update(expires_at=nearly)
    put(api, told["uploadId"], CHUNKS[0])
    assert Transfer.across_organizations.get().expires_at > nearly + timedelta(hours=23)


def test_chunks_that_a_payload_is_made_of_stay(api: Api) -> None:
    transferred(api, PAYLOAD, 1_000)
    age()
    assert clean_up() == 0
    assert gunzip(read(Upload.across_organizations.get().stored)) == PAYLOAD


def test_a_chunk_that_is_a_payload_itself_stays(api: Api) -> None:
    transferred(api, PAYLOAD, len(PAYLOAD))
    age()
    assert clean_up() == 0
    assert gunzip(read(Upload.across_organizations.get().stored)) == PAYLOAD


def test_what_somebody_is_about_to_refer_to_stays(api: Api, alice: Person) -> None:
    """Another session has announced by name that it keeps the first chunk."""
    sent(api)
    age()
    held, done = threading.Event(), threading.Event()

    def keep() -> None:
        with transaction.atomic():
            hold(alice.organization, sha256_hex(CHUNKS[0]))
            held.set()
            done.wait(300)
        connection.close()

    other = threading.Thread(target=keep)
    other.start()
    assert held.wait(300)
    assert clean_up() == len(CHUNKS) - 1
    done.set()
    other.join()
    assert discard_chunks(older_than=timezone.now()) == 1


def test_two_at_once_do_no_harm(api: Api) -> None:
    sent(api)
    age()
    counts: list[int] = []

    def clean() -> None:
        counts.append(clean_up())
        connection.close()

    threads = [threading.Thread(target=clean) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) + clean_up() == len(CHUNKS)
    assert not StoredObject.across_organizations.exists()
