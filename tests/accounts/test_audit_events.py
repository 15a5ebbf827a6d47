"""Every write that the audit log is to tell of leaves one event: who, what, to which, in whose log.

The table is compared with the calls of ``record`` in the code, so that a new one without an entry
fails. What is refused, or changes nothing, leaves none.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import ApiKey, AuditEvent, Role
from accounts.principal import principal_of_key
from accounts.services import (
    add_member,
    change_project,
    change_role,
    create_api_key,
    create_organization,
    create_project,
    create_user,
    find_or_create_project,
    remove_member,
    revoke_api_key,
)
from accounts.services.audit import delete_old_events, record
from frame.request_context import RequestContext, enter_request, leave_request
from insight.models import Issue, Triage
from insight.services import triage_issues
from jobs import actions, services
from jobs.models import Job, State
from odavl.wire.account import ProjectChange
from odavl.wire.errors import Conflict, Duplicate, OdavlError
from teams.exports import services as exports
from tests.cast import PASSWORD, Person
from tests.insight.documents import document, finding, send
from tests.rooms import ROOMS, ROOT

pytestmark = pytest.mark.django_db


def events(person: Person) -> list[AuditEvent]:
    rows = AuditEvent.objects.for_organization(person.organization)
    return list(rows.order_by("pk"))


def a_job(person: Person, state: State = State.WAITING) -> Job:
    job = services.enqueue(organization=person.organization, job_type="unknown", payload={})
    Job.across_organizations.filter(id=job.id).update(state=state, finished_at=Now())
    return job


def a_key(person: Person) -> ApiKey:
    return create_api_key(by=person.principal, name="  Pipeline ", scopes=["insight:read"])[0]


def a_teammate(person: Person, role: str = "member") -> Any:
    user = create_user(email="dora@example.com", password=PASSWORD, name="Dora")
    return add_member(user=user, role=role, by=person.membership)


def issues(person: Person) -> Any:
    payload = document({"a.py": [finding(name) for name in ("one", "two", "three")]})
    assert send(person.api, payload).status_code == 201
    return Issue.objects.for_organization(person.organization)


def acted(action: Any, state: State) -> tuple[Callable[[Person], Any], Callable[..., Any]]:
    return (
        lambda person: a_job(person, state),
        lambda person, job: actions.act(job, action, by=person.principal),
    )


Step = tuple[Callable[[Person], Any], Callable[[Person, Any], Any], Callable[[Person, Any], str]]
NOTHING = lambda _: None  # noqa: E731 - a table's empty cell
TABLE: dict[str, Step] = {
    "api_key.created": (
        NOTHING,
        lambda alice, _: create_api_key(
            by=alice.principal, name=" Pipeline ", scopes=["insight:read"]
        ),
        lambda *_: "Pipeline",
    ),
    "api_key.revoked": (
        a_key,
        lambda alice, key: revoke_api_key(by=alice.principal, key=key),
        lambda *_: "Pipeline",
    ),
    "project.created": (
        NOTHING,
        lambda alice, _: create_project(by=alice.principal, name="Big Shop"),
        lambda *_: "big-shop",
    ),
    "project.changed": (
        lambda alice: create_project(by=alice.principal, name="Big Shop"),
        lambda alice, project: change_project(
            by=alice.principal, project=project, change=ProjectChange(name="Small")
        ),
        lambda *_: "big-shop",
    ),
    "member.added": (
        lambda _: create_user(email="dora@example.com", password=PASSWORD),
        lambda alice, user: add_member(user=user, role="viewer", by=alice.membership),
        lambda *_: "dora@example.com",
    ),
    "member.role_changed": (
        a_teammate,
        lambda alice, membership: change_role(
            membership=membership, role="admin", by=alice.membership
        ),
        lambda *_: "dora@example.com",
    ),
    "member.removed": (
        a_teammate,
        lambda alice, membership: remove_member(membership=membership, by=alice.membership),
        lambda *_: "dora@example.com",
    ),
    "job.cancelled": (*acted("cancel", State.WAITING), lambda _, job: f"unknown {job.id}"),
    "job.paused": (*acted("pause", State.WAITING), lambda _, job: f"unknown {job.id}"),
    "job.resumed": (*acted("resume", State.PAUSED), lambda _, job: f"unknown {job.id}"),
    "job.retried": (*acted("retry", State.FAILED), lambda _, job: f"unknown {job.id}"),
    "jobs.cleared": (
        lambda alice: [a_job(alice, State.COMPLETED) for _ in range(3)],
        lambda alice, _: actions.clear(
            Job.objects.for_organization(alice.organization),
            older_than=timedelta(0),
            by=alice.principal,
        ),
        lambda *_: "",
    ),
    "issue.triaged": (
        issues,
        lambda alice, rows: triage_issues(
            issues=rows, state=Triage.ACCEPTED, reason="known", by=alice.principal
        ),
        lambda *_: "",
    ),
    "export.started": (
        NOTHING,
        lambda alice, _: exports.start(by=alice.principal, project=None),
        lambda *_: "acme",
    ),
}
ELSEWHERE = {
    "organization.created": "below, as it makes its own log",
    "sign_in.limited": "tests/accounts/test_brute_force.py",
    "run.forgotten": "tests/insight/test_retention.py",
    "payload.expired": "tests/uploads/test_retention.py",
    "file.deleted": "tests/storage/test_files_api.py",
    "workspace.pushed": "tests/workspaces/test_workspace_api.py",
}


def test_every_action_in_the_code_has_an_entry() -> None:
    found = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    thing, _, done = node.value.partition(".")
                    is_action = thing.isidentifier() and done.replace("_", "").isalpha()
                    if is_action and done.endswith(("ed", "en")) and " " not in node.value:
                        found.add(node.value)
    expected = set(TABLE) | set(ELSEWHERE)
    no_actions = {"jobs.finished", "storage.released"}  # names of retention rules
    assert {name for name in found if name.islower()} - no_actions == expected


@pytest.mark.parametrize("action", TABLE)
def test_a_write_leaves_one_event(alice: Person, charlie: Person, action: str) -> None:
    prepare, do, target = TABLE[action]
    prepared = prepare(alice)
    before, elsewhere = len(events(alice)), len(events(charlie))
    context = enter_request(RequestContext("request-7", "192.0.2.7"))
    try:
        do(alice, prepared)
    finally:
        leave_request(context)
    (event,) = events(alice)[before:]
    assert event.action == action
    assert (event.actor, event.actor_key) == (alice.user, None)
    assert event.target == target(alice, prepared)
    assert (event.ip_address, event.request_id) == ("192.0.2.7", "request-7")
    assert len(events(charlie)) == elsewhere


@pytest.mark.parametrize("action", [name for name in TABLE if not name.startswith("member")])
def test_a_key_is_named_beside_its_maker(alice: Person, action: str) -> None:
    prepare, do, _ = TABLE[action]
    key = ApiKey.across_organizations.select_related("organization").get(pk=alice.key.pk)
    by_key = Person(
        alice.user,
        alice.membership,
        alice.organization,
        principal_of_key(key, None),
        key,
        alice.token,
    )
    prepared = prepare(alice)
    do(by_key, prepared)
    event = events(alice)[-1]
    assert (event.action, event.actor, event.actor_key) == (action, alice.user, key)


def test_a_new_organization_begins_its_log_with_its_owner(alice: Person) -> None:
    created = create_organization(name="Initech", owner=alice.user)
    (event,) = AuditEvent.objects.for_organization(created)
    assert (event.action, event.target, event.actor) == (
        "organization.created", "Initech", alice.user,
    )  # fmt: skip


NO_CHANGE: dict[str, Callable[[Person], Any]] = {
    "a key revoked again": lambda alice: [
        revoke_api_key(by=alice.principal, key=alice.key) for _ in range(3)
    ],
    "a project changed to what it is": lambda alice: [
        change_project(
            by=alice.principal,
            project=find_or_create_project(alice.principal, project_name="Shop"),
            change=ProjectChange(name="Shop", default_branch="main"),
        )
        for _ in range(2)
    ],
    "nothing to clear": lambda alice: [
        a_key(alice),
        actions.clear(
            Job.objects.for_organization(alice.organization),
            older_than=timedelta(0),
            by=alice.principal,
        ),
    ],
    "the same export twice": lambda alice: [
        exports.start(by=alice.principal, project=None) for _ in range(3)
    ],
    "the same decision twice": lambda alice: [
        triage_issues(issues=rows, state=Triage.ACCEPTED, reason="", by=alice.principal)
        for rows in [issues(alice)] * 3
    ],
}


@pytest.mark.parametrize("what", NO_CHANGE)
def test_what_changes_nothing_leaves_nothing(alice: Person, what: str) -> None:
    before = len(events(alice))
    NO_CHANGE[what](alice)
    made = [event.action for event in events(alice)[before:]]
    assert len([name for name in made if name != "project.created"]) == 1 or made == [
        "project.created"
    ], made


REFUSED: dict[str, Callable[[Person], Any]] = {
    "a job in another state": lambda alice: actions.act(
        a_job(alice, State.COMPLETED), "cancel", by=alice.principal
    ),
    "a member twice": lambda alice: add_member(user=alice.user, role="member", by=alice.membership),
    "the last owner": lambda alice: change_role(
        membership=alice.membership, role="member", by=alice.membership
    ),
    "the last owner's leaving": lambda alice: remove_member(
        membership=alice.membership, by=alice.membership
    ),
    "a project twice": lambda alice: [
        create_project(by=alice.principal, name=name) for name in ("Acme shop", "acme SHOP")
    ],
    "a key for the past": lambda alice: create_api_key(
        by=alice.principal, name="k", scopes=["insight:read"], expires_at=timezone.now()
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_nothing(alice: Person, what: str) -> None:
    before = [event.action for event in events(alice)]
    with pytest.raises(OdavlError) as refused:
        REFUSED[what](alice)
    assert isinstance(refused.value, Conflict | Duplicate) or "expiresAt" in str(refused.value)
    after = [event.action for event in events(alice)][len(before) :]
    assert [name for name in after if name != "project.created"] == []
    assert len(after) == (1 if what == "a project twice" else 0)


def test_a_member_of_another_organization_cannot_be_changed(alice: Person, charlie: Person) -> None:
    for step in (
        lambda: remove_member(membership=charlie.membership, by=alice.membership),
        lambda: change_role(membership=charlie.membership, role="admin", by=alice.membership),
    ):
        with pytest.raises(type(charlie.membership).DoesNotExist):
            step()
    charlie.membership.refresh_from_db()
    assert charlie.membership.role == Role.OWNER
    assert [event.action for event in events(charlie)].count("member.removed") == 0


ROLES = [
    # who acts, whom they give what, whether they may
    ("owner", "owner", True),
    ("owner", "viewer", True),
    ("admin", "owner", False),
    ("admin", "admin", True),
    ("admin", "viewer", True),
    ("member", "viewer", False),
    ("member", "member", False),
    ("viewer", "viewer", False),
]


@pytest.mark.parametrize(("role", "given", "allowed"), ROLES)
def test_who_may_give_which_role(alice: Person, role: str, given: str, allowed: bool) -> None:
    giver = a_teammate(alice, role)
    user = create_user(email="emil@example.com", password=PASSWORD)
    other = add_member(
        user=create_user(email="finn@example.com", password=PASSWORD),
        role="viewer" if given != "viewer" else "member",
        by=alice.membership,
    )
    before = len(events(alice))
    steps: list[Callable[[], Any]] = [
        lambda: add_member(user=user, role=given, by=giver),
        lambda: change_role(membership=other, role=given, by=giver),
    ]
    for step in steps:
        if allowed:
            step()
        else:
            with pytest.raises(OdavlError) as refused:
                step()
            assert refused.value.status == 403
    new = events(alice)[before:]
    assert [event.actor for event in new] == ([giver.user] * 2 if allowed else [])


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_below_an_owner_nobody_takes_an_owners_role(alice: Person, role: str) -> None:
    giver = a_teammate(alice, role)
    second = add_member(
        user=create_user(email="emil@example.com", password=PASSWORD),
        role="owner",
        by=alice.membership,
    )
    for step in (
        lambda: change_role(membership=second, role="viewer", by=giver),
        lambda: remove_member(membership=second, by=giver),
    ):
        with pytest.raises(OdavlError) as refused:
            step()
        assert refused.value.status == 403
    remove_member(membership=giver, by=giver)  # leave one may


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", None),
        (None, None),
        ("a socket", None),
        ("192.0.2.1:80", None),
    ],
)
def test_an_address_that_is_none_is_not_kept(
    alice: Person, address: str | None, kept: str | None
) -> None:
    token = enter_request(RequestContext("-", address))
    try:
        event = record(organization=alice.organization, action="thing.done", target="x" * 300)
    finally:
        leave_request(token)
    event.refresh_from_db()
    assert (event.ip_address, event.request_id, event.target) == (kept, "", "x" * 200)
    assert (event.actor, event.actor_key) == (None, None)


def test_old_events_go_exactly_by_age_and_no_more_than_asked(
    alice: Person, charlie: Person
) -> None:
    limit = timezone.now() - timedelta(days=30)
    AuditEvent.across_organizations.all().delete()
    made = [
        record(organization=person.organization, action="thing.done", target=str(at))
        for person in (alice, charlie)
        for at in range(3)
    ]
    moments = [timedelta(microseconds=-1), timedelta(0), timedelta(microseconds=1)] * 2
    for event, moment in zip(made, moments, strict=True):
        AuditEvent.across_organizations.filter(pk=event.pk).update(created_at=limit + moment)
    assert delete_old_events(older_than=limit, at_most=1) == 1
    assert delete_old_events(older_than=limit, at_most=10) == 1
    assert delete_old_events(older_than=limit, at_most=10) == 0
    left = AuditEvent.across_organizations.order_by("pk").values_list("target", flat=True)
    assert list(left) == ["1", "2", "1", "2"]
