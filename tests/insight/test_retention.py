"""Old runs go; whatever is kept, and whatever comes, is as if they had stayed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEvent
from frame.database.clock import database_now
from insight import issue_history, queries, rendering
from insight import retention as forgetting
from insight.models import Forgotten, Issue, PastInterval, Run, RunState, Stream, Triage
from insight.retention import delete_old_intervals, delete_old_runs
from insight.services import triage_issues
from jobs import retention
from storage.configuration import object_store
from storage.models import ReleasedContent, StoredObject
from storage.objects.interface import ObjectMissing
from storage.services import discard_released
from tests.cast import Api, Person
from tests.insight.documents import counts, finding, scope, upload
from uploads.models import Upload

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OLDER_THAN = LONG_AGO + timedelta(days=1)
PATHS, NAMES, DETECTORS = ("a.py", "b.py"), ("n1", "n2"), ("ruff", "bandit")
Look = tuple[set[tuple[str, str]], list[str] | None, tuple[str, ...]]


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def age(through: int, *, branch: str = "main") -> None:
    """Make the first runs of the branch old ones."""
    rows = Run.across_organizations.filter(stream__branch=branch, sequence__lte=through)
    rows.update(created_at=LONG_AGO)


def forget(*, at_most: int = 1_000) -> int:
    """All that is old, in steps; how many runs."""
    gone = 0
    while went := delete_old_runs(older_than=OLDER_THAN, at_most=at_most):
        assert went <= at_most
        gone += went
    while went := delete_old_intervals(older_than=OLDER_THAN, at_most=at_most):
        assert went <= at_most
    return gone


def sequences() -> list[int]:
    rows = Run.across_organizations.order_by("stream_id", "sequence")
    return list(rows.values_list("sequence", flat=True))


# ── What stays the same ──────────────────────────────────────────────────────

looks = st.tuples(
    st.sets(st.tuples(st.sampled_from(PATHS), st.sampled_from(NAMES)), max_size=4),
    st.sampled_from([None, None, ["a.py"], ["b.py"]]),
    st.sampled_from([("ruff",), ("bandit",), ("ruff", "bandit")]),
)
plans = st.lists(st.tuples(looks, st.integers(0, 9), st.integers(0, 8)), min_size=2, max_size=7)


def _take(api: Api, branch: str, look: Look, hour: int) -> None:
    planned, files, detectors = look
    found: dict[str, list[dict[str, Any]]] = {}
    for path, name in sorted(planned):
        detector = DETECTORS[int(name[1]) % 2]
        if detector in detectors and (files is None or path in files):
            # No two of one fingerprint: nothing is carried along to another path.
            told = finding(f"{path} {name}", source=detector, severity=("low", "high")[hour % 2])
            found.setdefault(path, []).append(told)
    when = datetime(2026, 1, 1, hour, tzinfo=UTC).isoformat()
    upload(api, found, branch=branch, scope=scope(*detectors, files=files), analysedAt=when)


def _told(run: Run) -> tuple[Any, ...]:
    """What does not depend on whether an issue that comes back is known still."""
    came = run.new_count + run.reopened_count
    told = run.total, came, run.fixed_count, run.unchanged_count, run.superseded_count
    return (*told, run.is_late, run.open_total, sorted(run.open_by_severity.items()))


def _issues(rows: Any) -> list[tuple[str, str, int]]:
    return sorted((issue.path, issue.message, issue.severity) for issue in rows)


def _differences(run: Run) -> tuple[Any, ...]:
    before = queries.previous_run(run)
    found = queries.diff(run, before) if before else queries.diff_to_deleted(run)
    if found is None:
        return _issues(queries.issues_in(run)), [], queries.count_in(run), 0, 0
    told = found.new_count, found.fixed_count, found.unchanged_count
    return (_messages(found.new), _messages(found.fixed), *told)


def _messages(rows: Any) -> list[str]:
    return sorted(issue.message for issue in rows)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=plans, at_most=st.sampled_from([1, 2, 1_000]))
def test_what_is_kept_and_what_comes_is_as_if_nothing_had_gone(
    alice: Person, plan: list[tuple[Look, int, int]], at_most: int
) -> None:
    Stream.across_organizations.all().delete()
    api = alice.api
    for look, hour, old in plan:
        _take(api, "whole", look, hour)
        _take(api, "main", look, hour)
        age(old)
        forget(at_most=at_most)
    runs = Run.across_organizations.select_related("stream")
    whole = {run.sequence: run for run in runs.filter(stream__branch="whole")}
    kept = {run.sequence: run for run in runs.filter(stream__branch="main")}
    through = queries.deleted_through(kept[len(plan)].stream)
    assert kept.keys() == set(range(through + 1, len(plan) + 1))
    for sequence, run in kept.items():
        same = whole[sequence]
        assert _told(run) == _told(same)
        assert _messages(queries.issues_in(run)) == _messages(queries.issues_in(same))
        assert queries.count_in(run) == queries.count_in(same)
        if sequence > 1:
            assert _differences(run) == _differences(same)
    open_ones = Issue.across_organizations.filter(resolved=None)
    assert _issues(open_ones.filter(stream__branch="main")) == _issues(
        open_ones.filter(stream__branch="whole")
    )
    assert not Issue.across_organizations.filter(
        stream__branch="main", resolved__lte=through
    ).exists()
    for issue in Issue.across_organizations.filter(stream__branch="main"):
        assert rendering.issue_detail(issue, queries.intervals_of(issue)).lives
        assert issue_history.history_of(issue)


# ── What stays ───────────────────────────────────────────────────────────────


def test_by_default_nothing_goes(api: Api, settings: Any) -> None:
    for _ in range(3):
        upload(api, {"a.py": [finding("one")]})
        upload(api, {})
    Run.across_organizations.update(created_at=LONG_AGO)
    assert settings.RUN_DAYS == 0
    assert "insight.runs" not in retention.apply()
    assert len(sequences()) == Upload.across_organizations.count() == 6
    assert (Issue.across_organizations.count(), PastInterval.across_organizations.count()) == (1, 2)


def test_the_rule_counts_days(api: Api, settings: Any) -> None:
    for _ in range(3):
        upload(api, {})
    for sequence, days in ((1, 31), (2, 29)):
        moment = database_now() - timedelta(days=days)
        Run.across_organizations.filter(sequence=sequence).update(created_at=moment)
    settings.RUN_DAYS = 30
    assert retention.apply()["insight.runs"] == 1
    assert sequences() == [2, 3]


def test_the_newest_run_stays_however_old(api: Api) -> None:
    for name in ("one", "two", "three"):
        upload(api, {"a.py": [finding(name)]})
    age(3)
    assert forget() == 2
    assert sequences() == [3]
    run = upload(api, {"a.py": [finding("three"), finding("four")]})
    assert counts(run) == (1, 0, 1, 0)
    assert run["openTotal"] == 2


def test_the_newest_run_stays_where_nobody_told_when_it_was_made(api: Api) -> None:
    for _ in range(3):
        upload(api, {})
    Run.across_organizations.update(analysed_at=None)  # as versions before left them
    age(3)
    assert forget() == 2
    assert sequences() == [3]


def test_the_latest_analysis_stays_so_that_what_comes_late_is_known_to_be(api: Api) -> None:
    for hour in (9, 18, 12):
        upload(api, {}, analysedAt=f"2026-01-01T{hour:02}:00:00Z")
    age(3)
    assert forget() == 1
    assert sequences() == [2, 3]


def test_what_waits_stays_with_the_run_before_it(api: Api) -> None:
    for name in ("one", "two", "three", "four"):
        upload(api, {"a.py": [finding(name)]})
    Run.across_organizations.filter(sequence=3).update(state=RunState.QUEUED)
    age(4)
    assert forget() == 1
    assert sequences() == [2, 3, 4]


def test_a_look_that_nobody_repeated_is_remembered(api: Api) -> None:
    """The only run of bandit is gone; an older one of it that comes now still tells nothing new."""
    upload(api, {}, scope=scope("bandit"), analysedAt="2026-01-01T12:00:00Z")
    upload(api, {}, scope=scope("bandit", files=["b.py"]), analysedAt="2026-01-01T13:00:00Z")
    for hour in (14, 15):
        upload(api, {}, scope=scope("ruff"), analysedAt=f"2026-01-01T{hour}:00:00Z")
    age(4)
    assert forget() == 3
    assert Forgotten.across_organizations.get().looks.keys() == {"bandit"}
    noon, later = (
        upload(
            api,
            {"a.py": [finding("old", source="bandit")], "b.py": [finding("o", source="bandit")]},
            scope=scope("bandit"),
            analysedAt=when,
        )
        for when in ("2026-01-01T11:00:00Z", "2026-01-01T12:30:00Z")
    )
    assert (counts(noon), noon["counts"]["superseded"], noon["late"]) == ((0, 0, 0, 0), 2, True)
    assert (counts(later), later["counts"]["superseded"]) == ((1, 0, 0, 0), 1)


def test_looks_that_a_kept_run_repeats_are_not_noted(api: Api) -> None:
    for files in (["a.py"], ["b.py"], None):
        upload(api, {}, scope=scope("ruff", "bandit", files=files))
    age(3)
    assert forget() == 2
    assert Forgotten.across_organizations.get().looks == {}


# ── What goes ────────────────────────────────────────────────────────────────


def test_an_issue_that_ended_before_goes_and_its_return_reads_as_new(api: Api) -> None:
    findings = {"a.py": [finding("one"), finding("two")]}
    for found in (findings, {}, {}, {}):
        upload(api, found)
    age(3)
    assert forget() == 3
    assert not Issue.across_organizations.exists()
    assert counts(upload(api, findings)) == (2, 0, 0, 0)


def test_an_issue_that_somebody_decided_about_stays_and_comes_back(alice: Person) -> None:
    api = alice.api
    findings = {"a.py": [finding("one"), finding("two")]}
    upload(api, findings)
    decided = Issue.across_organizations.filter(message="about one")
    for state in (Triage.FALSE_POSITIVE, Triage.OPEN):  # thought better of counts as well
        triage_issues(issues=decided, state=state, reason="", by=alice.principal)
    for found in ({}, {}, {}):
        upload(api, found)
    age(3)
    forget()
    issue = Issue.across_organizations.get()
    told = api.send("GET", f"/insight/issues/{issue.pk}").json()
    assert told["lives"] == [
        {
            "introduced": 1,
            "introducedBy": None,
            "introducedAt": None,
            "resolved": 2,
            "resolvedBy": None,
            "resolvedAt": None,
        }
    ]
    assert [event.kind for event in issue_history.history_of(issue)] == [
        "triage",
        "triage",
        "resolved",
        "introduced",
    ]
    assert counts(upload(api, findings)) == (1, 0, 0, 1)


def test_past_intervals_go_and_the_issue_stays(api: Api) -> None:
    findings = {"a.py": [finding("one")]}
    for found in (findings, {}, findings, {}, findings, findings):
        upload(api, found)
    age(4)
    forget()
    issue = Issue.across_organizations.select_related("stream").get()
    assert (issue.introduced, issue.reopenings) == (5, 2)
    assert not PastInterval.across_organizations.exists()
    assert [event.kind for event in issue_history.history_of(issue)] == ["seen", "reopened"]


def test_the_upload_and_its_bytes_go_unless_another_run_was_sent_the_same(api: Api) -> None:
    for found in (
        {"a.py": [finding("one")]},
        {"a.py": [finding("two")]},
        {"a.py": [finding("one")]},
    ):
        upload(api, found)
    age(2)
    assert forget() == 2
    assert Upload.across_organizations.count() == 1
    assert discard_released(older_than=database_now(), at_most=10) == 2
    kept = Upload.across_organizations.get().stored
    assert list(StoredObject.across_organizations.all()) == [kept]
    assert not ReleasedContent.objects.exists()
    run = Run.across_organizations.get()
    assert api.send("GET", f"/insight/runs/{run.pk}/payload").status_code == 200


def test_bytes_in_the_object_store_go(api: Api) -> None:
    noise = [finding(f"{n}", line=n, snippet=token_hex(1_000)) for n in range(100)]
    upload(api, {"a.py": noise})
    upload(api, {})
    stored = StoredObject.across_organizations.get(inline=None)
    assert b"".join(object_store().pieces(stored.key))
    age(1)
    forget()
    assert discard_released(older_than=database_now(), at_most=10) == 1
    assert not StoredObject.across_organizations.filter(pk=stored.pk).exists()
    with pytest.raises(ObjectMissing):
        b"".join(object_store().pieces(stored.key))


def test_a_content_that_is_sent_anew_meanwhile_stays(api: Api) -> None:
    findings = {"a.py": [finding("one")]}
    for found in (findings, {}):
        upload(api, found)
    age(1)
    forget()
    run = upload(api, findings)
    assert discard_released(older_than=database_now(), at_most=10) == 1
    assert api.send("GET", f"/insight/runs/{run['id']}/payload").status_code == 200


def test_each_organization_is_told_how_many_went(alice: Person, charlie: Person) -> None:
    for person, count in ((alice, 4), (charlie, 3)):
        for _ in range(count):
            upload(person.api, {})
    age(9)
    assert forget() == 5
    events = AuditEvent.across_organizations.filter(action="run.forgotten")
    told = {event.organization_id: event.details for event in events}
    assert told == {alice.organization.pk: {"runs": 3}, charlie.organization.pk: {"runs": 2}}
    assert events.count() == 2


def test_a_step_has_a_bound_over_all_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "_AT_ONCE", 2)
    for branch in ("main", "other"):
        for _ in range(6):
            upload(api, {}, branch=branch)
        age(9, branch=branch)
    assert delete_old_runs(older_than=OLDER_THAN, at_most=7) == 7
    assert len(sequences()) == 5
    assert delete_old_runs(older_than=OLDER_THAN, at_most=7) == 3
    assert sequences() == [6, 6]


def test_what_ended_with_the_first_kept_run_stays_to_be_told(api: Api) -> None:
    """A past interval and an issue's last one: both are what that run fixed."""
    findings = {"a.py": [finding("again"), finding("once")]}
    for found in (findings, {}, {"a.py": [finding("again")]}):
        upload(api, found)
    age(1)
    assert forget() == 1
    difference = queries.diff_to_deleted(Run.across_organizations.get(sequence=2))
    assert difference is not None
    assert _messages(difference.fixed) == ["about again", "about once"]
    age(2)
    assert forget() == 1
    assert not PastInterval.across_organizations.exists()
    assert [issue.message for issue in Issue.across_organizations.all()] == ["about again"]


# ── What is shown ────────────────────────────────────────────────────────────


def test_an_issue_whose_first_run_is_gone(alice: Person) -> None:
    api = alice.api
    for found in ("one", "two", "three"):
        upload(api, {"a.py": [finding("lasting"), finding(found)]})
    age(2)
    forget()
    issue = Issue.across_organizations.get(message="about lasting")
    told = api.send("GET", f"/insight/issues/{issue.pk}").json()
    assert (told["introduced"], told["lives"][0]["introducedBy"]) == (1, None)
    runs = api.send("GET", f"/insight/issues/{issue.pk}/runs").json()
    assert [run["sequence"] for run in runs["items"]] == [3]
    page = alice.page().get(f"/en/acme/issues/{issue.pk}/")
    shown = page.content.decode()
    assert page.status_code == 200
    assert "run #1, which is not kept any more" in shown
    assert "Runs up to #2 are not kept any more" in shown
    arabic = alice.page().get(f"/ar/acme/issues/{issue.pk}/").content.decode()
    assert "الفحص رقم 1، وهو لم يعد محفوظًا" in arabic


def test_the_first_kept_run_against_the_one_that_is_gone(alice: Person) -> None:
    api = alice.api
    for found in ("one", "two", "three"):
        upload(api, {"a.py": [finding("lasting"), finding(found)]})
    first = Run.across_organizations.get(sequence=1).pk
    age(1)
    forget()
    run = Run.across_organizations.get(sequence=2)
    told = api.send("GET", f"/insight/runs/{run.pk}/diff").json()
    assert (told["against"], told["new"]["count"], told["fixed"]["count"]) == (None, 1, 1)
    assert told["unchanged"]["count"] == 1
    assert [item["message"] for item in told["fixed"]["items"]] == ["about one"]
    assert api.send("GET", f"/insight/runs/{run.pk}/diff?against={first}").status_code == 404
    assert api.send("GET", f"/insight/runs/{first}").status_code == 404
    page = alice.page().get(f"/en/acme/runs/{run.pk}/?show=fixed").content.decode()
    assert "Against run #1, which is not kept any more" in page
    assert "about one" in page
