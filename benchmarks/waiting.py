"""Uploads while a run of the same branch is being taken in: nobody waits for an ingest."""

from __future__ import annotations

from threading import Thread

import httpx
import msgspec

from benchmarks.corpus import Corpus, results_of_size
from benchmarks.hub import RunningHub, compressed, post, send
from benchmarks.table import Figure, Row, Table, timed

_LARGE = 100_000
_LEAST = 10_000
"""With fewer findings a run is taken in before anybody could wait for it."""
_MOST = 200
"""Uploads to each branch during one ingest. Those to the busy branch are runs that wait behind it:
without an end, the queue could grow faster than it is taken in, and the next large run never come
to its turn."""


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    findings = max(corpus.size(_LARGE), _LEAST)
    large = compressed(msgspec.json.encode(results_of_size(corpus.folder, findings)))
    small = compressed(msgspec.json.encode(results_of_size(corpus.folder, 50)))
    same: list[float] = []
    other: list[float] = []
    with hub.client() as client:
        for name in ("busy", "elsewhere"):
            post(client, small, projectName=name)
        for _ in range(corpus.runs):
            _during_an_ingest(hub, client, large, small, (same, other))
    figure = Figure(tuple(same))
    name = "an upload while a run of its branch is taken in"
    table.add_ratio(f"{name}, beside another branch", figure, Figure(tuple(other)), 1.5)
    table.add(Row(f"{name}: the slowest", Figure((max(same),)), "≤ 1 s", 1))


def _during_an_ingest(
    hub: RunningHub,
    client: httpx.Client,
    large: bytes,
    small: bytes,
    times: tuple[list[float], list[float]],
) -> None:
    """Small uploads by turns to the branch that is busy and to another, until it is not."""

    def ingest() -> None:
        with hub.client() as own:
            send(own, large, projectName="busy")

    thread = Thread(target=ingest)
    thread.start()
    for _ in range(_MOST):
        if not thread.is_alive():
            break
        for name, figures in zip(("busy", "elsewhere"), times, strict=True):
            figures.append(timed(lambda name=name: post(client, small, projectName=name)))
    thread.join()
