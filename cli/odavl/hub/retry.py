"""When to try again: backoff with full jitter, and what ``Retry-After`` may ask for."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 24 * 3600.0
"""Seconds; what a hub asks for beyond that is a mistake."""

_SECONDS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """``attempts`` in all; pauses in seconds."""

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0
    longest_wait: float = 20.0
    """A ``Retry-After`` beyond this is not waited for: the caller queues instead."""

    def pause(self, attempt: int, retry_after: float | None) -> float | None:
        """Seconds until the attempt after ``attempt`` (1-based); None for "do not try again"."""
        if attempt >= self.attempts:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= self.longest_wait else None
        # Full jitter (Brooker, "Exponential Backoff And Jitter"): clients must not come in step.
        return full_jitter(min(self.cap, self.base * 2 ** (attempt - 1)))


ONCE = RetryPolicy(attempts=1)


def full_jitter(seconds: float) -> float:
    """Anything up to ``seconds``: clients that failed together must not come back together."""
    return random.uniform(0, seconds)  # noqa: S311 - no secret


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """RFC 9110, section 10.2.3: seconds or a date, in seconds from ``now``, at most a day.

    None for what is neither; a date that has passed is 0.
    """
    if text is None:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    moment = date_of(text)
    if moment is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def date_of(text: str | None) -> datetime | None:
    """A date as HTTP writes it (RFC 9110, section 5.6.7); None for what is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        # Astronomical years cannot be told in another zone.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
