"""One object by its name: found among those that the asker may see, or said not to be there.

What is somebody else's is said in the same words as what never was, so that nobody learns of it.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet

from odavl.wire.errors import NotFound

ModelT = TypeVar("ModelT", bound=Model)


def found(rows: QuerySet[ModelT], what: str) -> ModelT:
    """The first of ``rows``, which hold nothing that the asker may not see.

    ``what`` is one in the words of the API: "run". Raises :class:`NotFound`.
    """
    first = rows.first()
    if first is None:
        raise no_such(what)
    return first


def no_such(what: str) -> NotFound:
    """What is said of a name that leads to nothing which the asker may see."""
    return NotFound(f"There is no such {what}.")
