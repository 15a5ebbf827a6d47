"""What PostgreSQL reads for an ingest, a list, a difference: rows by its own count, not time.

The project is small beside what a hub holds, and large beside what each of these may read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks.scale import Size, grow
from insight import queries, tracking
from insight.models import Run, Stream
from tests.cast import Api, Person
from tests.insight.documents import counts, document, finding, run_of, scope, send

pytestmark = pytest.mark.django_db

SIZE = Size(open=6_000, fixed=12_000, past=2_000, runs=3_000, branches=300)
FEW = 600
"""Rows, read and thrown away ones together: a tenth of the open issues."""


@pytest.fixture
def api(alice: Person) -> Api:
    send(alice.api, document({"seed.py": [finding("seed")]}))
    with connection.cursor() as cursor:
        grow(cursor, "website", SIZE)
        for table in ("issue", "pastinterval", "run", "stream"):
            cursor.execute(f"ANALYZE insight_{table}")
    return alice.api


def statements_of(work: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        work()
    return [
        query["sql"]
        for query in captured
        if re.match(r"\s*(SELECT|WITH|UPDATE)", query["sql"]) and "insight_" in query["sql"]
    ]


def rows_read(statement: str) -> int:
    """Of the tables, by all nodes of the plan, those that a filter threw away included."""
    # What a statement before it in the same text did, was done already.
    statement = statement.rpartition("; SELECT")[2] if "; SELECT" in statement else statement
    begin = "SELECT" if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE")) else ""
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {begin}{statement}")
        (plan,) = cursor.fetchone()
        transaction.set_rollback(True)
    return sum(_rows(node) for node in _nodes(plan[0]["Plan"]) if "Scan" in node["Node Type"])


def _rows(node: dict[str, Any]) -> int:
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int((read + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("few", [0, 1_000])
def test_a_run_of_one_file_reads_only_its_issues(
    api: Api, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Both ways of tracking, each statement of it, when issues are new, changed and fixed."""
    monkeypatch.setattr(tracking, "_FEW", few)
    path = "src/package7/module7.py"
    body = document(
        {path: [finding("new"), finding("newer")]}, scope=scope("ruff", files=[path])
    )
    before = queries.latest_run(Stream.across_organizations.get(branch="main"))
    assert before is not None
    answers: list[Any] = []
    read: dict[str, int] = {}

    def measured(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        text = context["cursor"].cursor.mogrify(sql, parameters).decode()
        if re.match(r"\s*(SELECT|WITH|UPDATE|INSERT)", sql) and "insight_issue" in sql:
            read[text] = _rows_in(context["cursor"], text)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(measured):
        answers.append(send(api, body))
    found = run_of(answers[0], api)
    assert counts(found)[:2] == (2, 6_000 // 2_000 * 1)
    assert read
    assert max(read.values()) <= 50, {text[:400]: rows for text, rows in read.items()}


def _rows_in(cursor: Any, text: str) -> int:
    """As :func:`rows_read`, in the middle of a transaction that goes on."""
    raw = cursor.cursor
    raw.execute("SAVEPOINT explained")
    raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}")
    (plan,) = raw.fetchone()
    raw.execute("ROLLBACK TO explained")
    return sum(
        _rows(node)
        for node in _nodes(plan[0]["Plan"])
        if "Scan" in node["Node Type"] and node.get("Relation Name") == "insight_issue"
    )
