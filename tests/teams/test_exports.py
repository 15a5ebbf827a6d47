"""Exports: asked for, made by a job, fetched, gone after a week."""

from __future__ import annotations

import hashlib
import json
import threading
import tracemalloc
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from zipfile import ZipFile

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import exports as exporting
from accounts.models import Project
from accounts.services import create_api_key, create_project
from insight.models import Issue, Stream, Triage
from insight.services import triage_issues
from jobs import execution, services
from jobs.claims import Claim, claim
from jobs.models import Job, State
from storage.collecting import cleaning, sweeping
from storage.configuration import object_store
from storage.generated import placed_file
from storage.models import StoredFile, Walk
from storage.objects.local import LocalStore
from teams.exports import services as exports
from tests.autopilot.ledgers import ledger
from tests.autopilot.ledgers import send as send_ledger
from tests.cast import PASSWORD, Api, Person
from tests.guardian.results import png, results
from tests.guardian.results import send as send_results
from tests.insight.documents import document, finding, send
from tests.storage.collecting.test_sweeping import another_session

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = {
    "audit", "autopilot-runs", "autopilot-trust", "files", "guardian-screenshots",
    "guardian-tests", "insight-issues", "insight-runs", "insight-triage", "jobs", "members",
    "projects", "uploads",
}  # fmt: skip


def asked(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.send("POST", "/exports", body)
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def told(api: Api, export_id: str) -> dict[str, Any]:
    answer = api.send("GET", f"/exports/{export_id}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def fetched(api: Api, file_id: str) -> ZipFile:
    answer = api.send("GET", f"/storage/download-url?fileId={file_id}")
    assert answer.status_code == 200, answer.content
    got = Api(None).get(urlsplit(answer.json()["downloadUrl"]).path)
    return ZipFile(BytesIO(b"".join(got.streaming_content)))


def made(api: Api, **body: Any) -> ZipFile:
    export = asked(api, **body)
    assert execution.run(export["id"])
    after = told(api, export["id"])
    assert (after["state"], after["progress"]) == ("completed", 100), after
    return fetched(api, after["fileId"])


def rows(archive: ZipFile, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{table}.ndjson").splitlines()]


@pytest.fixture
def busy(alice: Person, bob: Person, charlie: Person, website: Project) -> Project:
    """Acme has runs in two projects, a decision about an issue, and a neighbour with his own."""
    create_project(by=alice.principal, name="App")
    for person, name in ((alice, "Website"), (alice, "App"), (charlie, "Theirs")):
        payload = document({"a.py": [finding(f"first {name}"), finding(f"second {name}")]})
        assert send(person.api, payload, projectName=name).status_code == 201
    issues = Issue.objects.for_organization(alice.organization)
    first = issues.filter(message="about first Website")
    triage_issues(issues=first, state=Triage.ACCEPTED, reason="known", by=alice.principal)
    return website


def test_an_export_holds_everything_of_the_organization_and_nothing_else(
    alice: Person, busy: Project
) -> None:
    archive = made(alice.api)
    assert set(archive.namelist()) == {f"{name}.ndjson" for name in TABLES} | {"manifest.json"}
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["organization"], manifest["projectId"]) == ("Acme", None)
    for file in manifest["files"]:
        data = archive.read(file["name"])
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert (file["bytes"], file["rows"]) == (len(data), len(data.splitlines()))
    assert {each["name"] for each in rows(archive, "projects")} == {"Website", "App"}
    assert {each["email"] for each in rows(archive, "members")} == {
        "alice@example.com", "bob@example.com",
    }  # fmt: skip
    assert {each["message"] for each in rows(archive, "insight-issues")} == {
        "about first Website", "about second Website", "about first App", "about second App",
    }  # fmt: skip
    assert len(rows(archive, "insight-runs")) == len(rows(archive, "uploads")) == 2
    (decision,) = rows(archive, "insight-triage")
    assert (decision["triage"], decision["reason"]) == ("accepted", "known")
    assert decision["actor"] == "alice@example.com"
    assert "export.started" in {each["action"] for each in rows(archive, "audit")}
    assert [each["type"] for each in rows(archive, "jobs")] == ["teams.export"]


def test_all_three_products_are_in_it(alice: Person, busy: Project) -> None:
    send_ledger(alice.api, ledger())
    recipes = {"recipes": [{"recipe": "unused-import", "trust": 0.5}]}
    send_ledger(alice.api, recipes, "recipe-trust", projectName="App")
    send_results(alice.api, results())
    send_results(alice.api, png(), "screenshot", testRunId="test-1", fileName="home.png")
    archive = made(alice.api)
    assert [each["runId"] for each in rows(archive, "autopilot-runs")] == ["run-1"]
    assert [each["trust"] for each in rows(archive, "autopilot-trust")] == [0.5]
    assert [each["testRunId"] for each in rows(archive, "guardian-tests")] == ["test-1"]
    assert [each["name"] for each in rows(archive, "guardian-screenshots")] == ["home.png"]
    assert rows(made(alice.api, projectId="website"), "autopilot-trust") == []


def test_no_secret_is_in_it(alice: Person, bob: Person, busy: Project) -> None:
    archive = made(alice.api)
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    for secret in (alice.token, bob.token, alice.key.digest, alice.user.password, PASSWORD):
        assert secret not in everything


def test_a_project_is_exported_by_itself(alice: Person, busy: Project) -> None:
    archive = made(alice.api, projectId="website")
    assert set(archive.namelist()) == {
        f"{name}.ndjson" for name in TABLES - {"audit", "members"}
    } | {"manifest.json"}
    assert [each["name"] for each in rows(archive, "projects")] == ["Website"]
    assert {each["message"] for each in rows(archive, "insight-issues")} == {
        "about first Website", "about second Website",
    }  # fmt: skip


def test_who_may_ask_and_who_may_fetch(
    alice: Person, bob: Person, charlie: Person, website: Project
) -> None:
    export = asked(alice.api)
    execution.run(export["id"])
    file_id = told(alice.api, export["id"])["fileId"]
    for method, path in (
        ("POST", "/exports"),
        ("GET", "/exports"),
        ("GET", f"/exports/{export['id']}"),
    ):
        assert bob.api.send(method, path, {}).json()["code"] == "missing_scope"
    assert charlie.api.send("GET", f"/exports/{export['id']}").status_code == 404
    assert charlie.api.send("GET", "/exports").json()["items"] == []
    for person in (bob, charlie):
        answer = person.api.send("GET", f"/storage/download-url?fileId={file_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert charlie.api.send("POST", "/exports", {"projectId": "website"}).status_code == 404


def test_a_key_that_is_bound_to_a_project_exports_that_one(alice: Person, busy: Project) -> None:
    _, token = create_api_key(
        by=alice.principal, name="k", project=busy, scopes=("projects:admin", "storage:read")
    )
    whole = asked(alice.api)
    api = Api(token)
    assert set(made(api).namelist()) == set(made(api, projectId="website").namelist())
    assert api.send("POST", "/exports", {"projectId": "app"}).status_code == 404
    assert api.send("GET", f"/exports/{whole['id']}").status_code == 404
    assert {each["projectId"] for each in api.send("GET", "/exports").json()["items"]} == {
        str(busy.pk)
    }


def test_the_same_export_is_made_once_at_a_time(alice: Person, website: Project) -> None:
    first = asked(alice.api)
    assert asked(alice.api)["id"] == first["id"]
    assert asked(alice.api, projectId="website")["id"] != first["id"]
    started = alice.api.send("GET", "/audit?action=export.started").json()["items"]
    assert len(started) == 2
    execution.run(first["id"])
    assert asked(alice.api)["id"] != first["id"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"projectId": "nowhere"}, 404), ({"projectId": ""}, 422), ({"odd": 1}, 422), ([], 422)],
)
def test_a_wrong_wish_is_told(alice: Person, body: Any, status: int) -> None:
    assert alice.api.send("POST", "/exports", body).status_code == status
    assert not Job.across_organizations.exists()


def test_an_archive_goes_after_a_week(alice: Person) -> None:
    export = asked(alice.api)
    execution.run(export["id"])
    file = StoredFile.across_organizations.get()
    assert timedelta(days=6, hours=23) < file.expires_at - timezone.now() <= timedelta(days=7)
    StoredFile.across_organizations.update(expires_at=timezone.now())
    assert told(alice.api, export["id"])["fileId"] is None
    assert cleaning.clean_up() == 1
    assert not object_store().exists(file.key)


@pytest.mark.parametrize(
    ("stop", "go_on"), [(services.pause, services.resume), (services.cancel, services.retry)]
)
def test_stopped_in_the_middle_nothing_is_left_and_later_it_is_made(
    alice: Person, busy: Project, stop: Any, go_on: Any
) -> None:
    """Stopped after the first table was written, before the archive is kept."""
    export = asked(alice.api)
    job = Job.across_organizations.get(pk=export["id"])
    table = exporting._tables["jobs"]

    def stopped() -> None:
        stop(Job.across_organizations.get(pk=job.pk))
        connection.close()

    def show(row: Any) -> Any:
        # By another session, as a person does it: the handler's own only reads.
        person = threading.Thread(target=stopped)
        person.start()
        person.join()
        return table.show(row)

    exporting.unregister("jobs")
    exporting.register("jobs", table.rows, show)
    try:
        execution.run(job.pk)
    finally:
        exporting.unregister("jobs")
        exporting.register("jobs", table.rows, table.show)
    job.refresh_from_db()
    assert job.state in (State.PAUSED, State.CANCELLED)
    assert not StoredFile.across_organizations.exists()

    go_on(job)
    execution.run(job.pk)
    after = told(alice.api, export["id"])
    assert after["state"] == "completed"
    assert fetched(alice.api, after["fileId"]).testzip() is None


def test_an_archive_under_way_is_no_orphan_and_a_lost_one_is(
    alice: Person, settings: Any, tmp_path: Path
) -> None:
    settings.ODAVL_DATA, settings.STORAGE_GRACE_HOURS = tmp_path, -1
    export = asked(alice.api)
    held = claim(export["id"])
    assert held is not None
    wanted = exports._made(held.job, None)
    with placed_file(wanted, [b"an archive"]) as file, transaction.atomic():
        file.save(force_insert=True)
        transaction.set_rollback(True)
    assert object_store().exists(file.key)
    assert sweeping.sweep(seconds=60) == 1
    assert not object_store().exists(file.key)

    Walk.objects.update(finished_at=None)
    with another_session(
        lambda made: made.save(force_insert=True), placed_file(wanted, [b"an archive"])
    ):
        assert sweeping.sweep(seconds=60) == 0
    assert object_store().exists(file.key)


def test_a_full_disk_is_tried_again(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: LocalStore, key: str, pieces: Any, **_: Any) -> int:
        raise exports.StorageFull("The hub's disk is full; nothing was stored.")

    export = asked(alice.api)
    with monkeypatch.context() as patched:
        patched.setattr(LocalStore, "put", full)
        execution.run(export["id"])
    after = told(alice.api, export["id"])
    assert (after["state"], after["problem"]["code"]) == ("delayed", "storage_full")


def test_its_size_costs_no_memory(alice: Person, website: Project) -> None:
    stream = Stream.objects.for_organization(alice.organization).create(
        organization=alice.organization, project=website, branch="main"
    )
    text = "x" * 2_000
    Issue.across_organizations.bulk_create(
        (
            Issue(
                stream=stream, identity=uuid4(), fingerprint=uuid4(), content=1, severity=1,
                line=1, column=1, introduced=1, suppressed=False, detector="d", rule="r",
                path=f"{number}.py", message=text, snippet=text, fix="", url="",
            )
            for number in range(15_000)
        ),
        batch_size=1_000,
    )  # fmt: skip
    export = asked(alice.api)
    tracemalloc.start()
    try:
        execution.run(export["id"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    archive = fetched(alice.api, told(alice.api, export["id"])["fileId"])
    assert archive.getinfo("insight-issues.ndjson").file_size > 60_000_000
    assert peak < 30_000_000


def test_progress_moves(alice: Person, busy: Project) -> None:
    export = asked(alice.api)
    held = claim(export["id"])
    assert held is not None
    noted = Noted(held)
    exports.run_export(noted)
    assert noted.percent == sorted(noted.percent)
    assert noted.percent[-1] == 100
    assert len(noted.percent) > 5


class Noted:
    """A claim that keeps what was noted."""

    def __init__(self, held: Claim) -> None:
        self.job, self.complete, self.percent = held.job, held.complete, []

    def note(self, percent: int) -> None:
        self.percent.append(percent)


def test_the_button_is_for_who_administers(alice: Person, bob: Person) -> None:
    for person, there in ((alice, True), (bob, False)):
        page = person.page().get("/en/acme/storage/")
        assert ("Export all data" in page.content.decode()) is there
    assert bob.page().post("/en/acme/export/").status_code == 403
    answer = alice.page().post("/en/acme/export/", follow=True)
    assert "The export is being made" in answer.content.decode()
    assert "Exporting data" in answer.content.decode()
    job = Job.across_organizations.get()
    execution.run(job.pk)
    listed = alice.page().get("/en/acme/sync/jobs/").content.decode()
    assert "/en/acme/storage/?type=data-export" in listed
    assert "acme-export-" in alice.page().get("/en/acme/storage/?type=data-export").content.decode()
