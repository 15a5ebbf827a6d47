"""Organization scoping by construction: no query without saying whose rows are meant.

A model that belongs to an organization inherits from :class:`OrganizationScoped`.
``Model.objects`` has two ways in, :meth:`OrganizationManager.for_organization` and, below an object
that was itself found so, :meth:`OrganizationManager.belonging_to`; everything else on it raises
:class:`UnscopedQueryError`. Work that rightly looks across organizations (clean-up,
key look-up, workers) says so by name: ``Model.across_organizations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from django.db import models

if TYPE_CHECKING:
    from accounts.models import Organization

ModelT = TypeVar("ModelT", bound=models.Model)


class UnscopedQueryError(TypeError):
    """``Model.objects`` was used without an organization."""


class OrganizationManager(models.Manager[ModelT], Generic[ModelT]):
    def get_queryset(self) -> NoReturn:
        name = self.model.__name__
        raise UnscopedQueryError(
            f"{name}.objects.for_organization(organization) is the way to {name} rows; "
            f"{name}.across_organizations is for work that belongs to no organization."
        )

    def for_organization(self, organization: Organization) -> models.QuerySet[ModelT]:
        """The rows of one organization."""
        lookup: str = getattr(self.model, "ORGANIZATION_LOOKUP", "organization")
        rows: models.QuerySet[ModelT] = models.QuerySet(self.model, using=self._db)
        return rows.filter(**{lookup: organization})

    def belonging_to(self, **parents: models.Model) -> models.QuerySet[ModelT]:
        """The rows below objects that were found within their organization, by field name.

        ``Issue.objects.belonging_to(stream=stream)`` spares the joins up to the organization.
        """
        if not parents:
            raise UnscopedQueryError(f"Say what the {self.model.__name__} rows belong to.")
        for name, parent in parents.items():
            if not isinstance(parent, OrganizationScoped) or parent.pk is None:
                raise UnscopedQueryError(f"{name} is no stored object of an organization.")
        rows: models.QuerySet[ModelT] = models.QuerySet(self.model, using=self._db)
        return rows.filter(**parents)


class OrganizationScoped(models.Model):
    """Base of every model whose rows belong to one organization."""

    ORGANIZATION_LOOKUP: ClassVar[str] = "organization"

    # First, so that Django itself (related managers, deletion, the admin) works with it.
    across_organizations: ClassVar[models.Manager[Any]] = models.Manager()
    objects: ClassVar[OrganizationManager[Any]] = OrganizationManager()

    class Meta:
        abstract = True
        base_manager_name = "across_organizations"
