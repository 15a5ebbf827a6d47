"""No query without an organization, by construction."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import models

from accounts.models import ApiKey, AuditEvent, Membership, Organization, Project
from accounts.scoping import OrganizationScoped, UnscopedQueryError
from accounts.services import create_api_key
from tests.cast import Person
from tests.rooms import ROOMS


@pytest.mark.parametrize("model", [ApiKey, AuditEvent, Membership, Project])
@pytest.mark.parametrize(
    "ask",
    [
        lambda manager: manager.all(),
        lambda manager: manager.get(pk=1),
        lambda manager: manager.filter(pk=1),
        lambda manager: manager.count(),
        lambda manager: manager.create(),
        lambda manager: manager.bulk_create([]),
        lambda manager: manager.update(name=""),
        lambda manager: manager.raw("SELECT 1"),
        lambda manager: manager.get_queryset(),
    ],
)
def test_rows_cannot_be_asked_for_without_an_organization(model, ask, db):
    with pytest.raises(UnscopedQueryError, match="for_organization"):
        ask(model.objects)


def test_an_organization_sees_its_own_rows(alice: Person, charlie: Person, website: Project):
    assert list(Project.objects.for_organization(alice.organization)) == [website]
    assert list(Project.objects.for_organization(charlie.organization)) == []
    assert Project.across_organizations.count() == 1


def test_rows_below_an_object_are_its_own(alice: Person, website: Project):
    key, _ = create_api_key(
        by=alice.principal, name="bound", scopes=["insight:read"], project=website
    )
    assert list(ApiKey.objects.belonging_to(project=website)) == [key]


@pytest.mark.parametrize("parents", [{}, {"project": None}, {"project": "x"}, {"pk": 1}])
def test_rows_cannot_be_below_nothing(parents, db):
    with pytest.raises(UnscopedQueryError):
        ApiKey.objects.belonging_to(**parents)
    with pytest.raises(UnscopedQueryError):
        ApiKey.objects.belonging_to(project=Project(pk=None))


def models_of_ours() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if model._meta.app_label in ROOMS]


def test_every_model_that_belongs_to_an_organization_is_scoped():
    unscoped = [
        model.__name__
        for model in models_of_ours()
        if not issubclass(model, OrganizationScoped) and _leads_to_an_organization(model)
    ]
    assert unscoped == []
    assert Project in models_of_ours()


def test_every_scoped_model_says_how_it_belongs(alice: Person):
    for model in models_of_ours():
        if issubclass(model, OrganizationScoped):
            # A wrong ORGANIZATION_LOOKUP is a FieldError here.
            model.objects.for_organization(alice.organization).exists()
            assert model._default_manager.name == "across_organizations"


def _leads_to_an_organization(
    model: type[models.Model], seen: frozenset[type[models.Model]] = frozenset()
) -> bool:
    for field in model._meta.get_fields():
        if not isinstance(field, models.ForeignKey):
            continue
        target = field.related_model
        if target is Organization:
            return True
        if target not in seen | {model} and _leads_to_an_organization(target, seen | {model}):
            return True
    return False
