"""A ledger as a row, without a database: what is counted, and what of it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from autopilot import ledgers
from autopilot.ledgers import cycle_from, shown_edit
from autopilot.models import Cycle
from autopilot.templatetags.cycles import DiffLine, diff_lines
from odavl.wire.autopilot import Edit
from odavl.wire.errors import RefusedError
from tests.autopilot.ledgers import edit, ledger
from uploads.contents import content_of
from uploads.documents import unwatched


def row(**fields: Any) -> Cycle:
    with content_of(json.dumps(ledger(**fields)).encode(), compressed=False) as content:
        return cycle_from(content, unwatched)


EDITS = some.lists(
    some.tuples(
        some.sampled_from(["a.py", "./a.py", "b/a.py", "b//a.py", "c.py"]),
        some.sampled_from(["kept", "reverted"]),
        some.integers(0, 3),
    ),
    max_size=12,
)


@given(edits=EDITS)
def test_edits_are_counted_by_what_became_of_them(edits: list[tuple[str, str, int]]) -> None:
    sent = [
        edit(path, verdict=verdict, findingsClosed=["f"] * closed)
        for path, verdict, closed in edits
    ]
    made = row(edits=sent, filesModified=None)
    kept = [each for each in edits if each[1] == "kept"]
    clean = {path.removeprefix("./").replace("//", "/") for path, _, _ in kept}
    assert made.edits_kept == len(kept)
    assert made.edits_reverted == len(edits) - len(kept)
    assert made.findings_closed == sum(closed for _, _, closed in kept)
    assert made.files_modified == len(clean)


@pytest.mark.parametrize(
    ("told", "count"), [(0, 0), (7, 7), ([], 0), (["a", "a"], 2), (["a"] * 500, 500)]
)
def test_what_is_told_of_files_goes_before_what_is_counted(told: object, count: int) -> None:
    assert row(filesModified=told).files_modified == count


def test_a_ledger_has_so_many_edits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "MAX_EDITS", 5)
    assert row(edits=[edit()] * 5).edits_kept == 5
    for verdict in ("kept", "reverted"):
        with pytest.raises(RefusedError) as refused:
            row(edits=[edit(verdict=verdict)] * 6)
        assert [each.pointer for each in refused.value.errors] == ["/edits"]


def test_more_closed_findings_than_a_column_holds_are_told_as_its_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledgers, "_MAX_COUNT", 3)
    assert row(edits=[edit(findingsClosed=["f"] * 3)]).findings_closed == 3
    assert row(edits=[edit(findingsClosed=["f"] * 2)] * 2).findings_closed == 3


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "C:\\x", "C:/x", "\\\\host\\x", "\\x"])
@pytest.mark.parametrize("verdict", ["kept", "reverted"])
def test_a_path_stays_inside_the_project(path: str, verdict: str) -> None:
    with pytest.raises(RefusedError) as refused:
        row(edits=[edit(), edit(path, verdict=verdict)])
    assert [each.pointer for each in refused.value.errors] == ["/edits/1/path"]


# ── Phases ───────────────────────────────────────────────────────────────────


def metrics(sent: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a phase's metrics."""
    kept: dict[str, Any] = row(phases={"act": {"status": "x", "metrics": sent}}).phases["act"][
        "metrics"
    ]
    return kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (0, 0), (-1, -1), (1.5, 1.5), (True, True), (False, False), ("", ""), ("word", "word"),
        (2**53 - 1, 2**53 - 1), (-(2**53) + 1, -(2**53) + 1), ("w" * 101, "w" * 99 + "…"),
        ("a\x00", "a␀"),
    ],
)  # fmt: skip
def test_a_metric_that_is_one_value_is_kept(sent: object, kept: object) -> None:
    found = metrics({"m": sent})
    assert found == {"m": kept}
    assert type(found["m"]) is type(kept)


@pytest.mark.parametrize("sent", [2**53, -(2**53), 1e300, None, [], {}, [1]])
def test_a_metric_that_is_none_or_not_exact_is_left_out(sent: object) -> None:
    assert metrics({"m": sent, "n": 1}) == {"n": 1}


@given(
    sent=some.dictionaries(
        some.text(max_size=4),
        some.none() | some.booleans() | some.integers() | some.text(max_size=4)
        | some.floats(allow_nan=False, allow_infinity=False),
        max_size=30,
    )
)  # fmt: skip
def test_metrics_fit_into_any_json_column(sent: dict[str, Any]) -> None:
    found = metrics(sent)
    assert len(found) <= ledgers.MAX_METRICS
    assert json.loads(json.dumps(found)) == found
    assert "\\u0000" not in json.dumps(found)


def test_only_the_first_metrics_are_kept() -> None:
    assert list(metrics({f"m{n}": n for n in range(21)})) == [f"m{n}" for n in range(20)]


def test_phases_that_were_not_reached_are_not_kept() -> None:
    made = row(phases={"act": {"status": "failed"}, "learn": None, "sleep": {"status": "x"}})
    assert made.phases == {"act": {"status": "failed", "durationMs": 0, "metrics": {}}}


# ── What is shown ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "most"), [("path", 1024), ("recipe", 200), ("diff", 65_536), ("reason", 4_000)]
)
def test_texts_of_an_edit_are_shown_up_to_their_bounds(name: str, most: int) -> None:
    for length, shown in ((most, "t" * most), (most + 1, "t" * (most - 1) + "…")):
        made = shown_edit(Edit(**{"path": "a.py", name: "t" * length}))
        assert getattr(made, name) == shown
    assert getattr(shown_edit(Edit(**{"path": "a.py", name: "\x00"})), name) == "␀"


def test_closed_findings_are_shown_up_to_a_hundred() -> None:
    made = shown_edit(Edit(path="a.py", findings_closed=[f"f{n}" for n in range(101)]))
    assert made.findings_closed == [f"f{n}" for n in range(100)]


@pytest.mark.parametrize(
    ("diff", "kinds"),
    [
        ("", []),
        ("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same", ["place", "remove", "add", "same"]),
        ("--- a\n-b", ["remove", "remove"]),
        ("+++ b\n--- a", ["add", "remove"]),
        ("\n", ["same"]),
        ("--- a\n+++ b", []),
    ],
)
def test_lines_of_a_difference_are_told_apart(diff: str, kinds: list[str]) -> None:
    assert [line.kind for line in diff_lines(diff)] == kinds


def test_a_line_keeps_its_sign() -> None:
    assert diff_lines("+new") == [DiffLine("add", "+new")]
