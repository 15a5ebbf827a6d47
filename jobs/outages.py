"""What is no fault of a job: how an outage looks.

The database, the store and its room, and the turn of another that is at work with the same rows:
each comes back, and the same job then succeeds. So it waits, and spends no attempt.
"""

from __future__ import annotations

import errno

from frame.database.errors import is_transient
from jobs.models import Awaited
from odavl.wire.errors import InProgress, ServiceUnavailable, StorageFull

_SAID_BY_KIND = (
    (StorageFull, Awaited.ROOM),
    (ServiceUnavailable, Awaited.STORE),
    (InProgress, Awaited.TURN),
)
_SAID_BY_CODE = {
    "40001": Awaited.TURN,  # a serialization failure
    "40P01": Awaited.TURN,  # a deadlock
    "55P03": Awaited.TURN,  # a lock that was not to be had
    "53100": Awaited.ROOM,
    "57014": None,  # the statement was out of time
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def awaited_by(error: BaseException) -> Awaited | None:
    """What a job that met ``error`` has to wait for; None where the failure is its own.

    A statement that was out of time is the job's own: it would be so again.
    """
    for kinds, awaited in _SAID_BY_KIND:
        if isinstance(error, kinds):
            return awaited
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Awaited.ROOM
    if not is_transient(error):
        return None
    code = getattr(error.__cause__, "pgcode", None) or ""
    return _SAID_BY_CODE.get(code, Awaited.DATABASE)
