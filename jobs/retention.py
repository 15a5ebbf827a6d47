"""How long what is over is kept: rules of its owners, applied in small steps.

Whoever has rows that end registers one rule for them. One periodic job walks all rules, a step each
in turn until nothing is left or its time is over, so that neither a large backlog of one keeps the
others waiting, nor a transaction of thousands of rows anybody else. What is left, the next goes on
with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from django.conf import settings

from frame.database.clock import database_now

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)
ROUND_SECONDS = 60.0
STEP = 1_000
"""Rows that go in one step; what a statement removes within some ten milliseconds."""


class Remove(Protocol):
    def __call__(self, *, older_than: datetime, at_most: int) -> int:
        """Remove what was over before ``older_than``, at most so many rows; how many went."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``keep`` tells how long; None is for ever."""

    name: str
    remove: Remove
    keep: Callable[[], timedelta | None]


_rules: dict[str, Rule] = {}


def register(name: str, remove: Remove, *, keep: timedelta | str) -> None:
    """Have ``remove`` called for what has been over for ``keep``.

    ``keep`` is a time, or the name of a setting in days, of which 0 is for ever. ``remove`` must be
    quick and safe to call twice at once. Raises :class:`ValueError` for a second rule of that name.
    """
    if name in _rules:
        raise ValueError(f"There is a retention rule {name!r}.")
    how_long = _from_setting(keep) if isinstance(keep, str) else lambda: keep
    _rules[name] = Rule(name, remove, how_long)


def unregister(name: str) -> None:
    del _rules[name]


def rules() -> tuple[Rule, ...]:
    return tuple(_rules.values())


def apply(*, seconds: float = ROUND_SECONDS, step: int = STEP) -> dict[str, int]:
    """One round over all rules; how many rows went by each.

    A rule that raises keeps no other waiting; the first such error is raised in the end.
    """
    ends_at = time.monotonic() + seconds
    now = database_now()
    removed: dict[str, int] = {}
    errors: list[Exception] = []
    left = [(rule, kept) for rule in rules() if (kept := rule.keep()) is not None]
    while left and time.monotonic() < ends_at:
        rule, kept = left.pop(0)
        try:
            count = rule.remove(older_than=now - kept, at_most=step)
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
            logger.warning("the retention rule %s failed: %s", rule.name, error)
            continue
        removed[rule.name] = removed.get(rule.name, 0) + count
        if count >= step:
            left.append((rule, kept))
    if errors:
        raise errors[0]
    return removed


def _from_setting(name: str) -> Callable[[], timedelta | None]:
    def keep() -> timedelta | None:
        days: int = getattr(settings, name)
        return timedelta(days=days) if days else None

    return keep
