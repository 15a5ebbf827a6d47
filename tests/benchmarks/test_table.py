"""How the benchmark's table judges: pure arithmetic, nothing is measured."""

from __future__ import annotations

import pytest

from benchmarks.machine import Machine
from benchmarks.table import (
    ALL_MET,
    DOUBTFUL,
    SOME_MISSED,
    Figure,
    Row,
    Table,
    Verdict,
    exit_code,
    measure,
    measure_each,
)

SECOND = Figure((1.0,))


class TestAFigure:
    @pytest.mark.parametrize(
        ("values", "unit", "text"),
        [
            ((0.034, 0.033, 0.04), "s", "34.0 ms (33.0–40.0)"),
            ((1.5,), "s", "1.50 s"),
            ((2.0, 1.0, 30.0), "s", "2.00 s (1.00–30.00)"),
            ((500, 300, 400), "MiB", "400 MiB (300–500)"),
            ((0,), "", "0.00 "),
        ],
    )
    def test_is_its_median_with_least_and_most(self, values, unit, text):
        assert str(Figure(values, unit)) == text

    def test_the_warm_up_does_not_count(self):
        calls: list[int] = []
        figure = measure(lambda: calls.append(1), runs=5, warm_up=2)
        assert (len(calls), len(figure.values)) == (7, 5)
        figure = measure_each([lambda n=n: calls.append(n) for n in range(6)])
        assert (len(calls), len(figure.values)) == (13, 5)


class TestAVerdict:
    @pytest.mark.parametrize(
        ("row", "verdict"),
        [
            (Row("at most", SECOND, "", 1.0), Verdict.MET),
            (Row("at most", SECOND, "", 0.99), Verdict.MISSED),
            (Row("at least", SECOND, "", 1.0, at_least=True), Verdict.MET),
            (Row("at least", SECOND, "", 1.01, at_least=True), Verdict.MISSED),
            (Row("no goal", SECOND, "told"), Verdict.TOLD),
            (Row("not there", None, "≤ 1 s", why="nobody made it"), Verdict.NOT_RUN),
            (Row("out of reach", SECOND, "", 0.5, why="physics"), Verdict.CANNOT_HOLD),
            (Row("said to be out of reach", SECOND, "", 1.5, why="physics"), Verdict.MET),
            (Row("nothing may be", Figure((0,), ""), "none", 0), Verdict.MET),
            (Row("nothing may be", Figure((1,), ""), "none", 0), Verdict.MISSED),
            (Row("the median counts", Figure((9, 1, 1)), "", 1), Verdict.MET),
        ],
        ids=lambda value: value.name if isinstance(value, Row) else value.value,
    )
    def test_is_what_the_median_says_of_the_limit(self, row, verdict):
        assert row.verdict is verdict

    def test_reasons_are_told_and_doubts_marked(self):
        met, missed = Row("", SECOND, "", 2), Row("", SECOND, "", 0)
        assert met.told(is_doubtful=False) == "yes"
        assert met.told(is_doubtful=True) == "yes?"
        assert missed.told(is_doubtful=True) == "NO?"
        not_run = Row("", None, "", why="it is not there")
        assert not_run.told(is_doubtful=True) == "not run: it is not there"
        beyond = Row("", SECOND, "", 0, why="physics")
        assert beyond.told(is_doubtful=False) == "cannot hold: physics"


class TestScaling:
    def test_a_time_is_allowed_what_the_machine_takes_longer(self):
        table = Table(scale=1.5)
        table.add(Row("in time", Figure((0.07,)), "≤ 50 ms", 0.050))
        table.add(Row("late", Figure((0.08,)), "≤ 50 ms", 0.050))
        assert [row.verdict for row in table.rows] == [Verdict.MET, Verdict.MISSED]
        assert table.rows[0].goal == "≤ 50 ms × 1.50"

    def test_a_faster_machine_is_allowed_less(self):
        table = Table(scale=0.5)
        table.add(Row("late", Figure((0.03,)), "≤ 50 ms", 0.050))
        assert table.rows[0].verdict is Verdict.MISSED

    @pytest.mark.parametrize(
        "row",
        [
            Row("memory", Figure((250,), "MiB"), "≤ 300 MiB", 300),
            Row("a rate", Figure((250,), "/s"), "≥ 200 /s", 200, at_least=True),
            Row("a lease", Figure((60,)), "≤ 75 s", 75, is_fixed=True),
            Row("a ratio", Figure((2,)), "≤ 2 × reference", 2, SECOND),
            Row("told", SECOND, "told"),
            Row("not run", None, "≤ 1 s", why="why"),
        ],
        ids=lambda row: row.name,
    )
    def test_amounts_ratios_and_leases_are_the_same_everywhere(self, row):
        table = Table(scale=3)
        table.add(row)
        assert table.rows == [row]

    def test_ratios_are_to_the_references_median(self):
        table = Table(scale=3)
        table.add_ratio("slower", Figure((2.1,)), Figure((9, 1, 0)), 2)
        table.add_ratio("rate", Figure((0.7,)), Figure((1,)), 0.6, at_least=True)
        assert [row.verdict for row in table.rows] == [Verdict.MISSED, Verdict.MET]
        assert [row.ratio for row in table.rows] == ["2.10", "0.70"]
        assert [row.goal for row in table.rows] == ["≤ 2 × reference", "≥ 0.6 × reference"]


class TestTheExitCode:
    MET = Row("met", SECOND, "", 2)
    MISSED = Row("missed", SECOND, "", 0.5)
    OTHERS = (
        Row("told", SECOND, "told"),
        Row("not run", None, "", why="why"),
        Row("out of reach", SECOND, "", 0.5, why="physics"),
    )

    @pytest.mark.parametrize(
        ("rows", "is_doubtful", "code"),
        [
            ((MET, *OTHERS), False, ALL_MET),
            ((MET, *OTHERS), True, DOUBTFUL),
            ((MET, *OTHERS, MISSED), False, SOME_MISSED),
            ((MET, *OTHERS, MISSED), True, SOME_MISSED),
        ],
    )
    def test_is_nought_only_where_all_goals_hold_on_an_idle_machine(self, rows, is_doubtful, code):
        table = Table(is_doubtful=is_doubtful, rows=list(rows))
        assert exit_code(table) == code

    def test_the_summary_counts(self):
        table = Table(is_doubtful=True, rows=[self.MET, self.MISSED, *self.OTHERS])
        assert table.summary() == (
            "Goals: 1 met, 1 missed, 1 cannot hold here, 1 not run; the verdicts are doubtful."
        )


class TestTheMachine:
    @pytest.mark.parametrize(
        ("load", "busy", "is_idle"),
        [(0.2, 0.02, True), (0.9, 0.02, True), (1.1, 0.02, False), (0.2, 0.5, False)],
    )
    def test_is_idle_where_nobody_else_works(self, load, busy, is_idle):
        machine = Machine(Figure((0.051,)), processors=2, load=load, busy=busy)
        assert machine.is_idle is is_idle
        first = machine.describe().splitlines()[0]
        assert first.startswith("yardstick" if is_idle else "THE MACHINE IS NOT IDLE")

    def test_the_yardstick_is_what_scales(self):
        machine = Machine(Figure((0.051, 0.051, 0.9)), processors=2, load=0, busy=0)
        assert machine.scale == pytest.approx(1.5)
        assert "goals in seconds are × 1.50" in machine.describe()

    def test_a_machine_that_slowed_down_or_got_rid_of_company_is_another(self):
        machine = Machine(Figure((0.04,)), processors=2, load=0, busy=0)
        assert not machine.drifted(Figure((0.044,)))
        assert machine.drifted(Figure((0.05,)))
        assert machine.drifted(Figure((0.03,)))


def test_the_table_shows_every_row_in_aligned_columns():
    table = Table()
    table.add(Row("a", SECOND, "≤ 2 s", 2.0))
    table.not_run("longer name", "≤ 1", "no browser")
    lines = str(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split(" | ")[0].strip("| ") == "what"
    assert "| yes" in lines[2]
    assert "| not run: no browser" in lines[3]
