"""Tests and screenshots over the API: who sees which, filters, statistics."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Project
from accounts.services import create_api_key
from tests.cast import Api, Person
from tests.guardian.results import made_by, png, results, send
from tests.problems import problem

GOOD = {"summary": {"passed": 9, "failed": 0, "warnings": 0}}


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


@pytest.fixture
def three(api: Api, website: Project) -> None:
    """Two tests of Website and one of Other, one a day from the first of January."""
    send(api, results("a", timestamp="2026-01-01T00:00:00Z"))
    send(
        api,
        results(
            "b",
            timestamp="2026-01-02T00:00:00Z",
            environment="production",
            url="https://shop.example/cart",
            accessibility={"score": 100},
            **GOOD,
        ),
    )
    send(api, results("c", timestamp="2026-01-03T00:00:00Z", accessibility=None, security=None),
         projectName="Other")  # fmt: skip


def listed(api: Api, query: str = "") -> Any:
    answer = api.send("GET", f"/guardian/tests{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def names(api: Api, query: str = "") -> str:
    return "".join(item["testRunId"] for item in listed(api, query)["items"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "cba"),
        ("?project=website", "ba"),
        ("?environment=production", "b"),
        ("?outcome=passed", "b"),
        ("?outcome=failed", "ca"),
        ("?url=https://shop.example/cart", "b"),
        ("?url=https://shop", "cba"),
        ("?testRunId=a", "a"),
        ("?since=2026-01-02T00:00:00Z", "cb"),
        ("?until=2026-01-02", "a"),
        ("?sort=timestamp", "abc"),
        ("?limit=1&offset=1", "b"),
    ],
)
def test_tests_are_listed_and_filtered(api: Api, three: None, query: str, found: str) -> None:
    assert names(api, query) == found


@pytest.mark.parametrize("query", ["environment=moon", "outcome=x", "sort=x", "since=x"])
def test_a_filter_that_cannot_be(api: Api, query: str) -> None:
    answer = api.send("GET", f"/guardian/tests?{query}")
    problem(answer, 400, "malformed_request", pointer=f"/query/{query.partition('=')[0]}")


@pytest.mark.parametrize("sort", ["-timestamp", "timestamp", "-failed", "url"])
def test_a_cursor_leads_through_all(api: Api, three: None, sort: str) -> None:
    page = listed(api, f"?sort={sort}&limit=1")
    seen = [item["testRunId"] for item in page["items"]]
    while "next" in page:
        page = listed(api, f"?sort={sort}&limit=1&cursor={page['next']}")
        seen += [item["testRunId"] for item in page["items"]]
    assert sorted(seen) == ["a", "b", "c"]


def test_statistics_are_those_of_all_that_is_wanted(api: Api, three: None) -> None:
    page = listed(api, "?limit=1&project=website")
    assert page["total"] == 2
    assert page["statistics"] == {
        "tests": 2,
        "passed": 10,
        "failed": 1,
        "warnings": 1,
        "passRate": 10 / 12,
        "averageAccessibilityScore": 95.75,
        "vulnerabilities": 2,
    }
    none = listed(api, "?testRunId=nobody")["statistics"]
    assert (none["passRate"], none["averageAccessibilityScore"]) == (None, None)


def test_a_stranger_sees_nothing(api: Api, charlie: Person, anonymous: Api, three: None) -> None:
    send(api, png(), "screenshot", testRunId="a")
    send(api, {"score": 1}, "accessibility-report", testRunId="a")
    test = listed(api, "?testRunId=a")["items"][0]
    picture = api.send("GET", "/guardian/screenshots").json()["items"][0]
    assert names(charlie.api) == ""
    assert charlie.api.send("GET", "/guardian/screenshots").json()["items"] == []
    for path in (
        f"tests/{test['id']}",
        f"tests/{test['id']}/payload",
        f"tests/{test['id']}/reports/accessibility-report",
        f"screenshots/{picture['id']}/content",
        f"tests/{uuid4()}",
    ):
        problem(charlie.api.send("GET", f"/guardian/{path}"), 404, "not_found")
        problem(anonymous.send("GET", f"/guardian/{path}"), 401, "not_authenticated")
    problem(
        api.send("GET", f"/guardian/tests/{test['id']}/reports/lighthouse-report"),
        404,
        "not_found",
    )


def test_a_key_of_one_project_sees_no_other(
    api: Api, alice: Person, website: Project, three: None
) -> None:
    send(api, png(), "screenshot", testRunId="c", projectName="Other")
    _, token = create_api_key(
        by=alice.principal, name="bound", scopes=("guardian:write",), project=website
    )
    bound = Api(token)
    assert names(bound) == "ba"
    assert bound.send("GET", "/guardian/screenshots").json()["items"] == []
    [foreign] = listed(api, "?project=other")["items"]
    problem(bound.send("GET", f"/guardian/tests/{foreign['id']}"), 404, "not_found")
    # A picture that names a foreign project's test is not shown with it.
    send(bound, png(), "screenshot", fileName="x.png", testRunId="c")
    shown = api.send("GET", f"/guardian/tests/{foreign['id']}").json()["screenshots"]
    assert len(shown) == 1


def test_the_scope_of_another_product_is_not_enough(alice: Person) -> None:
    _, token = create_api_key(by=alice.principal, name="other", scopes=("autopilot:admin",))
    for path in ("tests", "screenshots", f"tests/{uuid4()}"):
        problem(Api(token).send("GET", f"/guardian/{path}"), 403, "missing_scope")
    problem(send(Api(token), results()), 403, "missing_scope")


def test_reading_costs_few_queries(api: Api, three: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):  # the key, the statistics, the page
        listed(api)
    test = made_by(send(api, results("d", screenshots=[])), api)
    for number in range(4):
        send(api, png(shade=number), "screenshot", fileName=f"{number}.png", testRunId="d")
    # The key, the test, the results' bytes, the screenshots, the reports.
    with django_assert_num_queries(5):
        api.send("GET", f"/guardian/tests/{test['id']}")
    with django_assert_num_queries(3):  # the key, the count, the page
        api.send("GET", "/guardian/screenshots")
