"""People, organizations and who is in which."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from accounts.models import Membership, Organization, Role, User
from accounts.roles import is_at_least
from accounts.services.audit import record
from frame.database.errors import violates
from odavl.wire import limits
from odavl.wire.errors import Conflict, Duplicate, FieldError, InvalidPayload, PermissionRefused

RESERVED_SLUGS = frozenset(
    {"accounts", "api", "healthz", "language", "metrics", "operate", "readyz", "static"}
)
"""First path segments that mean something else than an organization."""

_LONGEST_STEM = limits.MAX_NAME_LENGTH - 6


class Owner(NamedTuple):
    user: User
    organization: Organization
    membership: Membership


@transaction.atomic
def create_owner(*, email: str, password: str, organization_name: str, name: str = "") -> Owner:
    """A person with an organization of their own.

    Raises :class:`Duplicate` for an address that is taken, :class:`InvalidPayload` for an address
    or a password that cannot be.
    """
    user = create_user(email=email, password=password, name=name)
    organization = create_organization(name=organization_name, owner=user)
    return Owner(user, organization, organization.memberships.get(user=user))


def create_user(*, email: str, password: str, name: str = "") -> User:
    """A person who can sign in with ``email``, whatever its case."""
    address = email.strip().lower()
    _check(validate_email, address, pointer="/email")
    user = User(email=address, name=name)
    _check(lambda text: validate_password(text, user), password, pointer="/password")
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        if not violates(error, "user_email_unique"):
            raise
        raise Duplicate(f"There is already somebody with the address {address}.") from error
    return user


@transaction.atomic
def create_organization(*, name: str, owner: User) -> Organization:
    """An organization whose slug is made from ``name`` and numbered where it is taken."""
    organization = _insert_with_free_slug(name)
    _join(organization, owner, Role.OWNER)
    record(
        organization=organization,
        action="organization.created",
        target=organization.name,
        actor=owner,
    )
    return organization


@transaction.atomic
def add_member(*, user: User, role: str, by: Membership) -> Membership:
    """``user`` joins the organization of ``by``, who must be an admin, or an owner for an owner."""
    _may_give(by, role)
    try:
        with transaction.atomic():
            membership = _join(by.organization, user, Role(role))
    except IntegrityError as error:
        if not violates(error, "membership_unique"):
            raise
        raise Duplicate(f"{user.email} is a member already.") from error
    _record(by, "member.added", user, role=role)
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: str, by: Membership) -> Membership:
    """Give a member another role; the last owner stays one."""
    locked = _locked(membership, by)
    _may_give(by, role)
    _may_give(by, locked.role)
    if locked.role == Role.OWNER and role != Role.OWNER:
        _keep_an_owner(locked)
    before, locked.role = locked.role, Role(role)
    locked.save(update_fields=["role"])
    _record(by, "member.role_changed", locked.user, role=role, before=before)
    return locked


@transaction.atomic
def remove_member(*, membership: Membership, by: Membership) -> None:
    """Take a member out, or leave; the last owner cannot."""
    locked = _locked(membership, by)
    if locked.user_id != by.user_id:
        _may_give(by, locked.role)
    if locked.role == Role.OWNER:
        _keep_an_owner(locked)
    user = locked.user
    locked.delete()
    _record(by, "member.removed", user)


def _check(validate: Callable[[str], None], value: str, *, pointer: str) -> None:
    try:
        validate(value)
    except ValidationError as error:
        detail = " ".join(error.messages)
        raise InvalidPayload(detail, errors=(FieldError(pointer, "invalid", detail),)) from error


def _insert_with_free_slug(name: str) -> Organization:
    title = name.strip()[: limits.MAX_NAME_LENGTH]
    stem = slugify(title)[:_LONGEST_STEM].strip("-") or "organization"
    for number in range(1, 10_000):
        slug = stem if number == 1 else f"{stem}-{number}"
        if slug in RESERVED_SLUGS or Organization.objects.filter(slug=slug).exists():
            continue
        try:
            with transaction.atomic():
                return Organization.objects.create(slug=slug, name=title or stem)
        except IntegrityError as error:
            if not violates(error, "accounts_organization_slug_key"):
                raise
            continue  # Somebody took it in this very moment; the next number is as good.
    raise Conflict(f"There are too many organizations called {title}.")


def _join(organization: Organization, user: User, role: Role) -> Membership:
    rows = Membership.objects.for_organization(organization)
    membership: Membership = rows.create(organization=organization, user=user, role=role)
    return membership


def _may_give(by: Membership, role: str) -> None:
    least = Role.OWNER if role == Role.OWNER else Role.ADMIN
    if not is_at_least(by.role, least):
        raise PermissionRefused(f"Only an {least} may do this.")


def _locked(membership: Membership, by: Membership) -> Membership:
    """The membership as it is now; the organization's row makes changes of roles take turns."""
    Organization.objects.select_for_update().get(pk=by.organization_id)
    rows = Membership.objects.for_organization(by.organization).select_related("user")
    locked: Membership = rows.get(pk=membership.pk)
    return locked


def _keep_an_owner(leaving: Membership) -> None:
    rows = Membership.objects.for_organization(leaving.organization)
    if not rows.filter(role=Role.OWNER).exclude(pk=leaving.pk).exists():
        raise Conflict("An organization needs an owner: make somebody else one first.")


def _record(by: Membership, action: str, user: User, **details: str) -> None:
    record(
        organization=by.organization,
        action=action,
        target=user.email,
        actor=by.user,
        details=dict(details),
    )
