"""Who is killed and when, and how long each takes to come back."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import psutil

_LOOK_SECONDS = 0.2
LONGEST_RECOVERY = 60.0
"""Seconds within which whoever was killed must be there again."""

WORKERS = ("hub-interactive", "hub-default", "hub-bulk")


@dataclass(frozen=True, slots=True)
class Victim:
    """``process`` is the name that the supervisor gave its child; ``inner``: one of *its* own."""

    called: str
    process: str
    inner: bool = False

    def alive(self, supervisor: psutil.Process) -> list[psutil.Process]:
        """Those there are now, in the order of their ids."""
        found: list[psutil.Process] = []
        for child in supervisor.children():
            with suppress(psutil.Error):
                if _SAME.get(child.name(), child.name()) == self.process:
                    found += self._inside(child) if self.inner else [child]
        return sorted((each for each in found if _runs(each)), key=lambda each: each.pid)

    def _inside(self, child: psutil.Process) -> list[psutil.Process]:
        if self.process != "postgres":
            return child.children()
        # Not the server's own helpers: those that serve a connection.
        return [each for each in child.children() if "odavl" in " ".join(each.cmdline())]


_SAME = {"valkey-server": "redis-server"}
GROUPS: tuple[tuple[Victim, ...], ...] = (
    (Victim("web", "hub-web"), Victim("web worker", "hub-web", inner=True)),
    tuple(Victim("worker", name, inner=True) for name in WORKERS),
    tuple(Victim("worker parent", name) for name in WORKERS),
    (Victim("relay", "hub-relay"),),
    (Victim("redis", "redis-server"),),
    (Victim("postgres", "postgres"), Victim("postgres backend", "postgres", inner=True)),
)
"""Each group is as likely as the next, and within it each victim."""


class Pace(Protocol):
    """When the next kill is due, and of whom."""

    def due(self, source: random.Random, told: int) -> Victim | None:
        """``told`` counts the payloads of which the clients have been told something."""


class EverySoOften:
    """A random victim every ``seconds`` on average, half of it to one and a half."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def due(self, source: random.Random, told: int) -> Victim | None:
        if time.monotonic() < self._at or not told:
            return None
        self._at = time.monotonic() + self._seconds * source.uniform(0.5, 1.5)
        return source.choice(source.choice(GROUPS))


class EachOnce:
    """Every kind of victim once, spread over the ``payloads``, in random order."""

    def __init__(self, payloads: int) -> None:
        self._payloads = payloads
        self._left = [
            victim for group in GROUPS for victim in {v.called: v for v in group}.values()
        ]
        self._every = payloads // (len(self._left) + 1)
        self._killed = 0

    def due(self, source: random.Random, told: int) -> Victim | None:
        if not self._left or told < self._every * (self._killed + 1):
            return None
        self._killed += 1
        return self._left.pop(source.randrange(len(self._left)))


@dataclass(slots=True)
class Down:
    """``before`` are the ids of the processes that there were: another one is its successor.

    Not told by when it started, which the system knows to a second only.
    """

    victim: Victim
    since: float
    before: frozenset[int]


@dataclass
class Killer:
    """Kills until it is told to stop, in a thread of its own."""

    supervisor: int
    """Its process id."""
    seed: int
    pace: Pace
    told: Callable[[], int]
    kills: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    """Seconds until it was there again, by victim."""
    missing: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    """A line for each kill."""

    def __post_init__(self) -> None:
        self._source = random.Random(f"killer {self.seed}")
        self._stopped = threading.Event()
        self._down: list[Down] = []
        self._tree = psutil.Process(self.supervisor)
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Kill nobody any more, and wait until all are back."""
        self._stopped.set()
        self._thread.join()
        while self._down:
            self._look()
            threading.Event().wait(_LOOK_SECONDS)  # between two looks

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            self._look()
            victim = self.pace.due(self._source, self.told())
            if victim is not None:
                self._kill(victim)

    def _kill(self, victim: Victim) -> None:
        alive = victim.alive(self._tree)
        if not alive:
            return  # still on its way back from the last time, which is looked at
        with suppress(psutil.Error):
            chosen = self._source.choice(alive)
            chosen.kill()
            self.kills[victim.called] += 1
            moment = datetime.now(UTC).isoformat(" ", "milliseconds")
            self.history.append(f"{moment} {victim.called} {victim.process} {chosen.pid}")
            if victim.process != "postgres" or not victim.inner:  # connections are made as needed
                before = frozenset(each.pid for each in alive)
                self._down.append(Down(victim, time.monotonic(), before))

    def _look(self) -> None:
        for down in list(self._down):
            seconds = time.monotonic() - down.since
            if {each.pid for each in down.victim.alive(self._tree)} - down.before:
                self.slowest[down.victim.called] = max(
                    seconds, self.slowest.get(down.victim.called, 0)
                )
            elif seconds > LONGEST_RECOVERY:
                self.missing.append(f"{down.victim} was not back after {seconds:.0f} s")
            else:
                continue
            self._down.remove(down)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
