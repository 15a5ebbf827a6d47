"""Uploading findings: first, again, drifted, growing; rows written; memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import psycopg2

from benchmarks.corpus import Corpus, drifted
from benchmarks.hub import RunningHub, compressed, send
from benchmarks.limits import Limits
from benchmarks.table import Figure, Row, Table, measure, measure_each

_REST = 1.5
"""Seconds that PostgreSQL gets after an upload to gather statistics, so that no run pays for the
one before it."""


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    large = msgspec.json.encode(corpus.results(100_000))
    small = msgspec.json.encode(corpus.results(10_000))
    runs = corpus.runs
    sent = compressed(large)
    with hub.client() as client, Limits(hub.database_url, sent) as limits:
        first_limit = _with_new_table(limits, runs)
        first = measure_each(
            [lambda n=n: send(client, sent, projectName=f"first-{n}") for n in range(runs + 1)],
            rest=_REST,
        )
        table.add_ratio("first ingest of 100,000 findings", first, first_limit, 1.5)
        again_limit = measure(limits.again, runs=runs)
        again = measure(lambda: send(client, sent, projectName="first-0"), runs=runs, rest=_REST)
        table.add_ratio("the same again, nothing changed", again, again_limit, 1.7)
        _rows_written(table, hub, lambda: send(client, sent, projectName="first-0"))
        later = compressed(drifted(large))
        drift = measure_each(
            [lambda n=n: send(client, later, projectName=f"first-{n}") for n in range(1, runs + 1)],
            rest=_REST,
        )
        _drift(table, drift, again, first_limit)
        _growth(table, first, runs, lambda name: send(client, compressed(small), projectName=name))
        _fiftieth(table, lambda: send(client, sent, projectName="first-1"), corpus)
        _memory(table, hub, lambda: send(client, sent, projectName="memory"), "100,000")
        million = ten_times(large)
        _memory(table, hub, lambda: send(client, million, projectName="million"), "1,000,000")


def _with_new_table(limits: Limits, runs: int) -> Figure:
    values = []
    for _ in range(runs + 1):
        limits.make_table()
        start = time.perf_counter()
        limits.first()
        values.append(time.perf_counter() - start)
    return Figure(tuple(values[1:]))


def _rows_written(table: Table, hub: RunningHub, upload: Callable[[], object]) -> None:
    """By PostgreSQL's own count; the counters arrive a little later."""
    before = _written(hub.database_url)
    upload()
    rows = _written(hub.database_url) - before
    table.add(Row("rows written by it", Figure((rows,), ""), "< 20", 19))


def _written(database_url: str) -> int:
    last = -1
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
                " WHERE schemaname = 'public' AND relname NOT IN ('jobs_job', 'accounts_apikey')"
            )
            (count,) = cursor.fetchone() or (0,)
            connection.commit()
            if count == last:
                return int(count)
            last = count
            time.sleep(1.5)


def _drift(table: Table, drift: Figure, again: Figure, first_limit: Figure) -> None:
    # 1 % new, 1 % fixed, 5 % moved: 7 % of the rows are written, and may cost their COPY.
    limit = 1.5 * again.median + 0.07 * first_limit.median
    table.add(Row("the drifted run", drift, "≤ 1.5 × again + COPY of the change", limit, again))


def _growth(table: Table, first: Figure, runs: int, upload: Callable[[str], object]) -> None:
    small = measure_each([lambda n=n: upload(f"small-{n}") for n in range(runs + 1)], rest=_REST)
    ratio = Figure((first.median / small.median,), "×")
    table.add(Row("growth from 10,000 to 100,000", ratio, "≤ 10.5 ×", 10.5))


def _fiftieth(table: Table, upload: Callable[[], object], corpus: Corpus) -> None:
    upload()
    figures = [measure(upload, runs=1, warm_up=0) for _ in range(9 if corpus.is_quick else 49)]
    early = Figure(tuple(figure.median for figure in figures[:5]))
    late = Figure(tuple(figure.median for figure in figures[-5:]))
    table.add_ratio("50th run of a stream against the 2nd", late, early, 1.1)


def _memory(table: Table, hub: RunningHub, upload: Callable[[], object], size: str) -> None:
    peak = peak_of_workers(hub, upload)
    table.add(
        Row(f"memory of the ingesting process, {size}", Figure((peak,), "MiB"), "≤ 300 MiB", 300)
    )


def peak_of_workers(hub: RunningHub, work: Callable[[], object]) -> float:
    """Largest resident set of any of the hub's Python processes while ``work`` runs, in MiB.

    The kernel notes it: looking again and again would take time from what is measured.
    """
    for process in hub.processes():
        _proc(process, "clear_refs").write_text("5")  # proc_pid_clear_refs(5): forget the peak
    work()
    return max(map(_peak, hub.processes()))


def _peak(process: psutil.Process) -> float:
    try:
        status = _proc(process, "status").read_text()
    except ProcessLookupError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _proc(process: psutil.Process, name: str) -> Path:
    return Path(f"/proc/{process.pid}/{name}")


def ten_times(body: bytes) -> bytes:
    """Ten times as many findings, compressed: the same in ten folders."""
    document = msgspec.json.decode(body)
    findings = document["diagnostics"]
    document["diagnostics"] = {
        f"copy{number}/{path}": found for number in range(10) for path, found in findings.items()
    }
    return compressed(msgspec.json.encode(document))
