"""Runs and trust over the API: who sees which, filters, statistics."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Project
from accounts.services import create_api_key
from tests.autopilot.ledgers import edit, ledger, run_of, send
from tests.cast import Api, Person
from tests.problems import problem


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


@pytest.fixture
def runs(api: Api, website: Project) -> None:
    """Three runs of Website, one a day from the first of January, and one of Other."""
    reverted = edit(verdict="reverted")
    send(api, ledger("a", startedAt="2026-01-01T00:00:00Z"))
    send(api, ledger("b", startedAt="2026-01-02T00:00:00Z", phase="rolled-back", edits=[reverted]))
    send(api, ledger("c", startedAt="2026-01-03T00:00:00Z", phase="act", selectedRecipe="other"))
    send(api, ledger("d", startedAt="2026-01-04T00:00:00Z", phase="failed"), projectName="Other")


def listed(api: Api, query: str = "") -> Any:
    answer = api.send("GET", f"/autopilot/runs{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def names(api: Api, query: str = "") -> str:
    return "".join(item["runId"] for item in listed(api, query)["items"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"),
        ("?project=website", "cba"),
        ("?phase=rolled-back", "b"),
        ("?recipe=other", "c"),
        ("?runId=a", "a"),
        ("?since=2026-01-03T00:00:00Z", "dc"),
        ("?until=2026-01-03", "ba"),
        ("?since=2026-01-02&until=2026-01-03", "b"),
        ("?sort=startedAt", "abcd"),
        ("?limit=2", "dc"),
        ("?limit=2&offset=1", "cb"),
    ],
)
def test_runs_are_listed_and_filtered(api: Api, runs: None, query: str, found: str) -> None:
    assert names(api, query) == found


@pytest.mark.parametrize(
    "query", ["phase=sleep", "sort=colour", "since=yesterday", "until=9999-12-31", "limit=0",
              "since=2026-01-01T00:00:00%2B99:00", "cursor=x"]
)  # fmt: skip
def test_a_filter_that_cannot_be(api: Api, runs: None, query: str) -> None:
    answer = api.send("GET", f"/autopilot/runs?{query}")
    problem(answer, 400, "malformed_request", pointer=f"/query/{query.partition('=')[0]}")


@pytest.mark.parametrize("sort", ["-startedAt", "startedAt", "-findingsClosed", "-filesModified"])
def test_a_cursor_leads_through_all(api: Api, runs: None, sort: str) -> None:
    page = listed(api, f"?sort={sort}&limit=1")
    seen = [item["runId"] for item in page["items"]]
    while "next" in page:
        page = listed(api, f"?sort={sort}&limit=1&cursor={page['next']}")
        seen += [item["runId"] for item in page["items"]]
    assert sorted(seen) == ["a", "b", "c", "d"]


def test_statistics_are_those_of_all_that_is_wanted(api: Api, runs: None) -> None:
    page = listed(api, "?limit=1&project=website")
    assert page["total"] == 3
    assert page["statistics"] == {
        "runs": 3,
        "completed": 1,
        "rolledBack": 1,
        "failed": 0,
        "successRate": 0.5,
        "editsKept": 2,
        "editsReverted": 3,
        "findingsClosed": 2,
    }
    assert listed(api, "?phase=act")["statistics"]["successRate"] is None


def test_a_stranger_sees_nothing(api: Api, charlie: Person, anonymous: Api, runs: None) -> None:
    run = listed(api)["items"][0]
    assert names(charlie.api) == ""
    for path in ("", "/payload"):
        problem(charlie.api.send("GET", f"/autopilot/runs/{run['id']}{path}"), 404, "not_found")
        problem(api.send("GET", f"/autopilot/runs/{uuid4()}{path}"), 404, "not_found")
    problem(charlie.api.send("GET", "/autopilot/trust?project=website"), 404, "not_found")
    problem(anonymous.send("GET", "/autopilot/runs"), 401, "not_authenticated")


def test_a_key_of_one_project_sees_no_other(
    api: Api, alice: Person, website: Project, runs: None
) -> None:
    scopes = ("autopilot:write", "autopilot:read")
    _, token = create_api_key(by=alice.principal, name="bound", scopes=scopes, project=website)
    bound = Api(token)
    assert names(bound) == "cba"
    [foreign] = listed(api, "?project=other")["items"]
    problem(bound.send("GET", f"/autopilot/runs/{foreign['id']}"), 404, "not_found")
    problem(bound.send("GET", "/autopilot/runs?project=other"), 404, "not_found")
    problem(send(bound, ledger("d"), projectName="Website"), 409, "duplicate")
    assert bound.send("GET", "/autopilot/documents").json() == {"items": []}


@pytest.mark.parametrize("scope", ["insight:admin", "guardian:admin"])
def test_the_scope_of_another_product_is_not_enough(alice: Person, scope: str) -> None:
    _, token = create_api_key(by=alice.principal, name="other", scopes=(scope,))
    for path in ("runs", "trust", "documents?project=x", f"runs/{uuid4()}"):
        problem(Api(token).send("GET", f"/autopilot/{path}"), 403, "missing_scope")
    problem(send(Api(token), ledger()), 403, "missing_scope")


def test_trust_is_listed_most_trusted_first(api: Api) -> None:
    rows = [
        {"recipe": "low", "trust": 0.2, "runs": 9, "successes": 2, "failures": 7, "blocked": True},
        {"recipe": "high", "trust": 0.9},
    ]
    send(api, {"recipes": rows, "updatedAt": "2026-01-01T00:00:00Z"}, "recipe-trust")
    page = api.send("GET", "/autopilot/trust").json()
    assert [item["recipe"] for item in page["items"]] == ["high", "low"]
    low = page["items"][1]
    assert (low["runs"], low["successes"], low["failures"], low["blocked"]) == (9, 2, 7, True)
    assert (page["total"], low["updatedAt"]) == (2, "2026-01-01T00:00:00Z")
    by_name = api.send("GET", "/autopilot/trust?sort=-runs&limit=1").json()
    assert by_name["items"][0]["recipe"] == "low"
    problem(api.send("GET", "/autopilot/trust?sort=x"), 400, "malformed_request")


def test_reading_costs_few_queries(api: Api, runs: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):  # the key, the statistics, the page
        listed(api)
    run = run_of(send(api, ledger("e")), api)
    with django_assert_num_queries(3):  # the key, the run, the ledger's bytes
        api.send("GET", f"/autopilot/runs/{run['id']}")
