"""Pages and lists of a project with 200,000 open and a million fixed issues, 100,000 runs and 3,000
branches, beside those of one with 100,000 open issues and little else.

The rows are made in the database: what is measured is reading. Whole requests over loopback, so the
two projects are told by the ratio, not by the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg2

from benchmarks.corpus import Corpus
from benchmarks.hub import RunningHub, compressed, send
from benchmarks.reading import signed_in
from benchmarks.table import Row, Table, measure

_FILES = 2_000
_ONE = (
    b'{"version":1,"scope":{"detectors":[{"name":"ruff","status":"ran"}]},"diagnostics":'
    b'{"seed.py":[{"severity":"low","message":"the first","line":1,"source":"ruff",'
    b'"code":"F401","fingerprint":"seed"}]}}'
)


@dataclass(frozen=True, slots=True)
class Size:
    """What a project holds. Most runs are the default branch's, the other branches have one."""

    open: int
    fixed: int
    past: int
    runs: int
    branches: int


USUAL = Size(open=100_000, fixed=1_000, past=1_000, runs=100, branches=3)
LARGE = Size(open=200_000, fixed=1_000_000, past=100_000, runs=100_000, branches=3_000)

_BRANCHES = """
INSERT INTO insight_stream (organization_id, project_id, branch, last_sequence, last_run_at)
SELECT organization_id, project_id, 'feature/' || n, 1, now() - n * interval '1 minute'
FROM insight_stream, generate_series(1, %(branches)s - 1) AS n WHERE id = %(stream)s
"""
# One upload for each run, all of them of the bytes of the first.
_RUNS = """
CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT gen_random_uuid() AS run_id, gen_random_uuid() AS upload_id, stream_id, sequence,
       now() - age * interval '1 minute' AS made_at
FROM (
    SELECT %(stream)s AS stream_id, n AS sequence, %(runs)s - n AS age
    FROM generate_series(2, %(runs)s - %(branches)s + 1) AS n
    UNION ALL
    SELECT id, 1, row_number() OVER () FROM insight_stream
    WHERE project_id = %(project)s AND id <> %(stream)s
) AS each;
INSERT INTO uploads_upload (id, organization_id, project_id, product, type, metadata, stored_id,
                            state, run_id, url, created_at)
SELECT made.upload_id, upload.organization_id, upload.project_id, product, type, metadata,
       stored_id, upload.state, made.run_id, url, made_at
FROM made, uploads_upload AS upload JOIN insight_run AS run ON run.upload_id = upload.id
WHERE run.stream_id = %(stream)s AND run.sequence = 1;
INSERT INTO insight_run (id, organization_id, stream_id, upload_id, sequence, state, created_at,
    finished_at, git_remote, git_commit, tool_name, tool_version, detectors, metrics, total,
    new_count, fixed_count, unchanged_count, reopened_count, suppressed_count, trimmed_count,
    by_severity, open_total, open_by_severity)
SELECT made.run_id, organization_id, made.stream_id, made.upload_id, made.sequence, state,
    made_at, made_at, git_remote, git_commit, tool_name, tool_version, detectors, metrics,
    %(open)s, 10, 10, %(open)s - 10, 0, 0, 0, by_severity, %(open)s, open_by_severity
FROM made, insight_run AS run WHERE run.stream_id = %(stream)s AND run.sequence = 1;
UPDATE insight_stream SET last_sequence = %(runs)s - %(branches)s + 1, last_run_at = now()
WHERE id = %(stream)s;
"""
# Lives spread over the runs; the open ones begin anywhere, the fixed ones last for a while.
_ISSUES = """
WITH last AS (SELECT last_sequence AS run FROM insight_stream WHERE id = %(stream)s)
INSERT INTO insight_issue (stream_id, identity, fingerprint, content, severity, line, "column",
    introduced, resolved, reopenings, suppressed, detector, rule, path, message, snippet, fix, url)
SELECT %(stream)s, md5('i' || %(stream)s || '/' || n)::uuid, md5('f' || n)::uuid, n, 1 + n %% 5,
    n %% 1000, 1, began, CASE WHEN n > %(open)s THEN least(began + 1 + n %% 50, run) END,
    (n %% 100 = 0)::int, n %% 50 = 0, 'ruff', 'R' || n %% 300,
    'src/package' || n %% 40 || '/module' || n %% %(files)s || '.py',
    'a finding about something that is ' || md5(n::text) || ' and should be mended soon',
    repeat('    some_line_of_code(with_an_argument)' || chr(10), 5), '', ''
FROM last, (
    SELECT n, 1 + (n::bigint * 7919) %% greatest(run - 1, 1) AS began
    FROM last, generate_series(1, %(open)s + %(fixed)s) AS n
) AS each;
INSERT INTO insight_pastinterval (stream_id, issue_id, introduced, resolved)
SELECT stream_id, id, greatest(introduced / 3, 1), greatest(introduced / 2, 2)
FROM insight_issue WHERE stream_id = %(stream)s AND introduced > 10 ORDER BY identity
LIMIT %(past)s;
"""
_HEAD = """
WITH open AS (
    SELECT severity, count(*) AS number FROM insight_issue
    WHERE stream_id = %(stream)s AND resolved IS NULL AND NOT suppressed GROUP BY severity
), counted AS (
    SELECT sum(number) AS total, jsonb_object_agg(
        (ARRAY['info', 'low', 'medium', 'high', 'critical'])[severity], number) AS by_severity
    FROM open
)
UPDATE insight_run SET open_total = counted.total, open_by_severity = counted.by_severity
FROM counted, insight_stream AS stream
WHERE stream_id = %(stream)s AND stream.id = stream_id AND sequence = stream.last_sequence
"""


def grow(cursor: Any, project: str, size: Size) -> None:
    """Fill the default branch of ``project``, which has one run, in the cursor's transaction."""
    cursor.execute(
        "SELECT stream.id, project.id FROM insight_stream AS stream"
        " JOIN accounts_project AS project ON project.id = stream.project_id"
        " WHERE project.slug = %s AND stream.branch = project.default_branch",
        [project],
    )
    stream, project_id = cursor.fetchone()
    values = {
        "stream": stream,
        "project": project_id,
        "open": size.open,
        "fixed": size.fixed,
        "past": size.past,
        "runs": size.runs,
        "branches": size.branches,
        "files": _FILES,
    }
    for statement in (_BRANCHES, _RUNS, _ISSUES, _HEAD):
        cursor.execute(statement, values)


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    del corpus  # what is read matters here, not what it was made from
    with hub.client() as client:
        for name, size in (("usual", USUAL), ("large", LARGE)):
            send(client, compressed(_ONE), projectName=name)
            _grow(hub.database_url, name, size)
        browser = signed_in(hub)
        for name, address in _requests(client).items():
            reader = client if address.startswith("/insight") else browser
            ours, usual = (
                measure(_getter(reader, address.format(project=each, **_runs(client, each))))
                for each in ("large", "usual")
            )
            table.add_ratio(f"200k open, 1M fixed, 100k runs: {name}", ours, usual, 2)
        _difference(table, client)
        browser.close()


def _grow(database_url: str, project: str, size: Size) -> None:
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:
        grow(cursor, project, size)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE insight_issue, insight_pastinterval, insight_run")
        cursor.execute("VACUUM ANALYZE insight_stream, uploads_upload")
    connection.close()


def _runs(client: httpx.Client, project: str) -> dict[str, str]:
    listed = client.get(f"/insight/runs?project={project}&branch=main&limit=2").json()["items"]
    return {"run": listed[0]["id"], "before": listed[1]["id"]}


def _requests(client: httpx.Client) -> dict[str, str]:
    listed = client.get("/insight/issues?project=usual&limit=1").raise_for_status().json()
    rule = listed["items"][0]["rule"]
    issues = "/insight/issues?project={project}&limit=50"
    pages = "/en/home/projects/{project}/"
    return {
        "list of issues": issues,
        "by severity": f"{issues}&severity=high",
        "by rule": f"{issues}&rule={rule}",
        "by folder": f"{issues}&path=src/package7/",
        "new in the latest run": f"{issues}&new=true",
        "by a text that is rare": f"{issues}&text=zzqq",
        "by a text that is common": f"{issues}&text=mended",
        "fixed ones": f"{issues}&state=fixed",
        "all of them": f"{issues}&state=all",
        "sorted by path": f"{issues}&sort=path",
        "sorted by rule": f"{issues}&sort=rule",
        "newest first": f"{issues}&sort=newest",
        "list of runs": "/insight/runs?project={project}&limit=50",
        "list of a branch's runs": "/insight/runs?project={project}&branch=feature/1&limit=50",
        "issues of a run": "/insight/runs/{run}/issues?limit=50",
        "page: overview": "/en/home/",
        "page: project": pages,
        "page: runs": f"{pages}runs/",
        "page: run": "/en/home/runs/{run}/",
        "page: issues": f"{pages}issues/",
        "page: issues, searched": f"{pages}issues/?text=zzqq",
    }


def _difference(table: Table, client: httpx.Client) -> None:
    runs = _runs(client, "large")
    figure = measure(_getter(client, f"/insight/runs/{runs['run']}/diff?against={runs['before']}"))
    table.add(Row("200k open, 1M fixed: difference of two runs", figure, "≤ 300 ms", 0.300))


def _getter(client: httpx.Client, path: str) -> Callable[[], object]:
    return lambda: client.get(path).raise_for_status()
