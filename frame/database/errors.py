"""What an error of the database means: one class stands for many things."""

from __future__ import annotations

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError

_IDLE_FOR_TOO_LONG = "25P03"
"""The SQLSTATE of a transaction that was ended because it did nothing; psycopg2 counts it among the
database's own defects."""


def is_transient(error: BaseException | None) -> bool:
    """Whether the database is gone, starting, locked or out of time: another try may do."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    if getattr(getattr(error, "__cause__", None), "pgcode", None) == _IDLE_FOR_TOO_LONG:
        return True
    # A server that dies in the middle of a statement leaves psycopg2 with neither a class of its
    # own for that nor an SQLSTATE; whatever a server still says has one.
    return type(error) is DatabaseError and getattr(error.__cause__, "pgcode", None) is None


def violates(error: IntegrityError, *constraints: str) -> bool:
    """Whether it is one of these constraints, by name, that ``error`` tells of.

    Whoever catches an :class:`IntegrityError` asks, and raises it on where it is another.
    """
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) in constraints
