"""How an issue came to its end, beyond that a run found it no more: told by whoever closed it.

A product that repairs what another one finds registers how it tells so in the ``ready`` of its
``apps.py``; the page of an issue asks. Neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.models import Project

if TYPE_CHECKING:
    from django.utils.functional import Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """An issue that a run found no more. ``fingerprint`` as clients name it: 32 hex digits."""

    project: Project
    fingerprint: str
    path: str
    at: datetime | None
    """When the run came that found it no more; None where that is not kept."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What people read of it, and the path where they see more of it; empty for none."""

    label: str | Promise
    url: str = ""


Explain = Callable[[Closed], Closing | None]

_ways: dict[str, Explain] = {}


def register(name: str, explain: Explain) -> None:
    """Raises :class:`ValueError` for a second way of that name."""
    if name in _ways:
        raise ValueError(f"There is a way of closing issues {name!r}.")
    _ways[name] = explain


def unregister(name: str) -> None:
    del _ways[name]


def closing_of(issue: Closed) -> Closing | None:
    """How it was closed, as the first tells who knows; None where nobody does."""
    told = (explain(issue) for explain in _ways.values())
    return next((closing for closing in told if closing is not None), None)
