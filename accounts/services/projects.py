"""Projects: made on purpose, or by the first upload that names one."""

from __future__ import annotations

import hashlib
import uuid

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from msgspec import UNSET

from accounts.authentication import names
from accounts.models import Project
from accounts.principal import Principal
from accounts.queries import project_by_slug, project_of, projects_of
from accounts.services.audit import record
from frame.database.errors import violates
from frame.finding import no_such
from odavl.wire import limits
from odavl.wire.account import ProjectChange
from odavl.wire.encoding import visible
from odavl.wire.errors import (
    Duplicate,
    FieldError,
    InvalidPayload,
    PreconditionFailed,
    WrongScope,
)

DEFAULT_PROJECT_NAME = "default"


def create_project(
    *, by: Principal, name: str, git_remote: str = "", default_branch: str = "main"
) -> Project:
    """A new project; :class:`Duplicate` where its slug is taken."""
    by.require("projects:write")
    if by.project is not None:
        raise WrongScope("A key that is bound to one project makes no other.")
    project = _insert(by, name, git_remote=git_remote, default_branch=default_branch)
    if project is None:
        raise Duplicate(f"There is already a project whose address is {slug_of(name)}.")
    return project


def find_or_create_project(
    principal: Principal, *, project_id: str | None = None, project_name: str | None = None
) -> Project:
    """The project that an upload means.

    An id, or a slug in its place, must exist; of a key that is bound to a project it must be that
    one's, and whether there is another is not told. A name that is not known yet makes the project
    where the key may write projects. Neither means the key's project, else the one called
    ``default``.

    Raises :class:`NotFound`, :class:`WrongScope` where the key is bound to another project and
    :class:`~odavl.wire.errors.MissingScope` where it may not make one.
    """
    if project_id:
        return _existing(principal, project_id)
    name = visible((project_name or "").strip())[: limits.MAX_NAME_LENGTH].strip()
    if principal.project is not None:
        if name and not _is_called(principal.project, name):
            raise WrongScope(f"The key is bound to the project {principal.project.slug}.")
        return principal.project
    name = name or DEFAULT_PROJECT_NAME
    found = _by_name(principal, name)
    if found is not None:
        return found
    principal.require("projects:write")
    # None: another request made it in this very moment.
    return _insert(principal, name) or project_of(principal, slug_of(name))


@transaction.atomic
def change_project(
    *, by: Principal, project: Project, change: ProjectChange, if_match: str | None = None
) -> Project:
    """Apply ``change``; :class:`PreconditionFailed` unless ``if_match`` is still its entity tag."""
    by.require("projects:write")
    locked = projects_of(by).select_for_update(of=("self",)).filter(pk=project.pk).first()
    if locked is None:
        raise no_such("project")
    if if_match is not None and not _matches(if_match, entity_tag(locked)):
        raise PreconditionFailed("Somebody else changed the project in the meantime.")
    changed = _apply(locked, change)
    if changed:
        locked.save(update_fields=changed)
        record(
            organization=by.organization,
            action="project.changed",
            target=locked.slug,
            by=by,
            details={"fields": changed},
        )
    return locked


def entity_tag(project: Project) -> str:
    """The strong ETag (RFC 9110) over everything that people can edit."""
    parts = (project.pk, project.slug, project.name, project.git_remote, project.default_branch)
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def slug_of(name: str) -> str:
    """The address of a project called ``name``; letters of every script are kept."""
    slug = slugify(name, allow_unicode=True)[: limits.MAX_NAME_LENGTH].strip("-")
    return slug or f"project-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _existing(principal: Principal, project_id: str) -> Project:
    bound = principal.project
    if bound is None:
        return project_of(principal, project_id)
    if not names(project_id, bound):
        raise WrongScope(f"The key is bound to the project {bound.slug}.")
    return bound


def _by_name(principal: Principal, name: str) -> Project | None:
    """By slug first, else by a name that was changed later."""
    found = project_by_slug(principal.organization, slug_of(name))
    return found or projects_of(principal).filter(name=name).first()


def _is_called(project: Project, name: str) -> bool:
    return name == project.name or slug_of(name) == project.slug


def _insert(
    principal: Principal, name: str, *, git_remote: str = "", default_branch: str = "main"
) -> Project | None:
    """The new project, None where the slug is taken."""
    title = _title(name)
    rows = Project.objects.for_organization(principal.organization)
    try:
        with transaction.atomic():
            project: Project = rows.create(
                id=uuid.uuid4(),
                organization=principal.organization,
                slug=slug_of(title),
                name=title,
                git_remote=git_remote,
                default_branch=default_branch,
            )
            record(
                organization=principal.organization,
                action="project.created",
                target=project.slug,
                by=principal,
            )
    except IntegrityError as error:
        if not violates(error, "project_slug_unique"):
            raise
        return None
    return project


def _title(name: str) -> str:
    title = name.strip()
    if not title:
        detail = "must have a character that is no space"
        raise InvalidPayload(
            f"The name {detail}.", errors=(FieldError("/name", "invalid", detail),)
        )
    return title[: limits.MAX_NAME_LENGTH]


def _apply(project: Project, change: ProjectChange) -> list[str]:
    """Set what differs; the names of those fields."""
    wanted: dict[str, str] = {}
    if change.name is not UNSET:
        wanted["name"] = _title(change.name)
    if change.git_remote is not UNSET:
        wanted["git_remote"] = change.git_remote
    if change.default_branch is not UNSET:
        wanted["default_branch"] = change.default_branch
    changed = [field for field, value in wanted.items() if getattr(project, field) != value]
    for field in changed:
        setattr(project, field, wanted[field])
    return changed


def _matches(if_match: str, tag: str) -> bool:
    return if_match.strip() == "*" or tag in {part.strip() for part in if_match.split(",")}
