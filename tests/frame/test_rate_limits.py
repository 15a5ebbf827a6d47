"""Counting that holds for all processes at once, and for one where Redis is away."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings as project_settings

from frame import rate_limits
from frame.rate_limits import Claim, Limit, ProcessCounters, RedisCounters, SharedCounters
from tests.hub_process import free_port


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["redis", "process"])
def counters(request):
    if request.param == "redis":
        return RedisCounters(project_settings.REDIS_URL)
    return ProcessCounters()


@pytest.fixture
def key() -> str:
    return f"test:{uuid.uuid4()}"


def test_there_is_room_until_the_limit(counters, key):
    steps = [(key, 3, 60)]
    assert [counters.take(steps) for _ in range(3)] == [None] * 3
    place, seconds = counters.take(steps)
    assert place == 0
    assert 0 < seconds <= 60


def test_what_is_refused_by_one_counter_is_counted_by_none(counters, key):
    counters.take([(key, 1, 60)])
    for _ in range(5):
        assert counters.take([(f"{key}-free", 2, 60), (key, 1, 60)])[0] == 1
    assert counters.take([(f"{key}-free", 1, 60)]) is None


def test_the_longest_wait_is_told(counters, key):
    steps = [(f"{key}-short", 1, 30), (f"{key}-long", 1, 3000)]
    counters.take(steps)
    place, seconds = counters.take(steps)
    assert place == 0
    assert 2000 < seconds <= 3000


def test_what_is_given_back_was_never_taken(counters, key):
    for _ in range(10):
        assert counters.take([(key, 1, 60)]) is None
        counters.give_back([key])
    counters.give_back([key])  # not below nothing
    assert counters.take([(key, 1, 60)]) is None
    assert counters.take([(key, 1, 60)]) is not None


def test_what_is_forgotten_begins_again(counters, key):
    counters.take([(key, 1, 60)])
    counters.reset([key])
    assert counters.take([(key, 1, 60)]) is None


def test_many_at_once_are_not_let_in_before_the_first_is_counted(counters, key):
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: counters.take([(key, 5, 60)]), range(64)))
    assert taken.count(None) == 5


def test_a_window_ends():
    clock = Clock()
    counters = ProcessCounters(clock)
    assert counters.take([("a", 1, 60)]) is None
    clock.now += 59
    assert counters.take([("a", 1, 60)]) == (0, 1)
    clock.now += 1
    assert counters.take([("a", 1, 60)]) is None


def test_a_process_counts_in_bounded_memory_and_keeps_what_is_full(monkeypatch):
    monkeypatch.setattr(rate_limits, "_MOST_COUNTERS", 50)
    counters = ProcessCounters(Clock())
    for _ in range(3):
        counters.take([("full", 3, 60)])
    for number in range(500):
        counters.take([(f"other {number}", 3, 60)])
        assert len(counters._counts) <= 50
    assert counters.take([("full", 3, 60)]) is not None


def test_with_redis_away_this_process_counts(key):
    counters = SharedCounters(f"redis://127.0.0.1:{free_port()}/0")
    answers = [counters.take([(key, 3, 60)]) for _ in range(5)]
    assert [answer is None for answer in answers] == [True, True, True, False, False]
    counters.give_back([key])
    assert counters.take([(key, 3, 60)]) is None


def test_redis_is_asked_again_once_it_is_back(key, monkeypatch):
    monkeypatch.setattr(rate_limits, "_AWAY_SECONDS", 0.0)
    counters = SharedCounters(f"redis://127.0.0.1:{free_port()}/0")
    assert counters.take([(key, 1, 60)]) is None
    counters._redis = RedisCounters(project_settings.REDIS_URL)
    assert counters.take([(key, 1, 60)]) is None
    assert RedisCounters(project_settings.REDIS_URL).take([(key, 1, 60)]) is not None


def test_the_claim_that_is_spent_is_named():
    tight, loose = Claim("tight", (Limit(1, 60),)), Claim("loose", (Limit(9, 60), Limit(99, 600)))
    assert rate_limits.take(loose, tight) is None
    refused = rate_limits.take(loose, tight)
    assert refused is not None
    assert refused.claim == tight
    rate_limits.reset(tight)
    assert rate_limits.take(loose, tight) is None
