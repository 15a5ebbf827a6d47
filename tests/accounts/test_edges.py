"""Limits of time and number: just before, exactly at, just after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import RequestFactory
from django.utils import timezone as django_time

from accounts import known_devices, throttles
from accounts.idempotency import delete_old_records
from accounts.models import ApiKey, IdempotencyRecord, SignInPlace
from accounts.principal import principal_of_key
from accounts.services import create_api_key, create_project, revoke_api_key
from accounts.throttles import address_counted
from frame.bodies import moment_of
from frame.database.clock import database_now
from frame.rate_limits import Claim, Limit, ProcessCounters, give_back, reset, take
from odavl.wire.errors import InvalidPayload, MissingScope, RateLimited, WrongScope
from tests.cast import Api, Person
from tests.problems import problem
from tests.tenancy.keys import bound_key

SECOND = timedelta(seconds=1)


# ── Keys ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ahead", "good"), [(-5, False), (0, False), (60, True)])
def test_a_key_is_good_until_its_end_by_the_databases_clock(
    alice: Person, monkeypatch: pytest.MonkeyPatch, ahead: int, good: bool
) -> None:
    ApiKey.across_organizations.filter(pk=alice.key.pk).update(expires_at=Now() + ahead * SECOND)
    # This process's clock is a day off in either direction.
    for days in (-1, 1):
        wrong = django_time.now() + timedelta(days=days)
        monkeypatch.setattr(django_time, "now", lambda wrong=wrong: wrong)
        answer = alice.api.send("GET", "/auth/whoami")
        if good:
            assert answer.status_code == 200
        else:
            problem(answer, 401, "key_expired")


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_a_key_that_has_ended_ends_at_its_next_request(alice: Person, field: str) -> None:
    api = alice.api
    assert api.send("GET", "/auth/whoami").status_code == 200
    ApiKey.across_organizations.filter(pk=alice.key.pk).update(**{field: Now()})
    assert api.send("GET", "/auth/whoami").status_code == 401


@pytest.mark.parametrize(
    ("zone", "good"),
    [(UTC, True), (timezone(timedelta(hours=14)), True), (timezone(timedelta(hours=-12)), True)],
)
def test_an_end_is_a_moment_whatever_its_zone(alice: Person, zone: Any, good: bool) -> None:
    soon = (database_now() + timedelta(minutes=1)).astimezone(zone)
    past = (database_now() - timedelta(minutes=1)).astimezone(zone)
    body = {"name": "k", "scopes": ["insight:read"]}
    made = alice.api.send("POST", "/api-keys", body | {"expiresAt": soon.isoformat()})
    assert made.status_code == 201
    refused = alice.api.send("POST", "/api-keys", body | {"expiresAt": past.isoformat()})
    problem(refused, 422, "invalid_payload", pointer="/expiresAt")


@pytest.mark.parametrize(("later", "allowed"), [(-60, True), (0, True), (1, False), (None, True)])
def test_no_key_outlives_the_one_that_makes_it(
    alice: Person, later: int | None, allowed: bool
) -> None:
    end = database_now() + timedelta(days=2)
    key, _ = create_api_key(
        by=alice.principal, name="k", scopes=["projects:admin", "insight:read"], expires_at=end
    )
    by = principal_of_key(key, None)
    wanted = None if later is None else end + later * SECOND

    def make() -> ApiKey:
        return create_api_key(by=by, name="c", scopes=["insight:read"], expires_at=wanted)[0]

    if allowed:
        assert make().expires_at == (wanted or end)
    else:
        with pytest.raises(InvalidPayload):
            make()
    with pytest.raises(MissingScope):
        create_api_key(by=by, name="c", scopes=["insight:read", "guardian:read"])


def test_a_key_of_one_project_makes_keys_of_that_one_alone(alice: Person) -> None:
    shop, blog = (create_project(by=alice.principal, name=name) for name in ("Shop", "Blog"))
    bound = bound_key(alice, shop)
    api = bound.api
    body = {"name": "k", "scopes": ["insight:read"]}
    assert api.send("POST", "/api-keys", body).json()["projectId"] == str(shop.pk)
    problem(api.send("POST", "/api-keys", body | {"projectId": "blog"}), 403, "wrong_scope")
    by = principal_of_key(bound.key, shop)
    with pytest.raises(WrongScope):
        create_api_key(by=by, name="k", scopes=["insight:read"], project=blog)


@pytest.mark.parametrize(("ago", "written"), [(None, True), (59, False), (61, True), (-61, True)])
def test_use_is_noted_once_a_minute(alice: Person, ago: int | None, written: bool) -> None:
    rows = ApiKey.across_organizations.filter(pk=alice.key.pk)
    moment = None if ago is None else Now() - ago * SECOND
    rows.update(last_used_at=moment)
    before = rows.get().last_used_at
    alice.api.send("GET", "/auth/whoami")
    after = rows.get().last_used_at
    if ago == -61:
        # From the future: this process asks, and the database's clock says no.
        assert after == before
    else:
        assert (after != before) == written


def test_the_first_revocation_stays(alice: Person) -> None:
    key = revoke_api_key(by=alice.principal, key=alice.key)
    first = key.revoked_at
    assert revoke_api_key(by=alice.principal, key=key).revoked_at == first


# ── Idempotency records, places ──────────────────────────────────────────────


def test_records_go_exactly_by_age(alice: Person, charlie: Person) -> None:
    limit = database_now() - timedelta(hours=24)
    for person in (alice, charlie):
        for microseconds in (-1, 0, 1):
            record = IdempotencyRecord.objects.for_organization(person.organization).create(
                organization=person.organization, key=f"k{microseconds}", digest="", status=201,
                body=b"",
            )  # fmt: skip
            IdempotencyRecord.across_organizations.filter(pk=record.pk).update(
                created_at=limit + timedelta(microseconds=microseconds)
            )
    assert delete_old_records(older_than=limit, at_most=1) == 1
    assert delete_old_records(older_than=limit, at_most=9) == 1
    assert delete_old_records(older_than=limit, at_most=9) == 0
    kept = IdempotencyRecord.across_organizations.values_list("key", flat=True)
    assert sorted(kept) == ["k0", "k0", "k1", "k1"]


@pytest.mark.parametrize(("days", "known"), [(364, True), (366, False)])
def test_a_place_is_known_for_a_year(alice: Person, days: int, known: bool) -> None:
    known_devices.remember_place(alice.user, "192.0.2.1")
    SignInPlace.objects.update(seen_at=Now() - timedelta(days=days))
    assert known_devices.is_place_of(alice.user, "192.0.2.1") == known
    assert not known_devices.is_place_of(alice.user, "192.0.2.2")
    assert not known_devices.is_place_of(None, "192.0.2.1")


def test_a_place_is_one_persons(alice: Person, charlie: Person) -> None:
    known_devices.remember_place(alice.user, "192.0.2.1")
    assert not known_devices.is_place_of(charlie.user, "192.0.2.1")


def test_the_twenty_latest_places_are_kept(alice: Person, charlie: Person) -> None:
    known_devices.remember_place(charlie.user, "192.0.2.1")
    for number in range(1, 22):
        known_devices.remember_place(alice.user, f"192.0.2.{number}")
    assert alice.user.sign_in_places.count() == 20
    assert not known_devices.is_place_of(alice.user, "192.0.2.1")
    assert known_devices.is_place_of(alice.user, "192.0.2.2")
    assert known_devices.is_place_of(charlie.user, "192.0.2.1")


# ── Rates ────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_begins_with_the_first_time_and_ends_exactly() -> None:
    clock = Clock()
    counters = ProcessCounters(clock)
    step = [("k", 3, 60)]
    for _ in range(3):
        assert counters.take(step) is None
        clock.now += 10
    assert counters.take(step) == (0, 30.0)
    clock.now += 29.9
    assert counters.take(step) is not None
    clock.now += 0.1
    assert [counters.take(step) for _ in range(3)] == [None] * 3
    assert counters.take(step) == (0, 60.0)


def test_what_is_refused_is_not_counted_on_any_counter() -> None:
    clock = Clock()
    counters = ProcessCounters(clock)
    for _ in range(2):
        assert counters.take([("narrow", 2, 60), ("wide", 3, 600)]) is None
    for _ in range(5):
        assert counters.take([("narrow", 2, 60), ("wide", 3, 600)]) == (0, 60.0)
    assert counters.take([("wide", 3, 600)]) is None
    assert counters.take([("wide", 3, 600)]) == (0, 600.0)
    # Of two that are full the first is named, and the longer wait told.
    assert counters.take([("narrow", 2, 60), ("wide", 3, 600)]) == (0, 600.0)


def test_what_was_given_back_may_be_taken_again_and_no_more() -> None:
    counters = ProcessCounters(Clock())
    step = [("k", 1, 60)]
    counters.give_back(["k"])
    assert counters.take(step) is None
    assert counters.take(step) is not None
    for _ in range(3):
        counters.give_back(["k"])
    assert counters.take(step) is None
    assert counters.take(step) is not None
    counters.reset(["k"])
    assert counters.take(step) is None


@pytest.mark.parametrize("amount", [1, 2, 5])
def test_in_redis_the_nth_is_let_in_and_the_next_is_not(amount: int) -> None:
    mine = Claim("mine", (Limit(amount, 60), Limit(100, 3_600)))
    other = Claim("other", (Limit(amount, 60),))
    assert [take(mine) for _ in range(amount)] == [None] * amount
    refused = take(mine)
    assert refused is not None
    assert refused.claim == mine
    assert 0 < refused.seconds <= 60
    assert take(other) is None, "another's count is its own"
    give_back(mine)
    assert take(mine) is None
    assert take(mine) is not None
    reset(mine)
    assert take(mine) is None


ADDRESSES = [
    ("192.0.2.1", "192.0.2.1", True),
    ("192.0.2.1", "192.0.2.2", False),
    ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
    ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ("2001:db8:0:1::1", "2001:db8:0:1::1%eth0", True),
    ("", "not an address", True),
    ("", "192.0.2.1", False),
]


@pytest.mark.parametrize(("one", "other", "same"), ADDRESSES)
def test_who_is_counted_together(one: str, other: str, same: bool) -> None:
    requests = [RequestFactory().get("/", REMOTE_ADDR=each) for each in (one, other)]
    assert (address_counted(requests[0]) == address_counted(requests[1])) == same
    assert address_counted(None) == "-"


def spent(step: Callable[[str], object], address: str) -> int:
    """How many are let in before the first is refused."""
    for number in range(1_000):
        try:
            step(address)
        except RateLimited:
            return number
    raise AssertionError("Nothing limits it.")


def test_every_door_lets_in_as_many_as_it_says_by_address() -> None:
    for door in throttles.THROTTLED_VIEWS.values():

        def knock(address: str, door: throttles.ThrottledView = door) -> None:
            throttles.throttle(RequestFactory().get("/", REMOTE_ADDR=address), door)

        expected = min(limit.amount for limit in door.limits)
        assert spent(knock, "192.0.2.1") == expected
        assert spent(knock, "192.0.2.2") == expected
        assert spent(knock, "2001:db8::1") == expected
        with pytest.raises(RateLimited):
            knock("2001:db8::2")


def test_wrong_keys_are_counted_and_the_right_one_is_taken_all_the_same(
    alice: Person, client: Any
) -> None:
    wrong = alice.token[:10] + ("0" if alice.token[10] != "0" else "1") + alice.token[11:]
    codes = [Api(wrong).send("GET", "/auth/whoami").status_code for _ in range(21)]
    assert codes == [401] * 20 + [429]
    assert alice.api.send("GET", "/auth/whoami").status_code == 200


# ── Moments in bodies ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T00:00:00+02:00", datetime(2027, 1, 30, 22, tzinfo=UTC)),
        ("2027-03-28T01:30:00+01:00", datetime(2027, 3, 28, 0, 30, tzinfo=UTC)),
        ("2027-03-28T03:30:00+02:00", datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),
        ("2027-10-31T02:30:00+02:00", datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
        ("2027-10-31T02:30:00+01:00", datetime(2027, 10, 31, 1, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (None, None),
    ],
)
def test_a_moment_is_read_with_its_zone(text: str | None, moment: datetime | None) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2027-01-31", "2027-01-31T00:00:00", "2027-02-29T00:00:00Z",
        "2027-01-31T25:00:00Z", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00",
        "10000-01-01T00:00:00Z", "2027-01-31T00:00:00Z junk",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        moment_of(text, field="until")
    assert [each.pointer for each in refused.value.errors] == ["/until"]
