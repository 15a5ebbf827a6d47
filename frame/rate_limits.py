"""How often something happened lately, counted once for all processes.

In Redis, in one step, so that many guesses at once are not all let in before the first is counted.
With Redis away each process counts by itself: less strict by as many processes as there are, but
never unlimited, and nobody is kept out because of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

_log = logging.getLogger(__name__)
PREFIX = "odavl:count"
_REDIS_SECONDS = 0.5
_AWAY_SECONDS = 5.0
"""How long Redis is not asked again after it did not answer: nobody waits for it each time."""
_MOST_COUNTERS = 20_000


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` times in ``seconds``, which begin with the first time."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One more time for ``name``, within all of ``limits``."""

    name: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """``claim`` is spent; after ``seconds`` there is room again."""

    claim: Claim
    seconds: float


Step = tuple[str, int, int]
"""A counter's key, how much it may reach, and after how many seconds it begins again."""


class Counters(Protocol):
    def take(self, steps: Sequence[Step]) -> tuple[int, float] | None:
        """Count one more on all counters, or on none if one is full.

        None if it was counted; else the place of the first full counter among ``steps``, and the
        seconds until none is full any more.
        """

    def give_back(self, keys: Sequence[str]) -> None:
        """Take back one on each counter."""

    def reset(self, keys: Sequence[str]) -> None:
        """Have each counter begin again."""


_TAKE = """
local first, wait = 0, 0
for place, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[2 * place - 1]) then
    if first == 0 then first = place end
    wait = math.max(wait, redis.call('PTTL', key))
  end
end
if first > 0 then return {first, wait} end
for place, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, 1000 * ARGV[2 * place]) end
end
return {0, 0}
"""
_GIVE_BACK = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""


class RedisCounters:
    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(
            redis_py_url(url),
            socket_timeout=_REDIS_SECONDS,
            socket_connect_timeout=_REDIS_SECONDS,
            # Once more, for a connection that a restarted Redis has forgotten.
            retry=Retry(NoBackoff(), 1),
        )
        self._client = client
        self._take = client.register_script(_TAKE)
        self._give_back = client.register_script(_GIVE_BACK)

    def take(self, steps: Sequence[Step]) -> tuple[int, float] | None:
        bounds = [bound for _, amount, seconds in steps for bound in (amount, seconds)]
        first, milliseconds = self._take(keys=[key for key, _, _ in steps], args=bounds)
        return (first - 1, max(milliseconds, 0) / 1000) if first else None

    def give_back(self, keys: Sequence[str]) -> None:
        self._give_back(keys=list(keys))

    def reset(self, keys: Sequence[str]) -> None:
        self._client.delete(*keys)


class ProcessCounters:
    """The same in this process alone, in bounded memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}
        """How often, and when it is forgotten."""

    def take(self, steps: Sequence[Step]) -> tuple[int, float] | None:
        with self._lock:
            now = self._clock()
            full = [
                (place, self._counts[key][1] - now)
                for place, (key, amount, _) in enumerate(steps)
                if self._count(key, now) >= amount
            ]
            if full:
                return full[0][0], max(seconds for _, seconds in full)
            for key, _, seconds in steps:
                ends = self._counts[key][1] if self._count(key, now) else now + seconds
                self._counts[key] = (self._count(key, now) + 1, ends)
            self._bound(now)
        return None

    def give_back(self, keys: Sequence[str]) -> None:
        with self._lock:
            now = self._clock()
            for key in keys:
                if count := self._count(key, now):
                    self._counts[key] = (count - 1, self._counts[key][1])

    def reset(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self._counts.pop(key, None)

    def _count(self, key: str, now: float) -> int:
        count, ends = self._counts.get(key, (0, 0.0))
        return count if ends > now else 0

    def _bound(self, now: float) -> None:
        """Drop what has ended, then what was counted least: full counters stay longest."""
        if len(self._counts) <= _MOST_COUNTERS:
            return
        live = [(key, state) for key, state in self._counts.items() if state[1] > now]
        live.sort(key=lambda entry: entry[1], reverse=True)
        self._counts = dict(live[: _MOST_COUNTERS // 2])


class SharedCounters:
    """Redis, and this process's own while Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._redis = RedisCounters(url)
        self._own = ProcessCounters()
        self._away_until = 0.0

    def take(self, steps: Sequence[Step]) -> tuple[int, float] | None:
        refused: tuple[int, float] | None = self._ask("take", steps)
        return refused

    def give_back(self, keys: Sequence[str]) -> None:
        self._ask("give_back", keys)

    def reset(self, keys: Sequence[str]) -> None:
        self._ask("reset", keys)

    def _ask(self, method: str, argument: Sequence[object]) -> Any:
        if time.monotonic() >= self._away_until:
            try:
                return getattr(self._redis, method)(argument)
            except (redis.RedisError, OSError) as error:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                _log.warning("Redis does not answer; this process counts by itself: %s", error)
        return getattr(self._own, method)(argument)


def take(*claims: Claim) -> Refusal | None:
    """Count one more for all ``claims``, or, where one is spent, for none."""
    steps = [
        (_key(claim, limit), limit.amount, limit.seconds)
        for claim in claims
        for limit in claim.limits
    ]
    refused = _counters(settings.REDIS_URL).take(steps)
    if refused is None:
        return None
    owners = [claim for claim in claims for _ in claim.limits]
    return Refusal(owners[refused[0]], refused[1])


def give_back(*claims: Claim) -> None:
    """Undo :func:`take`: it turned out to be none of what is counted."""
    _counters(settings.REDIS_URL).give_back(_keys(claims))


def reset(*claims: Claim) -> None:
    """Let all of ``claims`` begin again."""
    _counters(settings.REDIS_URL).reset(_keys(claims))


def redis_py_url(url: str) -> str:
    """``url`` as redis-py reads it; Celery writes Unix sockets as ``redis+socket://``."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    number = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.path}?db={number}"


def _keys(claims: Sequence[Claim]) -> list[str]:
    return [_key(claim, limit) for claim in claims for limit in claim.limits]


def _key(claim: Claim, limit: Limit) -> str:
    return f"{PREFIX}:{claim.name}:{limit.seconds}"


@lru_cache(maxsize=2)
def _counters(url: str) -> Counters:
    return SharedCounters(url)
