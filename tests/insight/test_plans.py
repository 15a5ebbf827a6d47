"""What PostgreSQL reads for an ingest, a list, a difference: rows by its own count, not time.

The project is small beside what a hub holds, and large beside what each of these may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from benchmarks.scale import Size, grow
from frame.database.clock import database_now
from insight import queries, tracking
from insight.models import Run, Stream
from insight.retention import delete_old_intervals, delete_old_runs
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, run_of, scope, send

pytestmark = pytest.mark.django_db

SIZE = Size(open=6_000, fixed=12_000, past=2_000, runs=3_000, branches=300)


@pytest.fixture
def api(alice: Person) -> Api:
    """Alice's, whose project Website is large."""
    send(alice.api, document({"seed.py": [finding("seed")]}))
    with connection.cursor() as cursor:
        grow(cursor, "website", SIZE)
        for table in ("issue", "pastinterval", "run", "stream"):
            cursor.execute(f"ANALYZE insight_{table}")
    return alice.api


@contextmanager
def rows_read() -> Iterator[dict[str, int]]:
    """Of Insight's tables, for each statement, those that a filter threw away included."""
    read: dict[str, int] = {}

    def measured(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        raw = context["cursor"].cursor
        if raw.name:  # read in pieces: it could not be asked beforehand
            return execute(sql, parameters, many, context)
        # Of several statements in one text the last one counts; the others only lock.
        text = raw.mogrify(sql, parameters).decode().strip()
        text = re.sub(r"^SELECT pg_try_advisory_xact_lock[^;]*;", "", text).strip()
        if re.match("SELECT|WITH|UPDATE|INSERT", text) and " insight_" in text.replace('"', " "):
            raw.execute("SAVEPOINT explained")
            raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}")
            (plan,) = raw.fetchone()
            raw.execute("ROLLBACK TO explained")
            read[text] = sum(map(_rows, _nodes(plan[0]["Plan"])))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(measured):
        yield read


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _rows(node: dict[str, Any]) -> int:
    if not node.get("Relation Name", "").startswith("insight_"):
        return 0
    thrown_away = node.get("Rows Removed by Filter", 0) + node.get(
        "Rows Removed by Index Recheck", 0
    )
    return int((node["Actual Rows"] + thrown_away) * node["Actual Loops"])


@pytest.mark.parametrize("few", [0, 1_000])
def test_a_run_of_one_file_reads_only_its_issues(
    api: Api, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Both ways of tracking, each statement of it, when issues are new, changed and fixed."""
    monkeypatch.setattr(tracking, "_FEW", few)
    path = "src/package7/module7.py"
    body = document({path: [finding("new"), finding("newer")]}, scope=scope("ruff", files=[path]))
    before = queries.latest_run(Stream.across_organizations.get(branch="main"))
    assert before is not None
    with rows_read() as read:
        answer = send(api, body)
    run = run_of(answer, api)
    assert (counts(run)[:2], run["openTotal"]) == ((2, 3), before.open_total - 1)
    # The issues of the file, in each statement; of the temporary tables nothing is counted.
    assert len(read) >= 4
    assert max(read.values()) <= 50, read


@pytest.mark.parametrize(
    ("address", "most"),
    [
        ("/insight/issues?project=website", 10_001 // 2),
        ("/insight/issues?project=website&state=fixed&limit=50", 2_000),
        ("/insight/issues?project=website&state=all&limit=50", 400),
        ("/insight/issues?project=website&sort=newest&limit=50", 400),
        ("/insight/runs?project=website&limit=50", 400),
        ("/insight/runs?project=website&branch=feature/7&limit=50", 400),
        ("/insight/runs/{run}/issues?limit=50", 400),
        ("/insight/runs/{run}/diff", 400),
        ("/insight/runs/{run}/diff?against={before}", 400),
        ("/insight/runs/{before}/diff?against={run}", 400),
    ],
)
def test_a_list_reads_about_what_it_shows(api: Api, address: str, most: int) -> None:
    """Beside counting: that reads an index alone, or stops at ten thousand."""
    main = Stream.across_organizations.get(branch="main")
    runs = queries.trend(main)
    path = address.format(run=runs[-1].pk, before=runs[-2].pk)
    with rows_read() as read:
        assert api.send("GET", path).status_code == 200
    listed = {text: rows for text, rows in read.items() if "COUNT(" not in text}
    assert listed
    assert max(listed.values()) <= most, listed


@pytest.mark.parametrize("page", ["", "runs/", "issues/", "issues/?branch=feature/7"])
def test_a_page_of_a_project_looks_through_neither_runs_nor_branches(
    alice: Person, api: Api, page: str
) -> None:
    browser = alice.page()
    with rows_read() as read:
        assert browser.get(f"/en/acme/projects/website/{page}").status_code == 200
    of_runs = {text: rows for text, rows in read.items() if '"insight_run"' in text}
    assert max(of_runs.values()) <= 150, of_runs
    others = {text: rows for text, rows in read.items() if "COUNT(" not in text}
    # One short row for each branch is sorted for the menu; nothing is looked up for it.
    assert max(others.values()) <= 1_000, others


def test_the_overview_looks_through_neither_runs_nor_branches(alice: Person, api: Api) -> None:
    browser = alice.page()
    with rows_read() as read:
        assert browser.get("/en/acme/").status_code == 200
    assert max(read.values()) <= SIZE.branches + 1, read


def test_a_step_of_forgetting_reads_about_what_goes(api: Api) -> None:
    """Of each branch a few probes; of the runs and issues of the large one those that go."""
    main = Stream.across_organizations.get(branch="main")
    Run.across_organizations.filter(stream=main, sequence=1).update(
        created_at=database_now() - timedelta(days=365)
    )
    Run.across_organizations.update(analysed_at=F("created_at"))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE insight_run")
    with rows_read() as read:
        assert delete_old_runs(older_than=database_now(), at_most=50) == 50
    assert max(read.values()) <= 6 * SIZE.branches, read
    # From here on there are lives to forget, far more than go in a step.
    while queries.deleted_through(main) < 1_000:
        assert delete_old_runs(older_than=database_now(), at_most=500) == 500
    with rows_read() as read:
        assert delete_old_intervals(older_than=database_now(), at_most=50) == 50
    assert max(read.values()) <= 6 * SIZE.branches, read
