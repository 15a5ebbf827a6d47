"""What comes beside a ledger: in which order, how large, and which of a type is the latest."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import connection

from accounts.models import Project
from autopilot import receiving
from autopilot.models import RecipeTrust, SideDocument
from odavl.wire import limits
from tests.autopilot.ledgers import send
from tests.cast import Api, Person
from tests.problems import problem


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def day(number: int) -> str:
    return f"2026-01-{number:02}T00:00:00Z"


def trust(at: str | None, **recipes: float) -> dict[str, Any]:
    rows = [{"recipe": name, "trust": value} for name, value in recipes.items()]
    return {"recipes": rows, **({"updatedAt": at} if at else {})}


def known(api: Api, project: str = "website") -> dict[str, float]:
    """What is known of the project's recipes."""
    items = api.send("GET", f"/autopilot/trust?project={project}").json()["items"]
    return {item["recipe"]: item["trust"] for item in items}


def latest(api: Api, upload_type: str) -> Any:
    """The document that can be had as the latest of its type."""
    answer = api.send("GET", f"/autopilot/documents/{upload_type}?project=website")
    assert answer.status_code == 200, answer.content
    return json.loads(answer.getvalue())


# ── In any order ─────────────────────────────────────────────────────────────

REPORTS = [trust(day(1), a=0.1, gone=0.5), trust(day(2), a=0.2), trust(day(3), a=0.3, new=0.9)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_reports_of_trust_in_any_order_end_in_the_latest(api: Api, order: tuple[int, ...]) -> None:
    so_far = -1
    for place in order:
        assert send(api, REPORTS[place], "recipe-trust").status_code == 201
        so_far = max(so_far, place)
        assert known(api) == {row["recipe"]: row["trust"] for row in REPORTS[so_far]["recipes"]}
        assert latest(api, "recipe-trust") == REPORTS[so_far]
    assert SideDocument.across_organizations.count() == 3  # each is kept


def test_the_same_report_may_come_again_after_a_later_one(api: Api) -> None:
    """a, b, a."""
    for place in (0, 1, 0):
        send(api, REPORTS[place], "recipe-trust")
    assert known(api) == {"a": 0.2}


def test_of_two_reports_of_one_moment_the_one_that_came_last_holds(api: Api) -> None:
    send(api, trust(day(1), a=0.1), "recipe-trust")
    send(api, trust(day(1), a=0.7), "recipe-trust")
    assert known(api) == {"a": 0.7}
    assert latest(api, "recipe-trust") == trust(day(1), a=0.7)


def test_an_empty_report_forgets_all_recipes(api: Api) -> None:
    send(api, REPORTS[0], "recipe-trust")
    send(api, trust(day(2)), "recipe-trust")
    assert known(api) == {}


def test_a_recipe_that_stands_twice_counts_as_it_stands_last(api: Api) -> None:
    rows = [{"recipe": "a", "trust": 0.1}, {"recipe": "b", "trust": 1}, {"recipe": "a", "trust": 1}]
    send(api, {"recipes": rows}, "recipe-trust")
    assert known(api) == {"a": 1.0, "b": 1.0}


def test_trust_is_a_projects_own(api: Api, charlie: Person) -> None:
    send(api, trust(day(2), a=0.1), "recipe-trust")
    send(api, trust(day(1), a=0.2), "recipe-trust", projectName="Other")
    send(charlie.api, trust(day(1), a=0.3), "recipe-trust")
    assert [known(api), known(api, "other"), known(charlie.api)] == [
        {"a": 0.1}, {"a": 0.2}, {"a": 0.3},
    ]  # fmt: skip


def test_a_later_history_does_not_shut_out_a_report_of_trust(api: Api) -> None:
    send(api, {"runs": [], "updatedAt": day(9)}, "run-history")
    send(api, {"createdAt": day(9)}, "snapshot")
    send(api, trust(day(1), a=0.1), "recipe-trust")
    assert known(api) == {"a": 0.1}


@pytest.mark.django_db(transaction=True)
def test_reports_that_come_at_once_leave_one_of_them_whole(alice: Person, website: Project) -> None:
    reports = [trust(day(n), **{f"r{n}-{each}": n / 10 for each in range(20)}) for n in range(1, 7)]
    ready = threading.Barrier(len(reports))
    answers: list[Any] = []

    def one(report: dict[str, Any]) -> None:
        try:
            ready.wait()
            answers.append(send(alice.api, report, "recipe-trust"))
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(report,)) for report in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 6
    rows = RecipeTrust.across_organizations.values_list("recipe", "trust")
    assert dict(rows) == {row["recipe"]: row["trust"] for row in reports[-1]["recipes"]}


# ── When it was written ──────────────────────────────────────────────────────


def as_of() -> datetime:
    found: datetime = SideDocument.across_organizations.get().as_of
    return found


WRITTEN = {
    "snapshot": ("createdAt", {"files": {}}),
    "recipe-trust": ("updatedAt", {"recipes": []}),
    "run-history": ("updatedAt", {"runs": []}),
}
TYPES = pytest.mark.parametrize("upload_type", list(WRITTEN))


@TYPES
def test_a_document_is_of_the_time_that_it_says(api: Api, upload_type: str) -> None:
    member, document = WRITTEN[upload_type]
    send(api, {**document, member: day(2)}, upload_type, timestamp=day(5))
    assert as_of() == datetime(2026, 1, 2, tzinfo=UTC)


@TYPES
def test_else_of_the_time_at_which_it_was_sent(api: Api, upload_type: str) -> None:
    send(api, WRITTEN[upload_type][1], upload_type, timestamp=day(5))
    assert as_of() == datetime(2026, 1, 5, tzinfo=UTC)


@TYPES
@pytest.mark.parametrize("told", ["", "yesterday", "2026-01-05T00:00:00"])
def test_else_of_now(api: Api, upload_type: str, told: str) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    send(api, WRITTEN[upload_type][1], upload_type, timestamp=told)
    assert before < as_of() < datetime.now(UTC) + timedelta(minutes=1)


@TYPES
def test_never_of_the_future(api: Api, upload_type: str) -> None:
    member, document = WRITTEN[upload_type]
    send(api, {**document, member: "2900-01-01T00:00:00Z"}, upload_type)
    assert as_of() <= datetime.now(UTC) + timedelta(minutes=1)


@TYPES
def test_the_latest_of_a_type_is_the_one_that_was_written_last(api: Api, upload_type: str) -> None:
    member, document = WRITTEN[upload_type]
    for number in (2, 3, 1):
        send(api, {**document, member: day(number)}, upload_type)
    assert latest(api, upload_type)[member] == day(3)
    [item] = api.send("GET", "/autopilot/documents?project=website").json()["items"]
    assert (item["type"], item["updatedAt"]) == (upload_type, day(3))


# ── Which run it belongs to ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("document", "metadata", "run_id"),
    [
        ({"runId": "own"}, {}, "own"),
        ({"runId": "own"}, {"runId": "told"}, "own"),
        ({}, {"runId": "told"}, "told"),
        ({}, {}, None),
        ({"runId": "r" * 300}, {}, "r" * 199 + "…"),
        ({"runId": "a\x00"}, {}, "a␀"),
    ],
)
def test_a_snapshot_names_its_run(
    api: Api, document: dict[str, Any], metadata: dict[str, str], run_id: str | None
) -> None:
    assert send(api, document, "snapshot", **metadata).status_code == 201
    [item] = api.send("GET", "/autopilot/documents?project=website").json()["items"]
    assert item["runId"] == run_id


# ── Bounds ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("more", "status"), [(0, 201), (1, 422)])
def test_a_report_has_so_many_recipes_and_no_more(api: Api, more: int, status: int) -> None:
    count = receiving.MAX_RECIPES + more
    rows = [{"recipe": f"r{number}", "trust": 1} for number in range(count)]
    assert send(api, {"recipes": rows}, "recipe-trust").status_code == status
    assert RecipeTrust.across_organizations.count() == (receiving.MAX_RECIPES if not more else 0)


@pytest.mark.parametrize(("upload_type", "member"), [("recipe-trust", "recipes"),
                                                     ("run-history", "runs")])  # fmt: skip
@pytest.mark.parametrize(("more", "status"), [(0, 201), (1, 413)])
def test_a_document_that_is_held_has_a_size(
    api: Api, upload_type: str, member: str, more: int, status: int
) -> None:
    body = json.dumps({member: [], "more": ""}).encode()
    missing = receiving.MAX_DOCUMENT_SIZE - len(body) + more
    body = body.replace(b'""', b'"' + b"m" * missing + b'"')
    assert len(body) == receiving.MAX_DOCUMENT_SIZE + more
    assert send(api, body, upload_type).status_code == status


@pytest.mark.parametrize(("more", "run_id"), [(0, "own"), (1, None)])
def test_a_snapshot_that_is_too_large_to_be_held_is_kept_unread(
    api: Api, more: int, run_id: str | None
) -> None:
    body = json.dumps({"runId": "own", "files": {"a": ""}}).encode()
    missing = limits.MAX_ENVELOPE_SIZE - len(body) + more
    body = body.replace(b'""', b'"' + b"m" * missing + b'"')
    assert send(api, body, "snapshot").status_code == 201
    [item] = api.send("GET", "/autopilot/documents?project=website").json()["items"]
    assert (item["runId"], item["payload"]["size"]) == (run_id, len(body))


def test_even_one_that_is_kept_unread_is_an_object(api: Api) -> None:
    body = b'["' + b"m" * limits.MAX_ENVELOPE_SIZE + b'"]'
    problem(send(api, body, "snapshot"), 422, "invalid_payload")
    assert not SideDocument.across_organizations.exists()


@TYPES
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"runs":[]', b'{"recipes":[{]}'])
def test_what_is_cut_or_no_object_leaves_nothing(api: Api, upload_type: str, body: bytes) -> None:
    send(api, trust(day(1), a=0.5), "recipe-trust")
    assert send(api, body, upload_type).status_code in (400, 422)
    assert SideDocument.across_organizations.count() == 1
    assert known(api) == {"a": 0.5}


@pytest.mark.parametrize(
    "row",
    [
        {"trust": -0.01}, {"trust": 1.01}, {"trust": None}, {"trust": "1"}, {"runs": -1},
        {"runs": 2**31}, {"successes": -1}, {"failures": 2**31}, {"blocked": 1}, {"recipe": ""},
        {"recipe": "r" * 201}, {"recipe": None},
    ],
)  # fmt: skip
def test_a_row_of_trust_that_does_not_fit_is_told_and_replaces_nothing(
    api: Api, row: dict[str, Any]
) -> None:
    send(api, trust(day(1), a=0.5), "recipe-trust")
    good = {"recipe": "b", "trust": 1}
    answer = send(api, {"recipes": [good, {**good, **row}]}, "recipe-trust")
    [name] = row
    problem(answer, 422, "invalid_payload", pointer=f"/recipes/1/{name}")
    assert known(api) == {"a": 0.5}


@pytest.mark.parametrize("name", ["trust", "runs", "successes", "failures"])
def test_a_row_of_trust_takes_its_bounds_themselves(api: Api, name: str) -> None:
    most = 1 if name == "trust" else 2**31 - 1
    rows = [{"recipe": "low", "trust": 0, name: 0}, {"recipe": "high", "trust": 0, name: most}]
    assert send(api, {"recipes": rows}, "recipe-trust").status_code == 201
    items = api.send("GET", "/autopilot/trust?sort=recipe").json()["items"]
    assert [item[name] for item in items] == [most, 0]
