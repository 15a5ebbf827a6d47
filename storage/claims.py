"""Keys at which bytes are about to come or to go, while no transaction is open and nothing locked.

A remote store may take a minute to answer, so it is never asked while anybody could be kept
waiting. What a lock would say meanwhile, a committed row says: whoever is placing bytes notes it
before, and keeps the note until what refers to them is committed; whoever removes bytes looks for
such notes and for references in one short transaction, under the lock of the name, and leaves a
note of its own until they are gone. Nothing is placed where something is just being removed.

A process that dies in between leaves a note that ends by itself, and at worst bytes that nothing
refers to, which the sweep takes (docs/decisions/0017-sweep.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from odavl.wire.errors import ServiceUnavailable
from storage.models import ObjectClaim

_log = logging.getLogger(__name__)
_PLACING = timedelta(days=1)
"""Longer than any object is written, and than its reference is long in coming."""
_REMOVING = timedelta(minutes=10)
"""Longer than a store is asked to delete one object, tries and pauses included."""
_RETRY_SECONDS = 2.0


@contextmanager
def placing(name: str, key: str) -> Iterator[None]:
    """Nobody removes the object of ``key``, of which ``name`` is locked, before the end of this.

    What refers to it is to be committed by then. Raises :class:`ServiceUnavailable` where it is
    just being removed, and ``RuntimeError`` within a transaction.
    """
    with transaction.atomic(durable=True):
        _lock(name, "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))")
        refuse_if_going(key)
        claim = _claimed(key, removes=False, lasts=_PLACING)
    try:
        yield
    finally:
        _forget(claim)


@contextmanager
def removing(name: str, key: str, is_free: Callable[[], bool]) -> Iterator[bool]:
    """Whether the object of ``key`` may be removed now, as nobody takes it up until the end.

    ``is_free`` is asked in a transaction in which ``name`` is locked alone; it may drop the row
    whose bytes these are. False, too, where others have the name.
    """
    with transaction.atomic(durable=True):
        claim = None
        if _is_untaken(name, key) and is_free():
            claim = _claimed(key, removes=True, lasts=_REMOVING)
    if claim is None:
        yield False
        return
    try:
        yield True
    finally:
        _forget(claim)


@contextmanager
def removing_at_once(name: str, key: str, is_free: Callable[[], bool]) -> Iterator[bool]:
    """As :func:`removing`, within the transaction: for a store that is near, and bytes without row.

    The lock says what elsewhere a note does, and costs no commit.
    """
    with transaction.atomic(durable=True):
        yield _is_untaken(name, key) and is_free()


def refuse_if_going(key: str) -> None:
    """Raises :class:`ServiceUnavailable` where the object of ``key`` is just being removed."""
    if _open(key, removes=True).exists():
        raise ServiceUnavailable(
            "An older copy of this content is just being removed; send it again.",
            retry_after=_RETRY_SECONDS,
        )


def forget_ended() -> int:
    """Drop the notes that crashes left behind; how many."""
    count, _ = ObjectClaim.objects.filter(until__lte=Now()).delete()
    return count


def _is_untaken(name: str, key: str) -> bool:
    """Whether nobody is about to refer to it; ``name`` is locked alone then."""
    mine = _lock(name, "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))")
    return mine and not _open(key, removes=False).exists()


def _open(key: str, *, removes: bool) -> QuerySet[ObjectClaim]:
    return ObjectClaim.objects.filter(key=key, removes=removes, until__gt=Now())


def _claimed(key: str, *, removes: bool, lasts: timedelta) -> UUID:
    claim = uuid4()
    with connection.cursor() as cursor:
        # By the database's clock, which is the only one.
        cursor.execute(
            "INSERT INTO storage_objectclaim (id, key, removes, until)"
            " VALUES (%s, %s, %s, now() + make_interval(secs => %s))",
            [claim, key, removes, lasts.total_seconds()],
        )
    return claim


def _forget(claim: UUID) -> None:
    try:
        ObjectClaim.objects.filter(pk=claim).delete()
    except DatabaseError as error:
        _log.warning("A note of a key ends by itself: %s", error)


def _lock(name: str, statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, [name])
        (locked,) = cursor.fetchone()
    return locked is not False
