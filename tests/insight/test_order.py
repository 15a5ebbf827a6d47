"""Runs that arrive in another order than they were made in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insight import tracking
from insight.models import Issue, Run, Stream
from tests.cast import Api, Person
from tests.insight.documents import Findings, counts, document, finding, run_of, scope, send

MORNING, NOON, EVENING = (f"2026-01-01T{hour:02}:00:00Z" for hour in (9, 12, 18))


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def upload_made(api: Api, when: str, findings: Findings, **fields: Any) -> Any:
    return run_of(send(api, document(findings, analysedAt=when, **fields)), api)


def open_messages() -> set[str]:
    return set(Issue.across_organizations.filter(resolved=None).values_list("message", flat=True))


def test_the_mornings_run_that_arrives_after_noons_does_not_rewind(api: Api) -> None:
    upload_made(api, NOON, {"a.py": [finding("kept")]})
    late = upload_made(api, MORNING, {"a.py": [finding("kept"), finding("repaired since")]})
    assert open_messages() == {"about kept"}
    assert late["late"]
    assert late["analysedAt"] == "2026-01-01T09:00:00+00:00"
    assert (counts(late), late["counts"]["superseded"]) == ((0, 0, 0, 0), 2)
    assert late["openTotal"] == 1
    assert [report["findings"] for report in late["detectors"]] == [2, 0], "it did find them"


def test_what_later_runs_did_not_look_at_still_counts(api: Api) -> None:
    upload_made(api, NOON, {"a.py": [finding("noon")]}, scope=scope("ruff", files=["a.py"]))
    late = upload_made(
        api,
        MORNING,
        {
            "a.py": [finding("gone"), finding("other tool", source="bandit")],
            "b.py": [finding("beside")],
        },
    )
    assert open_messages() == {"about noon", "about other tool", "about beside"}
    assert (counts(late), late["counts"]["superseded"]) == ((2, 0, 0, 0), 1)


def test_what_a_late_run_did_not_find_is_fixed_only_where_nobody_looked_later(api: Api) -> None:
    upload_made(api, MORNING, {"a.py": [finding("one")], "b.py": [finding("two")]})
    upload_made(api, EVENING, {"a.py": [finding("one")]}, scope=scope("ruff", files=["a.py"]))
    late = upload_made(api, NOON, {"a.py": [], "b.py": []})
    assert open_messages() == {"about one"}
    assert counts(late) == (0, 1, 0, 0)


def test_a_detector_that_failed_later_has_not_looked(api: Api) -> None:
    upload_made(
        api, NOON, {}, scope={"detectors": [{"name": "ruff", "status": "failed"}], "files": None}
    )
    late = upload_made(api, MORNING, {"a.py": [finding("one")]})
    assert open_messages() == {"about one"}
    assert late["late"]
    assert counts(late) == (1, 0, 0, 0)


def test_a_clock_an_hour_ahead_makes_no_later_run_late(api: Api) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    upload_made(api, ahead.isoformat(), {"a.py": [finding("one")]})
    run = upload_made(api, datetime.now(UTC).isoformat(), {"a.py": []})
    assert not run["late"]
    assert open_messages() == set()


def test_a_clock_that_is_told_to_be_behind_makes_no_run_late(api: Api) -> None:
    """The client says what time it believes to have; the hub takes the difference off."""
    upload_made(api, datetime.now(UTC).isoformat(), {"a.py": [finding("one")]})
    behind = datetime.now(UTC) - timedelta(hours=2)
    told = behind.strftime("%a, %d %b %Y %H:%M:%S GMT")
    payload = document({"a.py": []}, analysedAt=behind.isoformat())
    run = run_of(send(api, payload, headers={"Date": told}), api)
    assert not run["late"]
    assert abs(datetime.fromisoformat(run["analysedAt"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_time_in_the_metadata_serves_where_the_document_tells_none(api: Api) -> None:
    run_of(send(api, document({"a.py": [finding("noon")]}), timestamp=NOON), api)
    late = run_of(send(api, document({"a.py": [finding("morning")]}), timestamp=MORNING), api)
    assert late["late"]
    assert open_messages() == {"about noon"}


@pytest.mark.parametrize("told", ["", "yesterday", "2026-01-01", "9999-12-31T23:59:59Z", NOON[:-1]])
def test_a_time_that_tells_nothing_leaves_the_order_of_arrival(api: Api, told: str) -> None:
    run_of(send(api, document({"a.py": [finding("one")]}), timestamp=NOON), api)
    run = run_of(send(api, document({"a.py": [finding("two")]}), timestamp=told), api)
    assert not run["late"]
    assert open_messages() == {"about two"}


@pytest.mark.parametrize("when", ["2026-01-01T09:00:00", "0001-01-01T00:00:00Z", 5])
def test_a_document_whose_time_cannot_be_is_refused(api: Api, when: object) -> None:
    answer = send(api, document({"a.py": []}, analysedAt=when))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/analysedAt"


def test_runs_of_the_same_time_count_in_the_order_of_their_arrival(api: Api) -> None:
    upload_made(api, NOON, {"a.py": [finding("one")]})
    run = upload_made(api, NOON, {"a.py": [finding("two")]})
    assert not run["late"]
    assert open_messages() == {"about two"}


Look = tuple[dict[tuple[str, str], int], list[str] | None, tuple[str, ...]]
PATHS, NAMES, DETECTORS = ("a.py", "b.py", "c/d.py"), ("n1", "n2", "n3"), ("ruff", "bandit")
looks = st.tuples(
    st.dictionaries(
        st.tuples(st.sampled_from(PATHS), st.sampled_from(NAMES)), st.integers(1, 5), max_size=6
    ),
    st.sampled_from([None, ["a.py"], ["b.py", "c/d.py"]]),
    st.sampled_from([("ruff",), ("bandit",), ("ruff", "bandit")]),
)


def _detector(name: str) -> str:
    return DETECTORS[int(name[1]) % 2]


def _take(api: Api, number: int, look: Look) -> None:
    planned, files, detectors = look
    by_path: Findings = {}
    for (path, name), line in planned.items():
        if _detector(name) in detectors and (files is None or path in files):
            found = finding(name, line=line, source=_detector(name))
            by_path.setdefault(path, []).append(found)
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    upload_made(api, when.isoformat(), by_path, scope=scope(*detectors, files=files))


def _end_state(api: Api, order: list[tuple[int, Look]]) -> set[tuple[str, str, str, int]]:
    Stream.across_organizations.all().delete()
    for number, look in order:
        _take(api, number, look)
    rows = Issue.across_organizations.filter(resolved=None)
    last = Run.across_organizations.order_by("-sequence")[0]
    assert last.open_total == rows.count()
    return set(rows.values_list("detector", "path", "message", "line"))


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.django_db
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_end_state_is_the_same_in_any_order_of_arrival(
    alice: Person, monkeypatch: pytest.MonkeyPatch, data: st.DataObject, few: int
) -> None:
    monkeypatch.setattr(tracking, "_FEW", few)
    made = list(enumerate(data.draw(st.lists(looks, min_size=2, max_size=5))))
    in_order = _end_state(alice.api, made)
    assert _end_state(alice.api, data.draw(st.permutations(made))) == in_order
