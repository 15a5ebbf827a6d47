"""Issues of a branch: filters, order, pages; one issue and the runs it lived through."""

from __future__ import annotations

import pytest

from insight.models import Issue, Triage
from insight.services import triage_issues
from tests.cast import Api, Person
from tests.insight.documents import finding, upload
from tests.problems import problem

FINDINGS = {
    "src/app.py": [
        finding("a", severity="critical", code="S105", line=3),
        finding("b", severity="low", code="E501", line=9),
    ],
    "src/deep/x_y.py": [finding("c", severity="high", source="bandit", code="B101")],
    "tests/test_app.py": [
        finding("d", severity="info", code="E501", message="100% Wrong Name"),
        finding("e", severity="medium", suppressed=True),
    ],
}


@pytest.fixture
def api(alice: Person) -> Api:
    upload(alice.api, FINDINGS)
    return alice.api


def listed(api: Api, query: str = "") -> list[str]:
    answer = api.send("GET", f"/insight/issues?project=website{query}")
    assert answer.status_code == 200, answer.content
    names = {"100% Wrong Name": "d"}
    return [
        names.get(item["message"], item["message"].removeprefix("about "))
        for item in answer.json()["items"]
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["a", "c", "b", "d"]),
        ("&severity=critical", ["a"]),
        ("&severity=critical,info", ["a", "d"]),
        ("&severity=critical&severity=info", ["a", "d"]),
        ("&detector=bandit", ["c"]),
        ("&rule=E501", ["b", "d"]),
        ("&rule=E501,B101", ["c", "b", "d"]),
        ("&path=src/app.py", ["a", "b"]),
        ("&path=src/", ["a", "c", "b"]),
        ("&path=*test*", ["d"]),
        ("&path=src/*/x_y.py", ["c"]),
        ("&path=src/*/x%25y.py", []),
        ("&text=wrong", ["d"]),
        ("&text=100%25", ["d"]),
        ("&text=x_y", ["c"]),
        ("&text=b101", ["c"]),
        ("&text=nothing", []),
        ("&state=suppressed", ["e"]),
        ("&state=all", ["a", "c", "e", "b", "d"]),
        ("&state=fixed", []),
        ("&sort=path", ["a", "b", "c", "d"]),
        ("&sort=rule", ["c", "b", "d", "a"]),
        ("&new=true", ["a", "c", "b", "d"]),
    ],
)
def test_filters(api: Api, query: str, expected: list[str]) -> None:
    assert listed(api, query) == expected


def test_new_means_the_latest_run(api: Api) -> None:
    upload(api, {**FINDINGS, "src/new.py": [finding("f")]})
    assert listed(api, "&new=true") == ["f"]
    assert listed(api, "&sort=newest")[0] == "f"


def test_states_follow_what_happened(api: Api) -> None:
    upload(api, {"src/app.py": FINDINGS["src/app.py"]})
    assert listed(api, "&state=fixed") == ["c", "e", "d"]
    upload(api, FINDINGS)
    assert listed(api, "&state=reopened") == ["c", "d"]


def test_triage_moves_an_issue_out_of_the_open_ones(api: Api, alice: Person) -> None:
    issues = Issue.across_organizations.filter(rule="E501")
    changed = triage_issues(
        issues=issues, state=Triage.ACCEPTED, reason="generated", by=alice.principal
    )
    assert changed == 2
    assert listed(api) == ["a", "c"]
    assert listed(api, "&state=accepted") == ["b", "d"]
    again = triage_issues(issues=issues, state=Triage.ACCEPTED, reason="", by=alice.principal)
    assert again == 0


def test_a_stranger_triages_nothing(api: Api, charlie: Person) -> None:
    issues = Issue.across_organizations.all()
    assert triage_issues(issues=issues, state=Triage.ACCEPTED, reason="", by=charlie.principal) == 0


@pytest.mark.parametrize(
    "query",
    [
        "&severity=awful",
        "&state=unknown",
        "&sort=random",
        "&new=maybe",
        f"&text={'x' * 200}",
        "&cursor=nonsense",
        "&cursor=WzEsMl0x",
        "&limit=0",
        "&limit=201",
        "&limit=many",
        "&offset=-1",
    ],
)
def test_a_filter_that_cannot_be(api: Api, query: str) -> None:
    answer = api.send("GET", f"/insight/issues?project=website{query}")
    name = query[1:].partition("=")[0]
    problem(answer, 400, "malformed_request", pointer=f"/query/{name}")


def test_the_project_must_be_named_and_be_there(api: Api) -> None:
    problem(api.send("GET", "/insight/issues"), 400, "malformed_request", pointer="/query/project")
    problem(api.send("GET", "/insight/issues?project=nope"), 404, "not_found")


@pytest.mark.parametrize("sort", ["severity", "path", "newest", "rule"])
def test_pages_show_everything_once(api: Api, sort: str) -> None:
    findings = {
        f"f{number % 7}.py": [
            finding(f"{number}-{line}", line=line, severity=("low", "high")[line % 2])
            for line in range(9)
        ]
        for number in range(7)
    }
    upload(api, findings, branch="paged")
    seen: list[int] = []
    path = f"/insight/issues?project=website&branch=paged&limit=10&sort={sort}"
    answer = api.send("GET", path).json()
    assert answer["total"] == 63
    while True:
        seen.extend(item["id"] for item in answer["items"])
        if "next" not in answer:
            break
        answer = api.send("GET", f"{path}&cursor={answer['next']}").json()
    assert len(seen) == len(set(seen)) == 63


def test_one_issue_and_its_life(api: Api) -> None:
    issue = Issue.across_organizations.get(rule="S105")
    upload(api, {})
    upload(api, FINDINGS)
    upload(api, FINDINGS)
    told = api.send("GET", f"/insight/issues/{issue.pk}").json()
    assert (told["state"], told["severity"], told["line"]) == ("reopened", "critical", 3)
    assert [life["resolvedBy"] is None for life in told["lives"]] == [True, False]
    runs = api.send("GET", f"/insight/issues/{issue.pk}/runs").json()
    assert [run["sequence"] for run in runs["items"]] == [4, 3, 1]
    assert runs["total"] == 3


def test_a_page_of_issues_costs_few_queries(
    api: Api, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(6):
        listed(api, "&text=about&severity=low,high,critical")
