"""Which rule of the database a statement broke: one error means many things."""

from __future__ import annotations

from django.db import IntegrityError


def violates(error: IntegrityError, *constraints: str) -> bool:
    """Whether it is one of these constraints, by name, that ``error`` tells of.

    Whoever catches an :class:`IntegrityError` asks, and raises it on where it is another.
    """
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) in constraints
