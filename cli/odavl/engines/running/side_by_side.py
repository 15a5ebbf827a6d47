"""Work of several programs side by side: the longest first, progress told, all of it stoppable."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from odavl.engines.running.processes import Processes, ProgramFailed

Result = TypeVar("Result")

_GLANCE = 0.2
"""Seconds between two looks at whether somebody has interrupted us."""


@dataclass(frozen=True, slots=True)
class Work(Generic[Result]):
    """What is done in one slot: starts programs, one after the other, and reads what they say.

    ``do`` is called in a thread of its own. What it raises is its failure, and nobody else's.
    """

    name: str
    do: Callable[[], Result]
    weight: int = 1
    """How long it takes compared with the others; the longest starts first."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """Work that came to its end: with a ``result``, or with the ``failure`` that kept it from one.

    ``milliseconds`` are those from its first start to its last answer.
    """

    result: Result | None
    failure: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Event(Generic[Result]):
    """Some work has moved on. ``finished`` of ``total`` have ended; ``ended`` once this one has."""

    name: str
    state: Literal["running", "finished"]
    finished: int
    total: int
    ended: Ended[Result] | None = None


def side_by_side(
    works: Sequence[Work[Result]],
    processes: Processes,
    on_event: Callable[[Event[Result]], None],
) -> list[Ended[Result]]:
    """Do each of ``works``, as many at once as there are processors; in the order given.

    The names are distinct. ``on_event`` is called in the caller's thread. An interruption, or an
    error of ``on_event``, stops all of ``processes`` and is raised again.
    """
    events: queue.SimpleQueue[tuple[str, Ended[Result] | None]] = queue.SimpleQueue()
    threads = ThreadPoolExecutor(_slots(), thread_name_prefix="program")
    ended: dict[str, Ended[Result]] = {}
    try:
        for work in sorted(works, key=lambda each: -each.weight):
            threads.submit(_do, work, events.put)
        while len(ended) < len(works):
            try:
                # Waiting without an end would, on some systems, wait through an interruption too.
                name, end = events.get(timeout=_GLANCE)
            except queue.Empty:
                continue
            if end is not None:
                ended[name] = end
            state: Literal["running", "finished"] = "running" if end is None else "finished"
            on_event(Event(name, state, len(ended), len(works), end))
    except BaseException:
        processes.stop()
        raise
    finally:
        threads.shutdown(cancel_futures=True)
    return [ended[work.name] for work in works]


def milliseconds_since(started: float) -> int:
    """``started`` is a time of :func:`time.monotonic`."""
    return round((time.monotonic() - started) * 1000)


def _do(work: Work[Result], tell: Callable[[tuple[str, Ended[Result] | None]], None]) -> None:
    tell((work.name, None))
    started = time.monotonic()
    result: Result | None = None
    failure = ""
    try:
        result = work.do()
    except (ProgramFailed, OSError) as error:
        failure = f"{error}" or "It gave no reason."
    except BaseException as error:  # noqa: BLE001 - only this work is lost, and told
        failure = f"A defect in odavl: {type(error).__name__}: {error}"
    tell((work.name, Ended(result, failure, milliseconds_since(started))))


def _slots() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
