"""Reading with 100,000 issues in the database: lists, differences, pages.

What is measured is the whole request over loopback, which is a little more than the server's part.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import msgspec
import psycopg2

from benchmarks.corpus import Corpus, drifted
from benchmarks.hub import RunningHub, compressed, send
from benchmarks.table import Figure, Row, Table, measure
from odavl.wire.analysis import AnalysisResults, DetectorReport, Scope

_STATISTICS_SECONDS = 12.0
"""After which an idle backend has told what it did: PostgreSQL's own interval is ten."""
_IDLE_SECONDS = 10.0
_LISTS = {
    "first page": "",
    "by severity": "&severity=high",
    "by rule": "&rule={rule}",
    "by a rule that is not there": "&rule=NOPE",
    "by folder": "&path=asyncio/",
    "by pattern": "&path=*test*",
    "new in the latest run": "&new=true",
    "by a text that is rare": "&text=zzqq",
    "by a text that is common": "&text=missing",
    "fixed ones": "&state=fixed",
    "sorted by path": "&sort=path",
}


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    results = corpus.results(100_000)
    body = msgspec.json.encode(results)
    with hub.client() as client:
        before = send(client, compressed(body), projectName="reading")
        after = send(client, compressed(drifted(body)), projectName="reading")
        _diff(table, hub, client, (before, after), corpus)
        _lists(table, client)
        _deep_page(table, client, corpus)
        browser = signed_in(hub)
        _pages(table, browser, after)
        browser.close()
        # Last: it changes the issues that the others read.
        _one_file(table, hub, client, results, corpus)


def _diff(
    table: Table, hub: RunningHub, client: httpx.Client, runs: tuple[str, str], corpus: Corpus
) -> None:
    """At most three times the count of the stream's issues, or 150 ms where that is more."""
    before, after = runs

    def compare() -> None:
        answer = client.get(f"/insight/runs/{after}/diff?against={before}").raise_for_status()
        assert answer.json()["new"]["count"] == corpus.size(100_000) // 100

    ours = measure(compare, runs=corpus.runs)
    with psycopg2.connect(hub.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT stream_id FROM insight_run WHERE id = %s", [after])
        (stream,) = cursor.fetchone() or (None,)

        def count() -> None:
            cursor.execute("SELECT count(*) FROM insight_issue WHERE stream_id = %s", [stream])
            cursor.fetchone()

        counting = measure(count, runs=corpus.runs)
    connection.close()
    limit = max(3 * counting.median, 0.150 * table.scale)
    goal = f"≤ 3 × count or 150 ms × {table.scale:.2f}"
    table.add(Row("difference of two runs of 100,000", ours, goal, limit, counting))


def _lists(table: Table, client: httpx.Client) -> None:
    listed = client.get("/insight/issues?project=reading&limit=1").raise_for_status().json()
    rule = listed["items"][0]["rule"]
    for name, query in _LISTS.items():
        path = f"/insight/issues?project=reading&limit=50{query.format(rule=rule)}"
        figure = measure(_getter(client, path), runs=9)
        table.add(Row(f"issue list, {name}", figure, "≤ 50 ms", 0.050))


def _deep_page(table: Table, client: httpx.Client, corpus: Corpus) -> None:
    path = "/insight/issues?project=reading&limit=200"
    answer = client.get(path).json()
    for _ in range(corpus.size(200)):
        answer = client.get(f"{path}&cursor={answer['next']}").json()
    deep = f"/insight/issues?project=reading&limit=50&cursor={answer['next']}"
    table.add(Row("issue list, page 800", measure(_getter(client, deep), runs=9), "≤ 50 ms", 0.050))


def _pages(table: Table, browser: httpx.Client, run_id: str) -> None:
    for name, path in {
        "overview": "/en/home/",
        "project": "/en/home/projects/reading/",
        "run": f"/en/home/runs/{run_id}/",
        "issues": "/en/home/projects/reading/issues/",
        "issues, searched": "/en/home/projects/reading/issues/?text=zzqq",
    }.items():
        figure = measure(_getter(browser, path), runs=20)
        slowest = Figure((sorted(figure.values)[-2],))
        table.add(Row(f"page: {name}, p95 of 20", slowest, "≤ 100 ms", 0.100))


def _one_file(
    table: Table, hub: RunningHub, client: httpx.Client, results: AnalysisResults, corpus: Corpus
) -> None:
    """A run of one file, as `--changed` makes it: time in the database, and issues read for it."""
    path = next(path for path, found in results.diagnostics.items() if 20 <= len(found) <= 100)
    found = results.diagnostics[path]
    ran = [DetectorReport(name="ruff")]
    document = AnalysisResults(diagnostics={path: found}, scope=Scope(detectors=ran, files=[path]))
    body = compressed(msgspec.json.encode(document))
    send(client, body, projectName="reading")
    rest = _spent(hub.database_url)
    time.sleep(_IDLE_SECONDS)
    idle = _spent(hub.database_url)
    runs = 4 * corpus.runs
    start = time.monotonic()
    for _ in range(runs):
        send(client, body, projectName="reading")
    seconds = time.monotonic() - start
    after = _spent(hub.database_url)
    by_itself = (idle.active - rest.active) / (idle.moment - rest.moment)
    active = after.active - idle.active - by_itself * (after.moment - idle.moment)
    name = f"a run of one file of {len(found)} findings"
    database = Figure((max(active, 0) / runs,))
    table.add(Row(f"{name}, in the database", database, "≤ 25 ms", 0.025))
    table.add(Row(f"{name}, the whole of it", Figure((seconds / runs,)), "told"))
    read = Figure(((after.issues - idle.issues) / runs,), "issues")
    table.add(Row("issues read for it", read, f"≤ 2 × {len(found)}", 2 * len(found)))


@dataclass(frozen=True, slots=True)
class _Spent:
    moment: float
    active: float
    """Seconds that statements have taken, of all connections."""
    issues: int
    """Rows of the issues that were read."""


def _spent(database_url: str) -> _Spent:
    """By PostgreSQL's own count, once it is complete."""
    time.sleep(_STATISTICS_SECONDS)
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp()), active_time / 1000,"
            " (SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            "  FROM pg_stat_user_tables WHERE relname = 'insight_issue')"
            " FROM pg_stat_database WHERE datname = current_database()"
        )
        moment, active, issues = cursor.fetchone() or (0, 0, 0)
    connection.close()
    return _Spent(float(moment), float(active), int(issues))


def signed_in(hub: RunningHub) -> httpx.Client:
    """A browser's session of the owner."""
    browser = httpx.Client(base_url=hub.url, follow_redirects=True, timeout=60, trust_env=False)
    page = browser.get("/en/accounts/login/").raise_for_status()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token is not None
    email, password = (hub.folder / "secrets" / "first-sign-in").read_text().split()
    form = {"login": email, "password": password, "csrfmiddlewaretoken": token[1]}
    answer = browser.post("/en/accounts/login/", data=form).raise_for_status()
    assert "login" not in str(answer.url), "the owner could not sign in"
    return browser


def _getter(client: httpx.Client, path: str) -> Callable[[], object]:
    return lambda: client.get(path).raise_for_status()
