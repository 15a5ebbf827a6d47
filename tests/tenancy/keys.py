"""Keys that are bound to one project."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import ApiKey, Project
from accounts.services import create_api_key
from odavl.wire.scopes import PRESETS
from tests.cast import Api, Person


@dataclass(frozen=True)
class Bound:
    """A project and what a key that is bound to it sees."""

    project: Project
    key: ApiKey
    token: str

    @property
    def api(self) -> Api:
        return Api(self.token)


def bound_key(alice: Person, project: Project, *scopes: str) -> Bound:
    """A new key of Alice's for ``project``; all scopes unless some are given."""
    key, token = create_api_key(
        by=alice.principal,
        name=f"{project.slug}'s key",
        scopes=scopes or PRESETS["all"],
        project=project,
    )
    return Bound(project, key, token)
