"""Any sequence of runs, against a model of what should come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insight import queries, tracking
from insight.models import Issue, Run, Stream
from tests.cast import Person
from tests.insight.documents import counts, finding, scope, upload

PATHS = ("a.py", "b.py", "c/d.py")
NAMES = ("n1", "n2", "n3", "n4")
DETECTORS = ("ruff", "bandit")
Key = tuple[str, str]

findings = st.dictionaries(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(NAMES)),
    st.integers(1, 5),
    max_size=8,
)
run_plans = st.lists(
    st.tuples(
        findings,
        st.sampled_from([None, ["a.py"], ["b.py", "c/d.py"]]),
        st.sampled_from([("ruff",), ("bandit",), ("ruff", "bandit")]),
    ),
    min_size=1,
    max_size=6,
)


def _detector(name: str) -> str:
    return DETECTORS[int(name[1]) % 2]


@dataclass
class Model:
    """Tracking as the words define it, one key after the other."""

    alive: dict[Key, int] = field(default_factory=dict)
    known: set[Key] = field(default_factory=set)

    def take(
        self, found: dict[Key, int], files: list[str] | None, detectors: tuple[str, ...]
    ) -> tuple[int, int, int, int]:
        fresh = found.keys() - self.alive.keys()
        reopened = {key for key in fresh if key in self.known}
        fresh -= reopened
        gone = {
            (path, name)
            for path, name in self.alive.keys() - found.keys()
            if _detector(name) in detectors and (files is None or path in files)
        }
        # A name that went missing at one path and appears at another was carried along.
        renamed = sum(
            (Counter(name for _, name in fresh) & Counter(name for _, name in gone)).values()
        )
        self._carry(fresh, gone)
        for key in gone:
            self.alive.pop(key, None)
        self.alive |= found
        new, fixed = len(fresh) - renamed, len(gone) - renamed
        return new, fixed, len(found) - new - len(reopened), len(reopened)

    def _carry(self, fresh: set[Key], gone: set[Key]) -> None:
        """Which of several like issues is carried along is the tracker's choice, so the model
        forgets the names whose choice matters; the test leaves such plans out."""
        self.known |= fresh | gone


def _ambiguous(model: Model, found: dict[Key, int]) -> bool:
    """Whether a rename could have been meant: then the past of the two keys is merged."""
    fresh = {name for path, name in found.keys() - model.alive.keys()}
    missing = {name for path, name in model.alive.keys() - found.keys()}
    return bool(fresh & missing)


# All through the tables; now this way, now that; all that is small in one statement.
@pytest.mark.parametrize("few", [0, 3, 1_000])
@pytest.mark.django_db
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(plans=run_plans)
def test_any_sequence_of_runs_is_told_exactly(
    alice: Person,
    monkeypatch: pytest.MonkeyPatch,
    plans: list[tuple[dict[Key, int], list[str] | None, tuple[str, ...]]],
    few: int,
) -> None:
    monkeypatch.setattr(tracking, "_FEW", few)
    Stream.across_organizations.all().delete()
    api = alice.api
    model = Model()
    alive_after: list[set[Key]] = []
    for planned, files, detectors in plans:
        # A finding of a detector or file outside of the scope would contradict the scope.
        found = {
            key: line
            for key, line in planned.items()
            if _detector(key[1]) in detectors and (files is None or key[0] in files)
        }
        if _ambiguous(model, found):
            continue
        by_path: dict[str, list[dict[str, object]]] = {}
        for (path, name), line in found.items():
            by_path.setdefault(path, []).append(
                finding(name, line=line, source=_detector(name), message=name)
            )
        expected = model.take(found, files, detectors)
        run = upload(api, by_path, scope=scope(*detectors, files=files))
        assert counts(run) == expected
        alive_after.append(set(model.alive))
    _assert_history(alive_after)
    for most in (0, 10_000):  # as many do, and as few
        monkeypatch.setattr(queries, "COUNT_LIMIT", most)
        _assert_differences(alive_after)


def _assert_differences(alive_after: list[set[Key]]) -> None:
    """Runs that follow each other, and backwards those with one between them."""
    runs = list(Run.across_organizations.order_by("sequence").select_related("stream"))
    told = list(zip(runs, alive_after, strict=True))
    for (run, alive), (base, before) in [*pairwise(told), *pairwise(told[::-2])]:
        assert queries.count_in(run) == len(alive)
        found = queries.diff(run, base)
        assert _keys(found.new) == alive - before
        assert _keys(found.fixed) == before - alive
        expected = len(alive - before), len(before - alive), len(alive & before)
        assert (found.new_count, found.fixed_count, found.unchanged_count) == expected


def _keys(issues: Iterable[Issue]) -> set[Key]:
    found = [(issue.path, issue.message) for issue in issues]
    assert len(found) == len(set(found))
    return set(found)


def _assert_history(alive_after: list[set[Key]]) -> None:
    """Every run still shows the issues that were there after it, and every issue its runs."""
    lived: Counter[Key] = Counter(key for alive in alive_after for key in alive)
    for run, alive in zip(Run.across_organizations.order_by("sequence"), alive_after, strict=True):
        assert {(issue.path, issue.message) for issue in queries.issues_in(run)} == alive
        assert run.open_total == sum(run.open_by_severity.values()) == len(alive)
    for issue in Issue.across_organizations.select_related("stream"):
        assert queries.runs_with(issue).count() == lived[issue.path, issue.message]
