"""Moments as bodies name them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from odavl.wire.errors import FieldError, InvalidPayload


def moment_of(text: str | None, *, field: str = "expiresAt") -> datetime | None:
    """ISO 8601 with its zone as a moment in UTC; None stays None.

    Raises :class:`InvalidPayload` that points at ``field``, for years beyond 1 to 9999 too: what
    the database would take there, nobody could read back.
    """
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
        if moment is not None and timezone.is_aware(moment):
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    detail = "must be a date and time with its zone, such as 2027-01-31T00:00:00Z"
    raise InvalidPayload(f"{field} {detail}.", errors=(FieldError(f"/{field}", "invalid", detail),))
