"""A check that is registered is asked before anything is taken in, exactly once for each thing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from accounts import admission
from accounts.admission import Admission, Stage
from accounts.models import Project
from jobs.models import Job
from odavl.wire import limits
from odavl.wire.encoding import sha256_hex
from odavl.wire.errors import QuotaExceeded
from tests.cast import Api, Person
from tests.insight.documents import document, envelope, finding
from tests.problems import problem
from tests.registries import weather
from tests.registries.conftest import send_report
from tests.transfers.manifests import MEBIBYTE, begun, cut, finalize, init, put
from uploads.models import Transfer, Upload

SUNNY = {"degrees": 21.5}
PAYLOAD = json.dumps(document({"a.py": [finding("one")]})).encode()
LARGE = json.dumps(
    document({"a.py": [finding(f"n{n}", line=n, message="m" * 300) for n in range(4_000)]})
).encode()


def stages() -> list[str]:
    return [each.stage.value for each in weather.admitted]


def test_a_check_is_told_what_comes(alice: Person, website: Project, room: None) -> None:
    answer = send_report(alice.api, SUNNY)
    (wanted,) = weather.admitted
    assert (wanted.stage, wanted.product, wanted.type) == (Stage.UPLOAD, "weather", "report")
    assert (wanted.project, wanted.principal.organization) == (website, alice.organization)
    assert (wanted.size, str(wanted.subject)) == (
        len(json.dumps(SUNNY).encode()), answer.json()["uploadId"],
    )  # fmt: skip


def test_what_is_refused_leaves_nothing(alice: Person, room: None) -> None:
    weather.most_admitted[0] = 1
    assert send_report(alice.api, SUNNY).status_code == 201
    told = problem(send_report(alice.api, {"degrees": 3}), 429, "quota_exceeded")
    assert told["detail"] == "There is weather enough."
    assert Upload.across_organizations.count() == 1


def test_the_same_request_again_is_not_asked_again(alice: Person, room: None) -> None:
    key = {"Idempotency-Key": "once"}
    first = send_report(alice.api, SUNNY, **key)
    weather.most_admitted[0] = 1
    again = send_report(alice.api, SUNNY, **key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(weather.admitted) == 1


@pytest.mark.parametrize("payload", [PAYLOAD, LARGE], ids=["small", "by a job"])
def test_a_transfer_is_asked_about_when_it_begins_and_when_it_ends(
    alice: Person, website: Project, room: None, payload: bytes
) -> None:
    chunks = cut(payload, MEBIBYTE)
    told = begun(alice.api, payload, chunks)
    assert (stages(), weather.admitted[0].chunks) == (["transfer"], len(chunks))
    assert (weather.admitted[0].size, str(weather.admitted[0].subject)) == (
        len(payload), told["uploadId"],
    )  # fmt: skip
    assert begun(alice.api, payload, chunks)["uploadId"] == told["uploadId"]
    assert stages() == ["transfer"]
    for chunk in chunks:
        put(alice.api, told["uploadId"], chunk)
    weather.most_admitted[0] = 1
    problem(finalize(alice.api, told["uploadId"]), 429, "quota_exceeded")
    assert not Upload.across_organizations.exists()
    assert not Job.across_organizations.exists()
    weather.most_admitted[0] = 2
    assert finalize(alice.api, told["uploadId"]).status_code in (201, 202)
    assert finalize(alice.api, told["uploadId"]).status_code in (201, 202)
    assert stages() == ["transfer", "upload"]
    assert (weather.admitted[1].size, str(weather.admitted[1].subject)) == (
        len(payload), told["uploadId"],
    )  # fmt: skip
    assert len(payload) > limits.MAX_INLINE_INFLATED_SIZE or payload is PAYLOAD


def test_a_refused_transfer_is_not_begun(alice: Person, room: None) -> None:
    weather.most_admitted[0] = 0
    problem(init(alice.api, PAYLOAD, [PAYLOAD]), 429, "quota_exceeded")
    assert not Transfer.across_organizations.exists()


def test_the_hubs_own_bound_is_one_of_them(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "uploads.room" in admission.names()
    monkeypatch.setattr(limits, "MAX_OPEN_TRANSFERS", 0)
    problem(init(alice.api, PAYLOAD, [PAYLOAD]), 429, "too_many_transfers")
    # One request needs no room for chunks.
    body = envelope(PAYLOAD, metadata={"projectName": "Website"})
    assert alice.api.send("POST", "/upload/insight", body).status_code == 201


def test_without_its_room_nobody_asks(alice: Person) -> None:
    with weather.registered():
        weather.most_admitted[0] = 0
    assert begun(alice.api, PAYLOAD, [PAYLOAD])["missing"] == [sha256_hex(PAYLOAD)]
    assert weather.admitted == []


def test_a_check_has_a_name_of_its_own(room: None) -> None:
    with pytest.raises(ValueError, match=r"weather\.enough"):
        admission.register("weather.enough", weather.count_reports)


# ── A quota that counts ──


@pytest.fixture
def quota(transactional_db: None) -> Iterator[None]:
    """Three uploads an organization, counted in a table of its own."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test_meter (organization uuid PRIMARY KEY, used int)")

    def count(wanted: Admission) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE test_meter SET used = used + 1 WHERE organization = %s AND used < 3",
                [wanted.principal.organization.pk],
            )
            if not cursor.rowcount:
                raise QuotaExceeded("Three uploads are the quota.")

    admission.register("test.quota", count)
    yield
    admission.unregister("test.quota")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE test_meter")


def used() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT used FROM test_meter")
        return int(cursor.fetchone()[0])


def test_a_quota_is_exact_however_many_come_at_once_and_what_is_wrong_costs_nothing(
    quota: None, alice: Person, website: Project
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO test_meter VALUES (%s, 0)", [alice.organization.pk])
    broken = envelope(b'{"diagnostics": 7}', metadata={"projectName": "Website"})
    problem(alice.api.send("POST", "/upload/insight", broken), 422, "invalid_payload")
    assert used() == 0
    answers: list[int] = []
    threads = [
        threading.Thread(target=upload, args=(alice.api, number, answers)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] * 3 + [429] * 5
    assert used() == 3
    assert Upload.across_organizations.count() == 3


def upload(api: Api, number: int, answers: list[int]) -> None:
    payload: Any = {"any": number}
    body = envelope(payload, "ml-training", metadata={"projectName": "Website"})
    answers.append(api.send("POST", "/upload/insight", body).status_code)
    connection.close()
