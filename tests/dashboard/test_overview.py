"""What the overview reads: three projects of ours, one of a neighbour's, nothing mixed up."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Project
from accounts.services import add_member, create_project
from dashboard.queries import organization_overview
from tests.cast import Person
from tests.insight.documents import document, finding, send

pytestmark = pytest.mark.django_db


def uploaded(person: Person, project: str, number: int, branch: str = "main", **fields: Any) -> Any:
    """A run with ``number`` findings, the same ones first."""
    findings = [finding(f"f{at}", line=at + 1, **fields) for at in range(number)]
    answer = send(person.api, document({"a.py": findings}), projectName=project, branch=branch)
    assert answer.status_code == 201, answer.content
    return answer.json()["runId"]


def overview(person: Person, latest_runs: int = 10) -> Any:
    return organization_overview(person.organization, latest_runs=latest_runs)


@pytest.fixture
def three(alice: Person, charlie: Person) -> None:
    """By name: App 2 → 5 → 3, Blog 4 on a branch alone, Shop none; Globex has another App of 9."""
    for name in ("Shop", "Blog", "App"):
        create_project(by=alice.principal, name=name)
    for number in (2, 5, 3):
        uploaded(alice, "App", number)
    uploaded(alice, "App", 7, branch="topic")
    uploaded(alice, "Blog", 4, branch="topic", severity="critical")
    uploaded(charlie, "App", 9)


def test_projects_stand_by_name_each_with_its_own_numbers(alice: Person, three: None) -> None:
    seen = overview(alice)
    assert [state.project.name for state in seen.states] == ["App", "Blog", "Shop"]
    assert [state.stream.branch if state.stream else None for state in seen.states] == [
        "main", "topic", None,
    ]  # fmt: skip
    assert [state.run.open_total if state.run else None for state in seen.states] == [3, 4, None]
    assert [state.trend for state in seen.states] == [[2, 5, 3], [4], []]


def test_totals_add_up_what_is_shown(alice: Person, charlie: Person, three: None) -> None:
    totals = overview(alice).totals
    assert (totals.open, totals.new, totals.fixed) == (7, 4, 2)
    assert {name: count for name, count in totals.by_severity.items() if count} == {
        "medium": 3,
        "critical": 4,
    }
    assert (overview(charlie).totals.open, overview(charlie).totals.new) == (9, 9)


def test_the_latest_runs_are_ones_own_and_so_many(alice: Person, three: None) -> None:
    runs = overview(alice).latest_runs
    assert len(runs) == 5
    assert [run.open_total for run in runs] == [4, 7, 3, 5, 2]
    assert [run.open_total for run in overview(alice, latest_runs=2).latest_runs] == [4, 7]


def test_the_default_branch_is_shown_even_where_another_is_newer(
    alice: Person, three: None
) -> None:
    uploaded(alice, "App", 8, branch="newer")
    assert overview(alice).states[0].stream.branch == "main"
    Project.objects.for_organization(alice.organization).filter(name="App").update(
        default_branch="topic"
    )
    assert overview(alice).states[0].run.open_total == 7


def test_without_a_default_branch_the_newest_is_shown(alice: Person, three: None) -> None:
    uploaded(alice, "Blog", 1, branch="a")
    assert overview(alice).states[1].stream.branch == "a"


def test_a_trend_has_the_last_thirty_runs_oldest_first(alice: Person, website: Project) -> None:
    for number in [*range(1, 17), *range(16, 0, -1)]:
        uploaded(alice, "Website", number)
    (state,) = overview(alice).states
    assert state.trend == [*range(3, 17), *range(16, 0, -1)]


def test_an_organization_without_anything_is_empty(alice: Person, charlie: Person) -> None:
    uploaded(charlie, "Theirs", 3)
    seen = overview(alice)
    assert (seen.states, seen.latest_runs, seen.totals.open) == ([], [], 0)


def test_a_projects_number_costs_no_query(
    alice: Person, three: None, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(6):
        overview(alice)
    for number in range(12):
        uploaded(alice, f"Another {number}", 1)
    with django_assert_num_queries(6):
        overview(alice)


def test_the_page_names_ones_own_projects_alone(alice: Person, bob: Person, three: None) -> None:
    for person in (alice, bob):
        page = person.page().get("/en/acme/").content.decode()
        for name in ("App", "Blog", "Shop"):
            assert f"/en/acme/projects/{name.lower()}/" in page
        assert "globex" not in page.lower()


def test_home_leads_to_the_organization_that_was_joined_first(
    alice: Person, bob: Person, charlie: Person
) -> None:
    add_member(user=charlie.user, role="viewer", by=alice.membership)
    assert charlie.page().get("/en/").headers["Location"] == "/en/globex/"
    assert bob.page().get("/en/").headers["Location"] == "/en/acme/"
