"""``PAYLOAD_DAYS``: what was sent goes in time, what was read from it stays and tells so."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import AuditEvent, Organization
from frame.database.clock import database_now
from insight.models import Issue
from jobs import retention
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import ServiceUnavailable
from storage import services as storage
from storage.collecting import expiring, sweeping, verifying
from storage.configuration import object_store
from storage.models import ObjectPart, StoredObject, Walk
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.results.products import AUTOPILOT, GUARDIAN, Product
from tests.transfers.manifests import init, noise, transferred
from uploads import retention as payloads
from uploads.models import Upload, UploadState

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(days=40)
NEVER = timedelta(days=3650)


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def sent(api: Api, name: str = "one", snippet: str = "") -> dict[str, Any]:
    """The answer to an analysis; with a long ``snippet`` it lies in the store, not in a row."""
    found = finding(name) | {"snippet": snippet}
    body = envelope(document({"a.py": [found]}), metadata={"projectName": "Website"})
    answer = api.send("POST", "/upload/insight", body)
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def age() -> None:
    """Everything that was sent so far was sent long ago."""
    moment = database_now() - LONG_AGO
    Upload.across_organizations.update(created_at=moment, finished_at=moment)
    StoredObject.across_organizations.update(created_at=moment)


def forget(*, older_than: timedelta = timedelta(days=30), at_most: int = 100) -> int:
    return payloads.forget_payloads(older_than=database_now() - older_than, at_most=at_most)


def long_text() -> str:
    return noise(200_000).hex()


def contents_in_the_store() -> set[str]:
    own = {f"{organization.pk}/" for organization in Organization.objects.all()}
    found = {each.key for each in object_store().listing().objects}
    return {key for key in found if key.startswith(tuple(own))}


def payload_of(api: Api, run_id: str) -> Any:
    return api.send("GET", f"/insight/runs/{run_id}/payload")


# ── What goes, and what is told of it ────────────────────────────────────────


def test_by_default_nothing_goes(api: Api, settings: Any) -> None:
    sent(api)
    age()
    assert settings.PAYLOAD_DAYS == 0
    assert "uploads.payloads" not in retention.apply()


def test_the_rule_counts_days(api: Api, settings: Any) -> None:
    settings.PAYLOAD_DAYS = 41
    sent(api)
    age()
    assert retention.apply()["uploads.payloads"] == 0
    settings.PAYLOAD_DAYS = 39
    assert retention.apply()["uploads.payloads"] == 1


def test_a_run_outlives_its_document_and_says_since_when(alice: Person, api: Api) -> None:
    run = sent(api)["runId"]
    told = api.send("GET", f"/insight/runs/{run}").json()["payload"]
    assert told["expiredAt"] is None
    age()
    assert forget() == 1
    problem(payload_of(api, run), 410, "payload_expired")
    after = api.send("GET", f"/insight/runs/{run}").json()["payload"]
    assert after | {"expiredAt": None} == told
    assert after["expiredAt"].startswith(f"{database_now():%Y-%m-%d}")
    assert Issue.across_organizations.get().message == finding("one")["message"]
    page = alice.page().get(f"/en/acme/runs/{run}/")
    assert page.status_code == 200
    assert "not kept any more since" in page.content.decode()
    assert f"/runs/{run}/payload" not in page.content.decode()


def test_what_lies_in_the_store_goes_from_there(api: Api) -> None:
    run = sent(api, snippet=long_text())["runId"]
    assert len(contents_in_the_store()) == 1
    age()
    assert forget() == 1
    assert contents_in_the_store() == set()
    problem(payload_of(api, run), 410, "payload_expired")


def test_what_was_sent_in_chunks_goes_with_them(api: Api) -> None:
    body = json.dumps(document({"a.py": [finding("one") | {"snippet": long_text()}]})).encode()
    run = transferred(api, body, len(body) // 3 + 1).json()["runId"]
    assert ObjectPart.across_organizations.count() == 3
    age()
    assert forget() == 1
    assert ObjectPart.across_organizations.count() == 0
    storage.discard_released(older_than=database_now(), at_most=100)
    assert contents_in_the_store() == set()
    assert StoredObject.across_organizations.get().expired_at is not None
    problem(payload_of(api, run), 410, "payload_expired")


@pytest.mark.parametrize("product", [AUTOPILOT, GUARDIAN], ids=lambda each: each.room)
def test_a_result_outlives_its_document(alice: Person, product: Product) -> None:
    made = product.send(alice.api, product.document()).json()
    row = made[f"{product.noun}Id"]
    address = made["url"].removeprefix("http://localhost:8000")
    age()
    assert forget() == 1
    shown = alice.api.send("GET", f"/{product.room}/{product.noun}s/{row}")
    assert shown.status_code == 200, shown.content
    assert shown.json()[product.items] == []
    assert shown.json()["payload"]["expiredAt"]
    page = alice.page().get(address[address.index("/en/") :])
    assert page.status_code == 200
    assert "not kept any more since" in page.content.decode()


def test_every_organization_reads_in_its_log_what_went(api: Api, charlie: Person) -> None:
    sent(api)
    sent(api, "two")
    sent(charlie.api, "three")
    age()
    assert forget() == 3
    noted = AuditEvent.across_organizations.filter(action="payload.expired")
    assert sorted(event.details["payloads"] for event in noted) == [1, 2]


# ── What stays ───────────────────────────────────────────────────────────────


def test_a_content_that_came_again_stays(api: Api) -> None:
    run = sent(api)["runId"]
    age()
    sent(api)
    assert forget() == 0
    assert payload_of(api, run).status_code == 200


@pytest.mark.parametrize("state", [UploadState.PENDING, UploadState.PROCESSING])
def test_what_a_job_has_still_to_read_stays(api: Api, state: UploadState) -> None:
    sent(api)
    age()
    Upload.across_organizations.update(state=state)
    assert forget() == 0


def test_what_something_else_refers_to_stays(api: Api) -> None:
    part = noise(70_000)
    body = json.dumps({"a": part.hex()}).encode()
    told = transferred(api, body, 100_000, type="ml-training").json()
    whole = Upload.across_organizations.get(pk=told["uploadId"]).stored
    other = ObjectPart.across_organizations.filter(whole=whole).order_by("position")[0].part
    Upload.across_organizations.filter(pk=told["uploadId"]).update(stored=other)
    age()
    assert forget() == 0
    assert other.pk in StoredObject.across_organizations.filter(expired_at=None).values_list(
        "pk", flat=True
    )


def test_no_more_go_at_once_than_may_and_the_oldest_first(api: Api) -> None:
    runs = [sent(api, name)["runId"] for name in ("one", "two", "three")]
    age()
    oldest = Upload.across_organizations.get(run_id=runs[1]).stored_id
    StoredObject.across_organizations.filter(pk=oldest).update(created_at=database_now() - NEVER)
    assert forget(at_most=1) == 1
    assert [payload_of(api, run).status_code for run in runs] == [200, 410, 200]
    assert forget(at_most=9) == 2
    assert forget(at_most=9) == 0


# ── The same content, sent again ─────────────────────────────────────────────


@pytest.mark.parametrize("snippet", ["", long_text()], ids=["in a row", "in the store"])
def test_the_same_content_sent_again_is_kept_again(api: Api, snippet: str) -> None:
    first = sent(api, snippet=snippet)["runId"]
    age()
    assert forget() == 1
    again = sent(api, snippet=snippet)["runId"]
    assert [payload_of(api, run).status_code for run in (first, again)] == [200, 200]
    assert payload_of(api, first).getvalue() == payload_of(api, again).getvalue()


def test_the_same_content_sent_again_in_chunks_is_kept_again(api: Api) -> None:
    body = json.dumps(document({"a.py": [finding("one") | {"snippet": long_text()}]})).encode()
    size = len(body) // 3 + 1
    first = transferred(api, body, size).json()["runId"]
    age()
    assert forget() == 1
    again = transferred(api, body, size).json()["runId"]
    assert [payload_of(api, run).status_code for run in (first, again)] == [200, 200]


def test_chunks_that_were_let_go_are_asked_for(api: Api) -> None:
    body = json.dumps({"a": long_text()}).encode()
    envelope_of_chunk = envelope(json.loads(body), "ml-training")
    assert api.send("POST", "/upload/insight", envelope_of_chunk).status_code == 201
    answer = init(api, body, [body], type="ml-training")
    assert answer.json()["missing"] == []
    age()
    assert forget() == 0  # the transfer holds it
    told = api.send("DELETE", f"/upload/insight/{answer.json()['uploadId']}")
    assert told.status_code in (200, 204)
    age()
    assert forget() == 1
    again = init(api, body, [body], type="ml-training")
    assert again.json()["missing"] == [sha256_hex(body)]


# ── When things go wrong ─────────────────────────────────────────────────────


def test_what_was_let_go_is_not_taken_for_lost(api: Api) -> None:
    sent(api, snippet=long_text())
    age()
    assert forget() == 1
    Walk.objects.update(cursor="", finished_at=None)
    verifying.verify(seconds=60)
    assert verifying.count_missing() == 0


def test_a_crash_between_the_record_and_the_bytes_leaves_an_orphan_for_the_sweep(
    api: Api, settings: Any
) -> None:
    sent(api, snippet=long_text())
    age()

    def die(_key: str) -> None:
        raise ServiceUnavailable("The store went away.")

    contents = StoredObject.across_organizations.all()
    with pytest.raises(ServiceUnavailable):
        expiring.expire(contents, delete_bytes=die, at_most=1)
    assert StoredObject.across_organizations.get().expired_at is not None
    assert len(contents_in_the_store()) == 1
    settings.STORAGE_GRACE_HOURS = -1
    Walk.objects.update(cursor="", finished_at=None)
    sweeping.sweep(seconds=60)
    assert contents_in_the_store() == set()
