"""From a to b and back to a: what was told of an issue is told again, seen from outside.

Through uploads and the API only, so that it holds however Insight keeps its rows.
"""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Project
from insight.models import Issue, Triage
from insight.services import triage_issues
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, scope, send, upload


@pytest.fixture
def api(alice: Person, website: Project) -> Api:
    return alice.api


def listed(api: Api, query: str = "", branch: str = "") -> list[dict[str, Any]]:
    address = f"/insight/issues?project=website&sort=path{query}"
    answer = api.send("GET", f"{address}&branch={branch}" if branch else address)
    assert answer.status_code == 200, answer.content
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def names(api: Api, query: str = "", branch: str = "") -> list[str]:
    return [item["message"].removeprefix("about ") for item in listed(api, query, branch)]


def decide(alice: Person, name: str, state: Triage) -> None:
    rows = Issue.objects.for_organization(alice.organization).filter(message=f"about {name}")
    assert triage_issues(issues=rows, state=state, reason="known", by=alice.principal) == 1


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "line": ({"line": 5}, {"line": 6}, "line"),
    "column": ({"column": 5}, {"column": 6}, "column"),
    "end": ({"endLine": 9}, {"endLine": 11}, "endLine"),
    "severity": ({"severity": "low"}, {"severity": "critical"}, "severity"),
    "message": ({"message": "has 3"}, {"message": "has 4"}, "message"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_and_changes_back_shows_what_it_shows_now(api: Api, what: str) -> None:
    first, second, field = CHANGES[what]
    beside = [finding("above", line=1), finding("below", line=40)]
    seen: list[Any] = []
    numbers: set[int] = set()
    for fields in (first, second, first, second, first):
        run = upload(api, {"a.py": [*beside, finding("it", **fields)]})
        (shown,) = [
            item for item in listed(api) if item["message"] not in ("about above", "about below")
        ]
        numbers.add(shown["id"])
        seen.append(shown[field])
        assert run["counts"]["total"] == 3
    assert counts(run) == (0, 0, 3, 0)
    (wanted,), (other,) = first.values(), second.values()
    assert seen == [wanted, other, wanted, other, wanted]
    assert len(numbers) == 1


def test_severities_are_counted_as_they_stand_after_each_change(api: Api) -> None:
    for severity in ("low", "critical", "low", "high"):
        run = upload(
            api,
            {"a.py": [finding("it", severity=severity), finding("other", severity="info", line=2)]},
        )
        told = {name: number for name, number in run["bySeverity"].items() if number}
        assert told == {severity: 1, "info": 1}
        for name in ("low", "critical", "high", "info"):
            expected = ["it"] if name == severity else ["other"] if name == "info" else []
            assert names(api, f"&severity={name}") == expected


def test_one_number_for_all_its_lives(api: Api) -> None:
    ids = set()
    for step in range(6):
        present = step % 2 == 0
        run = upload(api, {"a.py": [finding("stays"), *([finding("it", line=9)] * present)]})
        if present:
            ids |= {item["id"] for item in listed(api) if item["message"] == "about it"}
        expected = (2, 0, 0, 0) if step == 0 else (0, 0, 1, 1) if present else (0, 1, 1, 0)
        assert counts(run) == expected, step
    assert len(ids) == 1
    told = api.send("GET", f"/insight/issues/{ids.pop()}").json()
    assert told["state"] == "fixed"
    assert len(told["lives"]) == 3


@pytest.mark.parametrize("decision", [Triage.ACCEPTED, Triage.FALSE_POSITIVE])
def test_a_decision_outlives_a_fix_and_a_return(api: Api, alice: Person, decision: Triage) -> None:
    findings = {"a.py": [finding(name, line=at) for at, name in enumerate("xyz", 1)]}
    without = {"a.py": [finding("x", line=1), finding("z", line=2)]}
    upload(api, findings)
    decide(alice, "y", decision)
    for present in (False, True, False, True):
        upload(api, findings if present else without)
        assert names(api) == ["x", "z"]
        assert names(api, f"&state={decision.value}") == (["y"] if present else [])
        assert ("y" in names(api, "&state=fixed")) == (not present)
    decide(alice, "y", Triage.OPEN)
    assert names(api) == ["x", "y", "z"]
    assert names(api, "&state=reopened") == ["y"]


def test_a_decision_stays_with_its_finding_among_like_ones(api: Api, alice: Person) -> None:
    """The middle one of three is accepted; all move, the first goes, and comes back."""
    three = [finding(name, line=at * 10) for at, name in enumerate(("one", "two", "three"), 1)]
    upload(api, {"a.py": three})
    decide(alice, "two", Triage.ACCEPTED)
    for found in (
        [each | {"line": each["line"] + 7} for each in three],
        three[1:],
        three,
        [three[2], three[1], three[0]],
    ):
        upload(api, {"a.py": found})
        assert names(api, "&state=accepted") == ["two"]
        assert "two" not in names(api)


def test_suppressed_and_back_is_no_fix(api: Api) -> None:
    for suppressed in (False, True, False):
        run = upload(
            api, {"a.py": [finding("it", suppressed=suppressed), finding("other", line=2)]}
        )
        assert run["counts"]["fixed"] == 0
        assert ("it" in names(api)) == (not suppressed)
        assert names(api, "&state=suppressed") == (["it"] if suppressed else [])


def test_a_file_that_moves_and_moves_back_keeps_its_issues(api: Api, alice: Person) -> None:
    found = [finding(f"f{at}", line=at) for at in range(1, 5)]
    upload(api, {"old.py": found, "other.py": [finding("elsewhere")]})
    ids = sorted(item["id"] for item in listed(api))
    decide(alice, "f2", Triage.ACCEPTED)
    for path in ("new.py", "old.py", "new.py"):
        run = upload(api, {path: found, "other.py": [finding("elsewhere")]})
        assert sorted(item["id"] for item in listed(api, "&state=all")) == ids, path
        assert run["counts"]["total"] == 5
        assert {item["path"] for item in listed(api)} == {path, "other.py"}
        assert names(api, "&state=accepted") == ["f2"]


@pytest.mark.parametrize(
    ("middle", "still"),
    [
        (scope("bandit"), ["a", "b"]),
        (scope("ruff", files=["b.py"]), ["a"]),
        (scope("ruff", files=["c.py"]), ["a", "b"]),
        ({"detectors": [{"name": "ruff", "status": "failed"}]}, ["a", "b"]),
        ({"detectors": [{"name": "ruff", "status": "not-installed"}]}, ["a", "b"]),
        ({"detectors": [{"name": "ruff", "status": "skipped"}]}, ["a", "b"]),
        ({"detectors": []}, ["a", "b"]),
        (scope("ruff"), []),
    ],
)
def test_a_run_in_between_speaks_only_for_what_it_looked_at(
    api: Api, middle: Any, still: list[str]
) -> None:
    both = {"a.py": [finding("a")], "b.py": [finding("b")]}
    upload(api, both)
    run = upload(api, {}, scope=middle)
    assert names(api) == still
    assert run["counts"]["fixed"] == 2 - len(still)
    back = upload(api, both)
    assert counts(back) == (0, 0, len(still), 2 - len(still))
    assert names(api) == ["a", "b"]


def test_branches_go_their_own_ways(api: Api) -> None:
    upload(api, {"a.py": [finding("shared"), finding("main", line=2)]}, branch="main")
    upload(api, {"a.py": [finding("shared"), finding("topic", line=2)]}, branch="topic")
    upload(api, {"a.py": [finding("shared")]}, branch="topic")
    upload(api, {"a.py": [finding("shared"), finding("topic", line=2)]}, branch="topic")
    assert sorted(names(api, branch="main")) == ["main", "shared"]
    assert sorted(names(api, branch="topic")) == ["shared", "topic"]
    assert names(api, "&state=fixed", branch="main") == []


def test_a_refused_upload_between_two_changes_nothing(api: Api) -> None:
    good = document({"a.py": [finding("a"), finding("b", line=2)]})
    assert send(api, good).status_code == 201
    before = listed(api, "&state=all")
    bad = document({"a.py": [finding("a"), {"line": "no number"}]})
    for _ in range(3):
        answer = send(api, bad)
        assert answer.status_code == 422, answer.content
        assert listed(api, "&state=all") == before
    run = upload(api, {"a.py": [finding("a"), finding("b", line=2)]})
    assert counts(run) == (0, 0, 2, 0)
    assert run["sequence"] == 2


def test_the_same_three_times_is_three_runs_and_no_change(api: Api) -> None:
    found = {"a.py": [finding(str(n), line=n) for n in range(1, 9)]}
    upload(api, found)
    before = listed(api)
    for number in (2, 3, 4):
        run = upload(api, found)
        assert (run["sequence"], counts(run)) == (number, (0, 0, 8, 0))
        assert listed(api) == before
    assert names(api, "&new=true") == []


# ── A search takes every character as itself ─────────────────────────────────

AWKWARD = ["100% sure", "100x sure", "snake_case", "snakeXcase", "back\\slash", "backslash", "a*b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0%25 s", ["100% sure"]),
        ("%25", ["100% sure"]),
        ("_", ["snake_case"]),
        ("e_c", ["snake_case"]),
        ("%5C", ["back\\slash"]),
        ("k%5Cs", ["back\\slash"]),
        ("%5C%25", []),
        ("%25%25", []),
        ("*", ["a*b"]),
        ("SNAKE_", ["snake_case"]),
        ("sure", ["100% sure", "100x sure"]),
    ],
)
@pytest.mark.parametrize("where", ["message", "code", "path"])
def test_a_text_is_looked_for_as_it_is_written(
    api: Api, where: str, text: str, expected: list[str]
) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for at, awkward in enumerate(AWKWARD):
        # A backslash parts folders in a path.
        path = f"{awkward}.py" if where == "path" and "\\" not in awkward else f"file{at}.py"
        fields = {"message": "plain", "code": "plain"}
        if where != "path":
            fields[where] = awkward
        found.setdefault(path, []).append(finding(f"f{at}", **fields))
    upload(api, found)
    seen = listed(api, f"&text={text}")
    if where == "path":
        wanted = {f"{each}.py" for each in expected if "\\" not in each}
        assert {item["path"] for item in seen} == wanted
    else:
        name = "message" if where == "message" else "rule"
        assert sorted(item[name] for item in seen) == sorted(expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/a%25b.py", ["src/a%b.py"]),
        ("src/a_b.py", ["src/a_b.py"]),
        ("src/", ["src/a%b.py", "src/a_b.py", "src/aXb.py"]),
        ("s_c/", ["s_c/x.py"]),
        ("s*/", []),
        ("*_b.py", ["src/a_b.py"]),
        ("*%25*", ["src/a%b.py"]),
        ("src/a*b.py", ["src/a%b.py", "src/a_b.py", "src/aXb.py"]),
        ("*", ["s_c/x.py", "src/a%b.py", "src/a_b.py", "src/aXb.py"]),
        ("src/a%255Fb.py", []),
    ],
)
def test_a_path_is_looked_for_as_it_is_written(api: Api, path: str, expected: list[str]) -> None:
    paths = ["src/a%b.py", "src/a_b.py", "src/aXb.py", "s_c/x.py"]
    upload(api, {each: [finding(each)] for each in paths})
    assert sorted(item["path"] for item in listed(api, f"&path={path}")) == sorted(expected)
