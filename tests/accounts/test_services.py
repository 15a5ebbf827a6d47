"""People, members and the project that an upload means."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts.models import AuditEvent, Membership, Organization, Project, Role, User
from accounts.principal import principal_of_key
from accounts.queries import first_organization_of, membership_in
from accounts.services import (
    add_member,
    change_role,
    create_api_key,
    create_organization,
    create_owner,
    create_project,
    create_user,
    find_or_create_project,
    remove_member,
)
from odavl.wire.errors import (
    Conflict,
    Duplicate,
    InvalidPayload,
    MissingScope,
    NotFound,
    PermissionRefused,
    WrongScope,
)
from tests.cast import PASSWORD, Person


def bound_to(person: Person, project: Project, *scopes: str):
    key, _ = create_api_key(by=person.principal, name="bound", scopes=scopes, project=project)
    return principal_of_key(key, project)


class TestPeople:
    def test_an_address_is_taken_whatever_its_case(self, alice: Person):
        with pytest.raises(Duplicate):
            create_user(email=" ALICE@example.COM ", password=PASSWORD)
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        ("email", "password", "pointer"),
        [
            ("nobody", PASSWORD, "/email"),
            ("a@example.com", "short", "/password"),
            ("a@example.com", "password123", "/password"),
        ],
    )
    def test_what_cannot_be_is_told_where(self, db, email, password, pointer):
        with pytest.raises(InvalidPayload) as refused:
            create_owner(email=email, password=password, organization_name="x")
        assert refused.value.errors[0].pointer == pointer
        assert not Organization.objects.exists()

    def test_slugs_are_numbered_where_taken_and_never_reserved(self, alice: Person):
        slugs = [
            create_organization(name=name, owner=alice.user).slug
            for name in ("ACME!", "acme", "api", "???", "Ünïcode " * 30)
        ]
        assert slugs[:4] == ["acme-2", "acme-3", "api-2", "organization"]
        assert len(slugs[4]) <= 100

    def test_people_land_in_the_organization_they_joined_first(self, alice: Person):
        create_organization(name="Second", owner=alice.user)
        assert first_organization_of(alice.user) == alice.organization
        assert membership_in(alice.user, "second").role == Role.OWNER
        assert membership_in(alice.user, "third") is None


class TestMembers:
    def test_a_member_adds_nobody(self, bob: Person, charlie: Person):
        with pytest.raises(PermissionRefused):
            add_member(user=charlie.user, role=Role.VIEWER, by=bob.membership)

    def test_nobody_joins_twice(self, alice: Person, bob: Person):
        with pytest.raises(Duplicate):
            add_member(user=bob.user, role=Role.VIEWER, by=alice.membership)

    def test_an_admin_makes_no_owner_and_unmakes_none(self, alice: Person, bob: Person):
        admin = change_role(membership=bob.membership, role=Role.ADMIN, by=alice.membership)
        with pytest.raises(PermissionRefused):
            change_role(membership=admin, role=Role.OWNER, by=admin)
        with pytest.raises(PermissionRefused):
            change_role(membership=alice.membership, role=Role.VIEWER, by=admin)
        with pytest.raises(PermissionRefused):
            remove_member(membership=alice.membership, by=admin)

    def test_the_last_owner_stays(self, alice: Person, bob: Person):
        with pytest.raises(Conflict):
            change_role(membership=alice.membership, role=Role.ADMIN, by=alice.membership)
        with pytest.raises(Conflict):
            remove_member(membership=alice.membership, by=alice.membership)
        change_role(membership=bob.membership, role=Role.OWNER, by=alice.membership)
        remove_member(membership=alice.membership, by=alice.membership)
        assert [m.user for m in Membership.objects.for_organization(alice.organization)] == [
            bob.user
        ]

    def test_a_member_may_leave(self, alice: Person, bob: Person):
        remove_member(membership=bob.membership, by=bob.membership)
        assert membership_in(bob.user, "acme") is None
        events = AuditEvent.objects.for_organization(alice.organization)
        assert events.filter(action="member.removed", target="bob@example.com").count() == 1

    def test_a_strangers_membership_is_out_of_reach(self, alice: Person, charlie: Person):
        with pytest.raises(Membership.DoesNotExist):
            remove_member(membership=charlie.membership, by=alice.membership)


class TestTheProjectAnUploadMeans:
    def test_nothing_named_is_the_default_project(self, alice: Person):
        project = find_or_create_project(alice.principal)
        assert project.slug == "default"
        assert find_or_create_project(alice.principal) == project
        assert find_or_create_project(alice.principal, project_name="  ") == project

    def test_nothing_named_is_the_keys_own_project(self, alice: Person, website: Project):
        assert find_or_create_project(bound_to(alice, website, "insight:write")) == website

    def test_a_new_name_makes_the_project(self, alice: Person):
        project = find_or_create_project(alice.principal, project_name="New one")
        assert (project.slug, project.name) == ("new-one", "New one")
        assert find_or_create_project(alice.principal, project_name="new ONE") == project

    def test_a_renamed_project_is_found_by_both_names(self, alice: Person, website: Project):
        Project.objects.for_organization(alice.organization).update(name="Shop")
        assert find_or_create_project(alice.principal, project_name="Website") == website
        assert find_or_create_project(alice.principal, project_name="Shop") == website

    def test_a_key_that_may_not_write_projects_makes_none(self, alice: Person, website: Project):
        key, _ = create_api_key(by=alice.principal, name="ci", scopes=["insight:write"])
        principal = principal_of_key(key, None)
        assert find_or_create_project(principal, project_name="website") == website
        with pytest.raises(MissingScope):
            find_or_create_project(principal, project_name="another")
        with pytest.raises(MissingScope):
            find_or_create_project(principal)

    def test_an_id_must_exist_in_the_organization(self, alice: Person, charlie: Person, website):
        assert find_or_create_project(alice.principal, project_id=str(website.pk)) == website
        assert find_or_create_project(alice.principal, project_id="website") == website
        for name in (str(website.pk), "website", "", "\x00"):
            if name.strip("\x00"):
                with pytest.raises(NotFound):
                    find_or_create_project(charlie.principal, project_id=name)

    def test_a_bound_key_reaches_no_other_project(self, alice: Person, charlie: Person, website):
        other = create_project(by=alice.principal, name="Other")
        foreign = create_project(by=charlie.principal, name="Foreign")
        bound = bound_to(alice, website, "insight:write", "projects:write")
        assert find_or_create_project(bound, project_id="website") == website
        assert find_or_create_project(bound, project_name="Website") == website
        with pytest.raises(WrongScope):
            find_or_create_project(bound, project_name="Brand new")
        told = set()
        # Whether there is such a project is not told.
        for named in (other.pk, foreign.pk, other.slug, uuid.uuid4(), "nobody's"):
            with pytest.raises(WrongScope) as refused:
                find_or_create_project(bound, project_id=str(named))
            told.add(refused.value.detail)
        assert len(told) == 1

    def test_names_that_no_column_takes_are_made_to_fit(self, alice: Person):
        project = find_or_create_project(alice.principal, project_name="a\x00b" + "c" * 200)
        assert project.name.startswith("a␀bccc")
        assert len(project.name) == 100

    @pytest.mark.django_db(transaction=True)
    def test_many_at_once_make_one_project(self, alice: Person):
        start = threading.Barrier(8)

        def find(_: int):
            try:
                start.wait(300)
                return find_or_create_project(alice.principal, project_name="Race").pk
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(find, range(8)))
        assert len(found) == 1
        events = AuditEvent.objects.for_organization(alice.organization)
        assert events.filter(action="project.created").count() == 1
