"""One entry makes a payload type: it is taken over HTTP, read by a worker, told of and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.conf import settings

from accounts.models import Project
from accounts.services import create_api_key
from jobs import registry as jobs
from jobs.models import Job, State
from odavl.wire import limits
from odavl.wire.analysis import AnalysisResults
from odavl.wire.envelope import UPLOAD_TYPES
from odavl.wire.scopes import AREAS
from tests.cast import Api, Person
from tests.guardian.results import png
from tests.insight.documents import envelope
from tests.jobs.test_workers import run_worker, wait_for
from tests.problems import problem
from tests.registries import weather
from tests.registries.conftest import send_report
from tests.wire.test_golden import GOLDEN
from uploads import registry
from uploads.models import Upload

PROGRAM = Path(__file__).with_name("worker_process.py")
SUNNY = {"degrees": 21.5}
LARGE = SUNNY | {"remark": "m" * (limits.MAX_INLINE_INFLATED_SIZE + 1)}


def test_a_payload_of_the_new_type_is_taken_and_told_of(alice: Person, room: None) -> None:
    answer = send_report(alice.api, SUNNY)
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert told["url"].endswith("/en/acme/weather/")
    status = alice.api.send("GET", f"/upload/weather/{told['uploadId']}").json()
    # What its entry says it makes decides under which name the id is told.
    assert (status["state"], status["testId"]) == ("completed", told["uploadId"])
    assert "runId" not in status


@pytest.mark.django_db(transaction=True)
@pytest.mark.end_to_end
def test_a_large_one_is_read_by_a_worker(
    alice: Person, room: None, tmp_path: Path, empty_queue: None
) -> None:
    answer = send_report(alice.api, LARGE)
    assert answer.status_code == 202, answer.content
    job = Job.across_organizations.get(pk=answer.json()["jobId"])
    for _ in run_worker(tmp_path, settings.CELERY_BROKER_URL, program=PROGRAM):
        wait_for(job, lambda job: job.state == State.COMPLETED)
    told = alice.api.send("GET", f"/upload/weather/{answer.json()['uploadId']}").json()
    assert (told["state"], told["url"][-16:]) == ("completed", "/en/acme/weather/"[-16:])
    assert "Reading the weather" in alice.page().get("/en/acme/sync/jobs/").content.decode()


def test_a_document_that_does_not_fit_is_refused(alice: Person, room: None) -> None:
    problem(send_report(alice.api, {"degrees": "hot"}), 422, "invalid_payload")
    assert not Upload.across_organizations.exists()


def test_a_type_that_is_not_registered_is_told_which_ones_are(alice: Person, room: None) -> None:
    told = problem(send_report(alice.api, SUNNY, "forecast"), 422, "unknown_type")
    assert told["detail"] == "weather has no upload type 'forecast'; there are report."
    told = problem(
        alice.api.send("POST", "/upload/insight", envelope({}, "nothing")), 422, "unknown_type"
    )
    assert told["detail"].endswith(
        "there are analysis-results, sarif, ml-training, error-signatures, detector-<name>."
    )


def test_its_area_says_which_keys_may(alice: Person, website: Project, room: None) -> None:
    for scopes, status in ((("usage:write",), 201), (("usage:read", "insight:admin"), 403)):
        _, token = create_api_key(by=alice.principal, name="narrow", scopes=scopes)
        body = envelope(SUNNY, "report", metadata={"projectId": str(website.pk)})
        assert Api(token).send("POST", "/upload/weather", body).status_code == status
    reader = Api(create_api_key(by=alice.principal, name="eye", scopes=("usage:read",))[1])
    (upload,) = Upload.across_organizations.all()
    assert reader.send("GET", f"/upload/weather/{upload.pk}").status_code == 200


def test_without_its_room_there_is_no_such_product(alice: Person) -> None:
    problem(send_report(alice.api, SUNNY), 404, "not_found")
    assert weather.REPORT_JOB not in {each.name for each in jobs.job_types()}


def test_a_type_is_registered_once_and_its_product_has_one_area(room: None) -> None:
    with pytest.raises(ValueError, match="weather/report"):
        registry.register(weather.REPORT)
    with pytest.raises(ValueError, match="weather has an area"):
        registry.register(replace(weather.REPORT, name="other", area="insight", job=None))
    assert [each.name for each in registry.payload_types() if each.product == "weather"] == [
        "report"
    ]


def test_the_wire_names_the_types_that_are_registered() -> None:
    found: dict[str, list[str]] = {}
    for each in registry.payload_types():
        if each.matches is None:
            found.setdefault(each.product, []).append(each.name)
    assert found == {product: list(types) for product, types in UPLOAD_TYPES.items()}
    assert set(registry.areas().values()) <= set(AREAS)


def golden(each: registry.PayloadType) -> bytes:
    """A document of the type, as both sides of the wire have it."""
    if each.document is bytes:
        return png()
    if each.document is dict:
        return b'{"any": ["object"]}'
    name = "analysis-results-full" if each.document is AnalysisResults else each.name
    return (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize("each", registry.payload_types(), ids=lambda each: each.name)
def test_what_an_entry_says_is_so(each: registry.PayloadType, alice: Person) -> None:
    """The document that it names is taken, and makes what it says."""
    payload = golden(each)
    if each.document not in (bytes, dict):
        msgspec.json.decode(payload, type=each.document)
    upload_type = each.name.replace("<name>", "ruff")
    assert registry.find(each.product, upload_type) == each
    body = envelope(payload, upload_type, metadata={"projectName": "Website"})
    answer = alice.api.send("POST", f"/upload/{each.product}", body)
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    made = {"run": "runId", "test": "testId"}.get(each.makes or "")
    assert set(told) == {"uploadId", "url"} | ({made} if made else set())
    if made:
        UUID(told[made])
        page = alice.page().get("/" + told["url"].split("/", 3)[3])
        assert page.status_code == 200
    status = alice.api.send("GET", f"/upload/{each.product}/{told['uploadId']}").json()
    assert status.get(made or "") == told.get(made or "")
    assert status["state"] == "completed"
    refused = envelope(json.dumps([1]).encode(), upload_type, metadata={"projectName": "Website"})
    answer = alice.api.send("POST", f"/upload/{each.product}", refused)
    assert answer.status_code in (400, 415, 422), answer.content
    assert answer.json()["retryable"] is False
