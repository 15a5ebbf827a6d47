from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.hub.retry import LONGEST_RETRY_AFTER, RetryPolicy, date_of, parse_retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10**18 - 1))
def test_seconds_are_taken_and_bounded(seconds: int) -> None:
    assert parse_retry_after(str(seconds), NOW) == min(float(seconds), LONGEST_RETRY_AFTER)


@given(st.timedeltas(timedelta(days=-3000), timedelta(days=3000)))
def test_a_date_is_taken_and_bounded(distance: timedelta) -> None:
    header = format_datetime(NOW + distance, usegmt=True)
    seconds = parse_retry_after(header, NOW)
    assert seconds is not None
    assert abs(seconds - min(max(distance.total_seconds(), 0), LONGEST_RETRY_AFTER)) <= 1


@given(st.text())
def test_whatever_stands_there_is_seconds_within_bounds_or_nothing(text: str) -> None:
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@given(st.text())
def test_whatever_stands_there_is_a_date_or_none(text: str) -> None:
    moment = date_of(text)
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001 - Hypothesis wants it so
def test_a_date_is_read_as_it_was_written(moment: datetime) -> None:
    assert date_of(format_datetime(moment, usegmt=True)) == moment.replace(microsecond=0)


@pytest.mark.parametrize("garbage", ["", "-5", "soon", "1.5", "1e9", "9" * 30, "١٢", "Mon, 32 Foo"])
def test_garbage_is_ignored(garbage: str) -> None:
    assert parse_retry_after(garbage, NOW) is None


@given(st.integers(1, 10), st.integers(1, 12))
def test_pauses_stay_under_the_cap_and_end(attempts: int, attempt: int) -> None:
    policy = RetryPolicy(attempts=attempts, base=0.5, cap=4)
    pause = policy.pause(attempt, None)
    assert (pause is None) == (attempt >= attempts)
    assert pause is None or 0 <= pause <= min(4, 0.5 * 2 ** (attempt - 1))


def test_a_long_retry_after_is_not_waited_for() -> None:
    policy = RetryPolicy(longest_wait=20)
    assert policy.pause(1, 20) == 20
    assert policy.pause(1, 21) is None
