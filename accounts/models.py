"""People, organizations, projects, API keys and the audit log."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.scoping import OrganizationScoped
from odavl.wire import limits


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The e-mail address is the user name; case does not matter."""

    email = models.EmailField(_("e-mail address"), max_length=254)
    name = models.CharField(_("name"), max_length=150, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique")]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *arguments: object, **options: Any) -> None:
        # Sign-in looks for it in lower case, whoever wrote it (an operator's form, too).
        self.email = self.email.lower()
        super().save(*arguments, **options)


class SignInPlace(models.Model):
    """An address from which a person signed in before: there, nobody else's guesses keep them out.

    What is kept is a keyed digest: it answers "this one?", and says nothing of where people are.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_places")
    digest = models.CharField(max_length=64, editable=False)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="sign_in_place_unique")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} at {self.digest[:8]}"


class Organization(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(_("address"), max_length=limits.MAX_NAME_LENGTH, unique=True)
    name = models.CharField(_("name"), max_length=limits.MAX_NAME_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="organizations"
    )

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do, most first."""

    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MEMBER = "member", _("Member")
    VIEWER = "viewer", _("Viewer")


class Membership(OrganizationScoped):
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_unique")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.organization_id}: {self.role}"


class Project(OrganizationScoped):
    """A code base or site; its slug is unique within the organization."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="projects"
    )
    slug = models.SlugField(max_length=limits.MAX_NAME_LENGTH, allow_unicode=True)
    name = models.CharField(_("name"), max_length=limits.MAX_NAME_LENGTH)
    git_remote = models.CharField(_("Git remote"), max_length=500, blank=True)
    default_branch = models.CharField(
        _("default branch"), max_length=limits.MAX_BRANCH_LENGTH, default="main"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(fields=["organization", "slug"], name="project_slug_unique")
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(OrganizationScoped):
    """A key's record. The key itself is shown once and kept nowhere: ``digest`` is its HMAC."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="api_keys"
    )
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="api_keys", null=True, blank=True
    )
    name = models.CharField(_("name"), max_length=limits.MAX_NAME_LENGTH)
    kind = models.CharField(max_length=10, default="key")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False)
    """The key's last characters, for people who look for the right one."""
    scopes = ArrayField(models.CharField(max_length=32))
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(OrganizationScoped.Meta):
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"


class AuditEvent(OrganizationScoped):
    """Who did what to which thing, and from where. Written once, never changed."""

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="audit_events"
    )
    actor = models.ForeignKey(
        User, on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )
    actor_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict, blank=True)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(OrganizationScoped.Meta):
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["organization", "-created_at"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class IdempotencyRecord(OrganizationScoped):
    """The answer to a POST with an ``Idempotency-Key``, kept so that it can be given again.

    Written in the transaction that did the work: where there is a record, the work is done, and
    where there is none, nothing of it is.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="idempotency_records"
    )
    project = models.ForeignKey(
        # A record lives for a day: it is not worth a lock on projects, nor an index of its own.
        Project,
        on_delete=models.CASCADE,
        related_name="+",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    """What the request was about; None for the whole organization."""
    key = models.CharField(max_length=limits.MAX_IDEMPOTENCY_KEY_LENGTH)
    digest = models.CharField(max_length=64)
    """SHA-256 (hex) of method, path and body: the same key must mean the same request."""
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta(OrganizationScoped.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "key"],
                condition=models.Q(project=None),
                name="idempotency_organization_key",
            ),
            models.UniqueConstraint(
                fields=["organization", "project", "key"],
                condition=models.Q(project__isnull=False),
                name="idempotency_project_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.status}"
