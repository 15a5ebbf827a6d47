"""How fast this machine is just now: bounds of processor time are multiples of that.

A bound in seconds fails where a machine is half as fast or does something else besides; the
quotient of two pieces of the same kind of work, measured side by side, hardly changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDS = 300_000


def _work() -> int:
    """Dictionaries, strings and integers, as parsers and trackers handle them."""
    found: dict[str, int] = {}
    for number in range(_ROUNDS):
        key = f"{number % 1000}:{number}"[:9]
        found[key] = found.get(key, 0) + len(key)
    return len(found)


def yardstick() -> float:
    """Seconds of this thread's processor for a fixed piece of Python: the best of three."""
    return min(_seconds(_work) for _ in range(3))


def yardsticks_of(work: Callable[[], object]) -> float:
    """How many times longer ``work`` keeps the processor busy."""
    before = yardstick()
    spent = _seconds(work)
    return spent / max(before, yardstick())


def _seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started
