"""``POST /api/v1/upload/autopilot``: what is taken, and how what is wrong is answered."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connection

from accounts.models import Project
from autopilot.models import Cycle, RecipeTrust
from jobs import execution
from jobs.models import Job, State
from odavl.wire.encoding import sha256_hex
from tests.autopilot.ledgers import edit, ledger, run_of, send
from tests.cast import Api, Person
from tests.insight.documents import envelope
from tests.problems import problem
from tests.wire.test_golden import GOLDEN


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def large(run_id: str = "run-1", **fields: Any) -> dict[str, Any]:
    """A ledger of more than a megabyte."""
    edits = [edit(f"src/f{n}.py", diff="+" * 1_000) for n in range(1_200)]
    return ledger(run_id, edits=edits, **fields)


def test_a_ledger_makes_a_run(api: Api) -> None:
    answer = send(api, ledger())
    assert answer.status_code == 201, answer.content
    assert set(answer.json()) == {"uploadId", "runId", "url"}
    assert answer.json()["url"].endswith(f"/acme/autopilot/{answer.json()['runId']}/")
    run = run_of(answer, api)
    assert (run["runId"], run["phase"], run["trustScore"]) == ("run-1", "completed", 0.75)
    assert (run["editsKept"], run["editsReverted"], run["findingsClosed"]) == (1, 1, 1)
    assert run["filesModified"] == 1
    assert run["qualityImproved"] is True
    assert (run["startedAt"], run["finishedAt"]) == ("2026-01-02T03:04:05Z", "2026-01-02T03:04:15Z")
    assert run["phases"]["act"] == {
        "status": "completed", "durationMs": 120, "metrics": {"findings": 3},
    }  # fmt: skip
    kept, reverted = run["edits"]
    assert (kept["path"], kept["verdict"]) == ("src/app.py", "kept")
    assert (reverted["verdict"], reverted["reason"]) == ("reverted", "Two tests failed.")
    assert kept["diff"].startswith("--- a/src/app.py")


def test_the_ledger_can_be_had_as_it_was_sent(api: Api) -> None:
    sent = ledger()
    run = run_of(send(api, sent), api)
    body = json.dumps(sent).encode()
    assert run["payload"]["sha256"] == sha256_hex(body)
    got = api.get(run["payload"]["downloadUrl"].split("8000", 1)[-1])
    assert got.getvalue() == body


def test_the_least_ledger(api: Api) -> None:
    run = run_of(send(api, {"runId": "r", "startedAt": "2026-01-02T03:04:05+02:00"}), api)
    assert (run["phase"], run["finishedAt"], run["trustScore"]) == ("completed", None, None)
    assert (run["filesModified"], run["edits"], run["phases"]) == (0, [], {})
    assert run["startedAt"] == "2026-01-02T01:04:05Z"


@pytest.mark.parametrize("modified", [["a.py", "b.py"], 2, None])
def test_modified_files_are_counted_named_or_found_in_the_edits(api: Api, modified: object) -> None:
    edits = [edit("a.py"), edit("b.py"), edit("./b.py"), edit("c.py", verdict="reverted")]
    assert run_of(send(api, ledger(edits=edits, filesModified=modified)), api)["filesModified"] == 2


def test_the_same_ledger_again_is_the_same_run(api: Api) -> None:
    first = send(api, ledger())
    second = send(api, ledger())
    assert second.status_code == 201
    assert second.json()["runId"] == first.json()["runId"]
    assert second.json()["url"] == first.json()["url"]
    assert Cycle.across_organizations.count() == 1


def test_another_ledger_of_the_same_run_is_a_duplicate(api: Api, charlie: Person) -> None:
    send(api, ledger())
    problem(send(api, ledger(trustScore=0.5)), 409, "duplicate", pointer="/runId")
    problem(send(api, ledger(), projectName="Other"), 409, "duplicate", pointer="/runId")
    assert send(charlie.api, ledger(trustScore=0.5)).status_code == 201
    assert Cycle.across_organizations.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_same_ledger_sent_many_times_at_once_is_one_run(api: Api, alice: Person) -> None:
    send(api, {"runs": []}, "run-history")  # makes the project
    answers: list[Any] = []

    def one() -> None:
        try:
            answers.append(send(alice.api, ledger()))
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.json()["runId"] for answer in answers}) == 1
    assert Cycle.across_organizations.count() == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"runId": ""}, "/runId"),
        ({"runId": "r" * 201}, "/runId"),
        ({"runId": None}, "/runId"),
        ({"startedAt": "yesterday"}, "/startedAt"),
        ({"startedAt": "2026-01-01T00:00:00"}, "/startedAt"),
        ({"startedAt": "0001-01-01T00:00:00+14:00"}, "/startedAt"),
        ({"finishedAt": "9999-12-31T23:59:59-14:00"}, "/finishedAt"),
        ({"phase": "sleep"}, "/phase"),
        ({"phases": []}, "/phases"),
        ({"phases": {"act": {"status": 1}}}, "/phases/act/status"),
        ({"phases": {"act": {"status": "ok", "durationMs": -1}}}, "/phases/act/durationMs"),
        ({"trustScore": 75}, "/trustScore"),
        ({"trustScore": "high"}, "/trustScore"),
        ({"filesModified": -1}, "/filesModified"),
        ({"qualityImproved": "yes"}, "/qualityImproved"),
        ({"edits": {}}, "/edits"),
        ({"edits": None}, "/edits"),
        ({"edits": [edit(), 1]}, "/edits/1"),
        ({"edits": [{"recipe": "x"}]}, "/edits/0"),
        ({"edits": [edit("../x")]}, "/edits/0/path"),
        ({"edits": [edit("/etc/passwd")]}, "/edits/0/path"),
        ({"edits": [edit("C:\\x")]}, "/edits/0/path"),
        ({"edits": [edit(), edit(verdict="maybe")]}, "/edits/1/verdict"),
        ({"edits": [edit(findingsClosed=[1])]}, "/edits/0/findingsClosed/0"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    api: Api, change: dict[str, Any], pointer: str
) -> None:
    problem(send(api, ledger(**change)), 422, "invalid_payload", pointer=pointer)
    assert not Cycle.across_organizations.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"runId":"a"} x', b"\xff"])
def test_what_is_no_document_is_refused(api: Api, body: bytes) -> None:
    assert send(api, body).status_code in (400, 422)


def test_edits_stand_only_once(api: Api) -> None:
    body = b'{"runId":"a","startedAt":"2026-01-01T00:00:00Z","edits":[],"edits":[]}'
    problem(send(api, body), 422, "invalid_payload", pointer="/edits")


def test_strange_texts_are_kept_with_a_mark_and_long_ones_shortened(api: Api) -> None:
    body = json.dumps(
        ledger(
            "run\x00",
            selectedRecipe="r" * 300,
            edits=[edit("a\x00.py", recipe="x\x00", diff="d" * 70_000, reason="r" * 5_000)],
            phases={"act": {"status": "s" * 50, "metrics": {"a\x00": "\x00", "big": 10**40,
                            "list": [1], "none": None, "yes": True, "x" * 200: 1.5}}},
        )
    ).encode()  # fmt: skip
    body = body.replace(b'"unused-import"', b'"lone \\ud800"')
    run = run_of(send(api, body), api)
    assert run["runId"] == "run␀"
    assert run["selectedRecipe"] == "r" * 199 + "…"
    [shown] = run["edits"]
    assert (shown["path"], shown["recipe"]) == ("a␀.py", "x␀")
    assert (len(shown["diff"]), len(shown["reason"])) == (65_536, 4_000)
    act = run["phases"]["act"]
    assert act["status"] == "s" * 39 + "…"
    assert act["metrics"] == {"a␀": "␀", "yes": True, "x" * 99 + "…": 1.5}


def test_more_edits_than_are_shown_are_counted_all(api: Api) -> None:
    run = run_of(send(api, ledger(edits=[edit(f"{n}.py", diff="") for n in range(250)])), api)
    assert (run["editsKept"], len(run["edits"])) == (250, 200)


@pytest.mark.parametrize("name", ["ledger", "snapshot", "recipe-trust", "run-history"])
def test_the_hub_takes_the_golden_documents(api: Api, name: str) -> None:
    answer = send(api, (GOLDEN / f"{name}.json").read_bytes(), name)
    assert answer.status_code == 201, answer.content


# ── Large ────────────────────────────────────────────────────────────────────


@pytest.mark.django_db(transaction=True)
def test_a_large_ledger_is_taken_in_by_a_job(api: Api) -> None:
    answer = send(api, large())
    assert answer.status_code == 202, answer.content
    status_path = answer.json()["statusUrl"].split("/api/v1", 1)[1]
    assert api.send("GET", status_path).json()["state"] == "pending"
    assert execution.run(answer.json()["jobId"])
    status = api.send("GET", status_path).json()
    assert (status["state"], status["progress"]) == ("completed", 100)
    run = api.send("GET", f"/autopilot/runs/{status['runId']}").json()
    assert (run["editsKept"], len(run["edits"])) == (1_200, 200)
    assert status["url"] == run["url"]
    job = api.send("GET", f"/jobs/{answer.json()['jobId']}").json()
    assert (job["type"], job["state"]) == ("autopilot.ledger", "completed")


@pytest.mark.django_db(transaction=True)
def test_a_job_that_runs_again_changes_nothing(api: Api) -> None:
    answer = send(api, large())
    assert execution.run(answer.json()["jobId"])
    before = Cycle.across_organizations.get()
    Job.across_organizations.update(state=State.WAITING)
    assert execution.run(answer.json()["jobId"])
    assert Cycle.across_organizations.get() == before


@pytest.mark.django_db(transaction=True)
def test_a_large_ledger_that_does_not_fit_fails_with_its_reason(api: Api) -> None:
    edits = [*large()["edits"], edit(verdict="maybe")]
    bad = send(api, ledger(edits=edits))
    assert execution.run(bad.json()["jobId"])
    Job.across_organizations.all().delete()  # its clean-up after a week
    status = api.send("GET", f"/upload/autopilot/{bad.json()['uploadId']}").json()
    assert (status["state"], status["problem"]["code"]) == ("failed", "invalid_payload")
    assert status["problem"]["errors"][0]["pointer"] == "/edits/1200/verdict"


@pytest.mark.django_db(transaction=True)
def test_another_large_ledger_of_a_run_fails_as_a_duplicate(api: Api) -> None:
    send(api, ledger())
    answer = send(api, large())
    assert execution.run(answer.json()["jobId"])
    status = api.send("GET", f"/upload/autopilot/{answer.json()['uploadId']}").json()
    assert (status["state"], status["problem"]["code"]) == ("failed", "duplicate")
    assert Cycle.across_organizations.count() == 1


# ── Beside a ledger ──────────────────────────────────────────────────────────


def trust(at: str | None, **recipes: float) -> dict[str, Any]:
    rows = [{"recipe": name, "trust": value, "runs": 4} for name, value in recipes.items()]
    return {"recipes": rows, **({"updatedAt": at} if at else {})}


def known(api: Api) -> dict[str, float]:
    return {
        row["recipe"]: row["trust"] for row in api.send("GET", "/autopilot/trust").json()["items"]
    }


def test_recipe_trust_is_read_and_replaced(api: Api) -> None:
    answer = send(api, trust("2026-01-01T00:00:00Z", first=0.5, gone=1), "recipe-trust")
    assert answer.status_code == 201, answer.content
    assert set(answer.json()) == {"uploadId", "url"}
    assert known(api) == {"first": 0.5, "gone": 1.0}
    send(api, trust("2026-01-02T00:00:00Z", first=0.6), "recipe-trust")
    assert known(api) == {"first": 0.6}


def test_recipe_trust_that_waited_in_a_queue_does_not_pass_for_the_latest(api: Api) -> None:
    send(api, trust("2026-01-02T00:00:00Z", first=0.6), "recipe-trust")
    late = send(api, trust("2026-01-01T00:00:00Z", first=0.1), "recipe-trust")
    assert late.status_code == 201
    assert known(api) == {"first": 0.6}
    send(api, trust(None, first=0.2), "recipe-trust", timestamp="2026-01-01T12:00:00Z")
    assert known(api) == {"first": 0.6}


def test_a_clock_that_is_years_ahead_does_not_shut_out_what_comes_later(api: Api) -> None:
    send(api, trust("2900-01-01T00:00:00Z", first=0.1), "recipe-trust")
    send(api, trust(None, first=0.9), "recipe-trust")
    assert known(api) == {"first": 0.9}


@pytest.mark.parametrize(
    ("upload_type", "payload", "pointer"),
    [
        ("recipe-trust", {}, ""),
        ("recipe-trust", {"recipes": [{"recipe": "x", "trust": 1.1}]}, "/recipes/0/trust"),
        ("recipe-trust", {"recipes": [{"recipe": "", "trust": 1}]}, "/recipes/0/recipe"),
        ("recipe-trust", {"recipes": [{"recipe": "x", "trust": 1}] * 5_001}, "/recipes"),
        ("run-history", {"runs": [{"runId": "a"}]}, "/runs/0"),
        ("run-history", [], ""),
        ("snapshot", {"files": {"a.py": 1}}, "/files/*"),
        ("snapshot", {"createdAt": "1900-01-01T00:00:00Z"}, "/createdAt"),
    ],
)
def test_a_document_that_does_not_fit(
    api: Api, upload_type: str, payload: Any, pointer: str
) -> None:
    problem(send(api, payload, upload_type), 422, "invalid_payload", pointer=pointer)
    assert not RecipeTrust.across_organizations.exists()


def test_the_latest_of_each_document_can_be_had(api: Api, website: Project) -> None:
    snapshot = {"snapshotId": "s", "runId": "run-1", "files": {"a.py": "x = 1\n", "new.py": None}}
    for at in ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"):
        assert send(api, {**snapshot, "createdAt": at}, "snapshot").status_code == 201
    send(api, {"runs": []}, "run-history", runId="run-1")
    items = api.send("GET", "/autopilot/documents?project=website").json()["items"]
    assert [(item["type"], item["runId"]) for item in items] == [
        ("run-history", "run-1"),
        ("snapshot", "run-1"),
    ]
    address = items[1]["payload"]["downloadUrl"].split("8000", 1)[-1]
    assert json.loads(api.get(address).getvalue())["createdAt"] == "2026-01-02T00:00:00Z"
    problem(api.send("GET", "/autopilot/documents/recipe-trust?project=website"), 404, "not_found")
    problem(api.send("GET", "/autopilot/documents/ledger?project=website"), 404, "not_found")
    problem(api.send("GET", "/autopilot/documents"), 400, "malformed_request")


def test_metadata_with_nul_is_no_fault_of_the_hub(api: Api) -> None:
    metadata = {"projectName": "Website", "runId": "a\x00b", "fileName": "x\x00"}
    body = envelope({"runs": []}, "run-history", metadata=metadata)
    answer = api.send("POST", "/upload/autopilot", body)
    assert answer.status_code in (201, 422), answer.content
