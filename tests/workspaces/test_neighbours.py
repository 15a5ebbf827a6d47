"""Two workspaces beside each other: what is cleaned up in one is not taken from the other."""

from __future__ import annotations

import pytest

from accounts.models import Project
from accounts.services import create_project
from tests.cast import Person
from tests.workspaces.pushes import listed, put
from workspaces import services
from workspaces.models import Revision

pytestmark = pytest.mark.django_db(transaction=True)


def push(person: Person, slug: str, number: int) -> None:
    base, content = f"/sync/workspace/{slug}", f"{slug} {number}".encode()
    assert put(person.api, content, base=base).status_code == 201
    files = [listed("history.json", content)]
    document = {"baseRevision": number, "machine": "laptop", "files": files}
    assert person.api.send("POST", f"{base}/revisions", document).status_code == 201


def test_each_keeps_its_own_latest_revisions(
    alice: Person, charlie: Person, website: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "KEPT_REVISIONS", 2)
    create_project(by=alice.principal, name="Shop")
    create_project(by=charlie.principal, name="Website")
    pushes = {(alice, "website"): 4, (alice, "shop"): 1, (charlie, "website"): 3}
    for (person, slug), count in pushes.items():
        for number in range(count):
            push(person, slug, number)

    services.clean_up()

    kept: dict[tuple[str, str], list[int]] = {}
    for row in Revision.across_organizations.order_by("number"):
        project = row.workspace.project
        kept.setdefault((project.organization.slug, project.slug), []).append(row.number)
    assert kept == {
        ("acme", "website"): [3, 4],
        ("acme", "shop"): [1],
        ("globex", "website"): [2, 3],
    }
