"""Points in time, as they travel: ISO 8601 with a zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from odavl.wire.errors import FieldError, InvalidPayload

Moment = Annotated[datetime, Meta(tz=True)]
"""A time without a zone is refused: it means another moment on every machine."""

FIRST_YEAR = 1970
LAST_YEAR = 2999


def checked(moment: datetime, pointer: str) -> datetime:
    """``moment`` in UTC.

    Raises :class:`InvalidPayload` that points at ``pointer`` for one outside of the years from
    :data:`FIRST_YEAR` to :data:`LAST_YEAR`: it is a mistake, and databases end not far behind.
    """
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidPayload(
            f"A time lies outside of the years {FIRST_YEAR} to {LAST_YEAR}.",
            errors=(FieldError(pointer, "invalid", "Not a time that can be."),),
        )
    return moment.astimezone(UTC)
