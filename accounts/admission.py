"""Who is asked before an organization gets more taken in: quotas, bounds, whatever counts.

Rooms register their checks in the ``ready`` of their ``apps.py``. All are asked within the
transaction that takes the thing in, once for each and not again for what was answered before. So a
check that counts, by a conditional UPDATE, has counted exactly what was taken: what is refused
later is rolled back with its count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from accounts.models import Project
from accounts.principal import Principal


class Stage(StrEnum):
    """A transfer is announced, perhaps to grow, before it comes as an upload like any other."""

    TRANSFER = "transfer"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What is to be taken in. ``size`` in bytes, uncompressed; ``chunks`` of a transfer.

    ``subject`` is the id that it has or will have.
    """

    stage: Stage
    principal: Principal
    project: Project
    product: str
    type: str
    subject: UUID
    size: int
    chunks: int = 0


Check = Callable[[Admission], None]
"""Raises what the client is told: :class:`~odavl.wire.errors.QuotaExceeded` and the like."""

_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Raises :class:`ValueError` for a second check of that name."""
    if name in _checks:
        raise ValueError(f"There is an admission check {name!r}.")
    _checks[name] = check


def unregister(name: str) -> None:
    del _checks[name]


def names() -> tuple[str, ...]:
    return tuple(_checks)


def admit(wanted: Admission) -> None:
    """Ask every check, by name, so that their locks are always taken in the same order."""
    for name in sorted(_checks):
        _checks[name](wanted)
