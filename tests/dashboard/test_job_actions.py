"""The jobs' page: which buttons stand beside a job, for whom, and what pressing them does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import AuditEvent, Role
from accounts.services import add_member, create_user
from dashboard import job_pages
from jobs import registry, services
from jobs.models import Job, State
from tests.cast import PASSWORD, Person

pytestmark = pytest.mark.django_db

BUTTONS: dict[str, tuple[str, ...]] = {
    State.WAITING: ("pause", "cancel"),
    State.ACTIVE: ("pause", "cancel"),
    State.DELAYED: ("pause", "cancel"),
    State.PAUSED: ("resume", "cancel"),
    State.COMPLETED: (),
    State.FAILED: ("retry",),
    State.CANCELLED: ("retry",),
}


@pytest.fixture(autouse=True)
def _types() -> Iterator[None]:
    registry.register("test.insight", lambda _: None, area="insight")
    registry.register("test.storage", lambda _: None, area="storage")
    yield
    for name in ("test.insight", "test.storage"):
        registry.unregister(name)


def enqueue(person: Person, state: str = State.WAITING, job_type: str = "test.insight") -> Job:
    job = services.enqueue(organization=person.organization, job_type=job_type, payload={})
    Job.across_organizations.filter(id=job.id).update(state=state)
    job.refresh_from_db()
    return job


def shown(person: Person, query: str = "") -> dict[Any, tuple[str, ...]]:
    answer = person.page().get(f"/en/{person.organization.slug}/sync/jobs/{query}")
    assert answer.status_code == 200
    return {each.job.id: each.actions for each in answer.context["shown_jobs"]}


def press(person: Person, job: Job, action: str, slug: str = "acme", **form: str) -> Any:
    path = f"/en/{slug}/sync/jobs/{job.id}/"
    return person.page().post(path, {"action": action, **form})


def test_buttons_are_those_that_the_state_allows(alice: Person) -> None:
    jobs = {state: enqueue(alice, state) for state in BUTTONS}
    assert set(BUTTONS) == set(State.values)
    assert shown(alice) == {jobs[state].id: allowed for state, allowed in BUTTONS.items()}


@pytest.mark.parametrize("state", BUTTONS)
@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "retry"])
def test_a_button_does_it_and_nothing_else_does(alice: Person, state: str, action: str) -> None:
    job, beside = enqueue(alice, state), enqueue(alice, state)
    answer = press(alice, job, action)
    assert (answer.status_code, answer["Location"]) == (302, "/en/acme/sync/jobs/")
    job.refresh_from_db()
    after = {"pause": "paused", "resume": "waiting", "cancel": "cancelled", "retry": "waiting"}
    assert job.state == (after[action] if action in BUTTONS[state] else state)
    noted = AuditEvent.across_organizations.filter(action__startswith="job.").count()
    assert noted == (1 if action in BUTTONS[state] else 0)
    beside.refresh_from_db()
    assert beside.state == state


@pytest.mark.parametrize("role", Role.values)
def test_a_role_presses_what_it_may_write(alice: Person, charlie: Person, role: str) -> None:
    user = create_user(email="dora@example.com", password=PASSWORD)
    membership = add_member(user=user, role=role, by=alice.membership)
    dora = Person(user, membership, alice.organization, alice.principal, alice.key, alice.token)
    job = enqueue(alice)
    enqueue(charlie)
    may = role != "viewer"
    assert shown(dora) == {job.id: BUTTONS[State.WAITING] if may else ()}
    assert press(dora, job, "cancel").status_code == (302 if may else 404)
    job.refresh_from_db()
    assert (job.state == State.CANCELLED) == may


def test_a_stranger_presses_nothing(alice: Person, charlie: Person) -> None:
    job = enqueue(alice)
    for slug in ("acme", "globex", "nobody"):
        assert press(charlie, job, "cancel", slug).status_code == 404
    assert press(alice, enqueue(charlie), "cancel").status_code == 404
    job.refresh_from_db()
    assert job.state == State.WAITING


@pytest.mark.parametrize("action", ["", "explode", "Cancel", "cancel "])
def test_what_is_no_button_is_nowhere(alice: Person, action: str) -> None:
    assert press(alice, enqueue(alice), action).status_code == 404


def test_a_job_that_never_was_is_nowhere(alice: Person) -> None:
    assert press(alice, Job(id=uuid4()), "cancel").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/en/acme/sync/jobs/?state=failed", "/en/acme/sync/jobs/?state=failed"),
        ("https://evil.example/", "/en/acme/sync/jobs/"),
        ("//evil.example/", "/en/acme/sync/jobs/"),
        ("/\\evil.example/", "/en/acme/sync/jobs/"),
        ("javascript:alert(1)", "/en/acme/sync/jobs/"),
        ("", "/en/acme/sync/jobs/"),
    ],
)
def test_the_way_back_stays_on_this_hub(alice: Person, wanted: str, goes: str) -> None:
    assert press(alice, enqueue(alice), "pause", next=wanted)["Location"] == goes


def test_filters_narrow_and_what_is_no_filter_does_not(alice: Person, charlie: Person) -> None:
    failed = enqueue(alice, State.FAILED)
    stored = enqueue(alice, State.WAITING, "test.storage")
    waiting = enqueue(alice)
    enqueue(charlie, State.FAILED)
    every = {failed.id, stored.id, waiting.id}
    for query, expected in (
        ("", every),
        ("?state=failed", {failed.id}),
        ("?type=test.storage", {stored.id}),
        ("?state=waiting&type=test.insight", {waiting.id}),
        ("?state=failed&type=test.storage", set()),
        ("?state=odd", every),
        ("?type=of.nobody", every),
    ):
        assert set(shown(alice, query)) == expected, query


def test_cards_add_up(alice: Person, charlie: Person) -> None:
    for state, count in ((State.WAITING, 2), (State.ACTIVE, 3), (State.PAUSED, 1)):
        for _ in range(count):
            enqueue(alice, state)
    for state, count in ((State.DELAYED, 1), (State.COMPLETED, 4), (State.FAILED, 5)):
        for _ in range(count):
            enqueue(alice, state)
    enqueue(alice, State.CANCELLED)
    enqueue(charlie, State.FAILED)
    answer = alice.page().get("/en/acme/sync/jobs/")
    assert [number for _, _, number in answer.context["cards"]] == [17, 3, 4, 4, 5]


def test_pages_of_thirty_lead_on_and_back(alice: Person) -> None:
    made = [enqueue(alice).id for _ in range(job_pages.PAGE_SIZE + 3)]
    answer = alice.page().get("/en/acme/sync/jobs/")
    first = [each.job.id for each in answer.context["shown_jobs"]]
    page = answer.context["page"]
    assert (len(first), page.previous) == (job_pages.PAGE_SIZE, "")
    second = list(shown(alice, f"?cursor={page.next}"))
    assert first + second == made[::-1]


def test_what_nobody_named_is_called_by_its_type() -> None:
    assert job_pages.name_of("insight.ingest") == "Taking in a run"
    assert job_pages.name_of("of.tomorrow") == "of.tomorrow"
