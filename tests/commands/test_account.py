"""login, logout, whoami, projects, link, keys: transcripts against a hub over real sockets."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from odavl.wire.errors import KeyRevoked, NotFound, QuotaExceeded
from tests.client.fixtures import Odavl, Result, command, command_environment
from tests.client.small_hub import TOKEN, SmallHub, html, problem

PROJECTS = [
    {"id": "p-1", "slug": "shop", "name": "Shop", "gitRemote": "git@example.com:acme/shop.git"},
    {"id": "p-2", "slug": "site", "name": "Site", "gitRemote": None, "defaultBranch": "main"},
    {"id": "p-3", "slug": "twin", "name": "Site"},
]


def sign_in(odavl: Odavl, hub: SmallHub) -> Result:
    return odavl("login", "--hub", hub.address, "--token", "-", stdin=f"{TOKEN}\n")


def test_login_verifies_keeps_and_remembers_the_hub(
    odavl: Odavl, small_hub: SmallHub, home: Path
) -> None:
    result = sign_in(odavl, small_hub)
    told = f"Signed in to {small_hub.address} as alice@example.com, organization Acme.\n"
    assert (result.stdout, result.stderr, result.returncode) == ("", told, 0)
    assert TOKEN not in (home / "credentials.json").read_text()
    who = odavl("whoami")
    assert who.stdout.splitlines()[:3] == [
        f"Hub:          {small_hub.address}",
        "User:         alice@example.com",
        "Organization: Acme (acme)",
    ]
    assert json.loads(odavl("whoami", "--json").stdout)["organization"]["slug"] == "acme"


def test_the_hub_of_the_environment_is_signed_in_to(odavl: Odavl, small_hub: SmallHub) -> None:
    result = odavl("login", "--token", TOKEN, "--json", ODAVL_CLOUD_API=small_hub.address)
    assert json.loads(result.stdout)["hub"] == small_hub.address


def test_a_key_on_the_command_line_is_warned_of(odavl: Odavl, small_hub: SmallHub) -> None:
    hub = ("--hub", small_hub.address)
    shown = odavl("login", *hub, "--token", TOKEN, "-q")
    assert shown.returncode == 0
    assert shown.stderr.splitlines()[0] == (
        "Others can read a key on the command line (ps, the shell's history). "
        "Better: odavl login --token -"
    )
    for hidden in (("--token", "-"), ()):
        quiet = odavl("login", *hub, *hidden, "-q", stdin=f"{TOKEN}\n")
        assert (quiet.returncode, quiet.stderr) == (0, "")


def test_a_wrong_key_is_not_kept(odavl: Odavl, small_hub: SmallHub, home: Path) -> None:
    result = odavl("login", "--hub", small_hub.address, stdin="odavl_live_wrong\n")
    assert result.stderr == "Error: The key is not known. Sign in: odavl login --token -\n"
    assert result.returncode == 4
    assert not (home / "credentials.json").exists()


@pytest.mark.parametrize("typed", ["", "\n", "two words\n", "short\n"])
def test_what_is_no_key_is_wrong_usage(odavl: Odavl, small_hub: SmallHub, typed: str) -> None:
    result = odavl("login", "--hub", small_hub.address, stdin=typed)
    assert result.stderr.startswith("Error: That is not an API key.")
    assert result.returncode == 2
    assert small_hub.seen == []


def test_a_captive_portal_is_no_hub(odavl: Odavl, small_hub: SmallHub, home: Path) -> None:
    small_hub.faults_anywhere.extend([html(200)] * 3)
    result = sign_in(odavl, small_hub)
    assert "not a hub" in result.stderr
    assert result.returncode == 3
    assert not (home / "credentials.json").exists()


def test_ctrl_c_is_130(small_hub: SmallHub, home: Path, project: Path) -> None:
    started: list[subprocess.Popen[str]] = []

    def interrupt(_handler: object) -> bool:
        started[0].send_signal(signal.SIGINT)
        started[0].wait(300)
        return True

    small_hub.faults_anywhere.append(interrupt)
    environ = command_environment(home, ODAVL_CLOUD_API=small_hub.address, ODAVL_API_KEY=TOKEN)
    started.append(
        subprocess.Popen(
            command("whoami"), cwd=project, env=environ, stderr=subprocess.PIPE, text=True
        )
    )
    _, talk = started[0].communicate(timeout=300)
    assert (talk, started[0].returncode) == ("Interrupted.\n", 130)


def test_logout_forgets(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    assert odavl("logout").stderr == f"Signed out of {small_hub.address}.\n"
    result = odavl("whoami", "--hub", small_hub.address)
    assert "Nobody is signed in" in result.stderr
    assert "odavl login" in result.stderr
    assert result.returncode == 4


def test_a_key_is_sent_to_its_own_hub_only(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    stranger = SmallHub()
    try:
        assert odavl("whoami", ODAVL_CLOUD_API=stranger.address).returncode == 4
        assert stranger.seen == []
    finally:
        stranger.close()


def test_projects_are_listed(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    assert "An upload makes one" in odavl("projects").stderr
    small_hub.projects = PROJECTS
    lines = odavl("projects").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["PROJECT", "shop", "site", "twin"]
    items = json.loads(odavl("projects", "--json").stdout)["items"]
    assert [item["id"] for item in items] == ["p-1", "p-2", "p-3"]


@pytest.mark.parametrize("wanted", ["p-2", "site"])
def test_a_folder_is_linked_by_id_or_slug(
    odavl: Odavl, small_hub: SmallHub, project: Path, wanted: str
) -> None:
    sign_in(odavl, small_hub)
    small_hub.projects = PROJECTS
    assert odavl("link", wanted).returncode == 0
    link = json.loads((project / ".odavl" / "project.json").read_text())
    assert link == {
        "hub": small_hub.address,
        "projectId": "p-2",
        "projectName": "Site",
        "organizationId": "org-1",
    }
    assert odavl("unlink").stderr == "Unlinked.\n"
    assert odavl("unlink").stderr == "This folder was not linked.\n"


def test_a_folder_is_linked_by_its_remote(odavl: Odavl, small_hub: SmallHub, project: Path) -> None:
    sign_in(odavl, small_hub)
    small_hub.projects = PROJECTS
    remote = "https://example.com/acme/shop"
    subprocess.run(["git", "-C", project, "remote", "add", "origin", remote], check=True)
    assert json.loads(odavl("link", "--json").stdout)["projectId"] == "p-1"


def test_an_ambiguous_or_unknown_project_is_told(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    small_hub.projects = PROJECTS
    for arguments in (["link", "Site"], ["link", "nix"], ["link"]):
        result = odavl(*arguments)
        assert "--create" in result.stderr
        assert result.returncode == 2


def test_a_project_is_made_on_demand(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    made = json.loads(odavl("link", "Fresh", "--create", "--json").stdout)
    assert (made["projectId"], made["projectName"]) == ("id-Fresh", "Fresh")


def test_a_key_is_made_and_shown_once(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    result = odavl("keys", "create", "ci", "--scopes", "all", "--json")
    assert json.loads(result.stdout)["key"] == "odavl_live_new"
    sent = json.loads(small_hub.seen[-1].body)
    assert (sent["name"], sent["preset"]) == ("ci", "all")
    assert small_hub.seen[-1].headers["idempotency-key"]
    plain = odavl("keys", "create", "ci", "--scopes", "insight:write, projects:read")
    assert plain.stdout == "odavl_live_new\n"
    assert "only time" in plain.stderr
    assert json.loads(small_hub.seen[-1].body)["scopes"] == ["insight:write", "projects:read"]


def test_a_key_may_be_bound_and_expire(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    small_hub.projects = PROJECTS
    odavl("keys", "create", "ci", "--project", "shop", "--expires-in", "90d")
    sent = json.loads(small_hub.seen[-1].body)
    assert sent["projectId"] == "p-1"
    assert sent["expiresAt"].endswith("Z")


def test_keys_are_listed_and_revoked(odavl: Odavl, small_hub: SmallHub) -> None:
    sign_in(odavl, small_hub)
    assert "laptop" in odavl("keys", "list").stdout
    assert json.loads(odavl("keys", "list", "--json").stdout)["items"][0]["id"] == "key-1"
    assert odavl("keys", "revoke", "key-2").returncode == 0
    refused = odavl("keys", "revoke", "key-9")
    assert refused.returncode == 5


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyRevoked("It was revoked."), 4), (QuotaExceeded("Ten."), 4), (NotFound("None."), 5)],
)
def test_what_the_hub_tells_becomes_the_exit_code(
    odavl: Odavl, small_hub: SmallHub, error: KeyRevoked | QuotaExceeded | NotFound, code: int
) -> None:
    sign_in(odavl, small_hub)
    small_hub.faults_anywhere.append(problem(error))
    result = odavl("whoami", "--json")
    document = json.loads(result.stdout)
    assert (document["code"], document["detail"]) == (error.code, error.detail)
    assert document["requestId"] == "request-1"
    assert result.returncode == code
