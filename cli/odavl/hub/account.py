"""Who is signed in, projects and API keys: the calls behind the commands of those names."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal, TypeVar, get_args
from urllib.parse import quote

import msgspec

from odavl.hub.transport import Answer, Call, HubClient
from odavl.wire.account import (
    CreatedKey,
    KeyPage,
    KeySummary,
    NewKey,
    NewProject,
    ProjectPage,
    ProjectSummary,
    WhoAmI,
)
from odavl.wire.errors import NotTheHub

PAGE = "200"
MOST_PAGES = 1000
Preset = Literal["all", "ci", "read-only"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

_WHOAMI = msgspec.json.Decoder(WhoAmI)
_PROJECT = msgspec.json.Decoder(ProjectSummary)
_PROJECTS = msgspec.json.Decoder(ProjectPage)
_KEYS = msgspec.json.Decoder(KeyPage)
_CREATED_KEY = msgspec.json.Decoder(CreatedKey)
Item = TypeVar("Item")


def whoami(client: HubClient) -> WhoAmI:
    """Whom the client's token speaks for."""
    return client.get("/auth/whoami").decode(_WHOAMI)


def projects(client: HubClient) -> list[ProjectSummary]:
    """All projects that the token may see."""
    return _all_pages(client, "/projects", _project_page)


def create_project(
    client: HubClient,
    *,
    name: str,
    git_remote: str | None = None,
    default_branch: str | None = None,
) -> ProjectSummary:
    wanted = NewProject(
        name=name, git_remote=git_remote or "", default_branch=default_branch or "main"
    )
    answer = client.send_json("POST", "/projects", wanted, idempotency_key=uuid.uuid4().hex)
    return answer.decode(_PROJECT)


def keys(client: HubClient) -> list[KeySummary]:
    """The organization's API keys, without their secrets."""
    return _all_pages(client, "/api-keys", _key_page)


def create_key(
    client: HubClient,
    *,
    name: str,
    scopes: str,
    project_id: str | None = None,
    expires_at: str | None = None,
) -> CreatedKey:
    """``scopes`` is a preset (``all``, ``ci``, ``read-only``) or ``product:level,…``."""
    wanted = NewKey(name=name, project_id=project_id, expires_at=expires_at)
    if scopes in PRESETS:
        wanted.preset = msgspec.convert(scopes, Preset)
    else:
        wanted.scopes = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    answer = client.send_json("POST", "/api-keys", wanted, idempotency_key=uuid.uuid4().hex)
    return answer.decode(_CREATED_KEY)


def revoke_key(client: HubClient, key_id: str) -> None:
    client.send(Call(method="DELETE", path=f"/api-keys/{quote(key_id, safe='')}"))


def _project_page(answer: Answer) -> tuple[list[ProjectSummary], str | None]:
    page = answer.decode(_PROJECTS)
    return page.items, page.next


def _key_page(answer: Answer) -> tuple[list[KeySummary], str | None]:
    page = answer.decode(_KEYS)
    return page.items, page.next


def _all_pages(
    client: HubClient, path: str, read: Callable[[Answer], tuple[list[Item], str | None]]
) -> list[Item]:
    found: list[Item] = []
    answer = client.get(path, {"limit": PAGE})
    for _ in range(MOST_PAGES):
        items, following = read(answer)
        found.extend(items)
        if not following:
            return found
        if following.startswith(("http://", "https://", "/")):
            answer = client.get(following)
        else:
            answer = client.get(path, {"limit": PAGE, "cursor": following})
    raise NotTheHub(f"The list at {path} has no end.")
