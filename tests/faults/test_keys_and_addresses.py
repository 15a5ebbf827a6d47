"""Row 53: whatever a repository's own files say, a person's key goes to no address of theirs.

The real command line beside two real servers: the person's hub, and a stranger that writes down
whatever reaches it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from odavl.hub.queue.store import UploadQueue
from tests.client.fixtures import Odavl
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, SmallHub
from tests.faults.queueing import SARIF

Write = Callable[[Path, str], None]
HELD = 4


@pytest.fixture
def stranger() -> Iterator[SmallHub]:
    hub = SmallHub()
    yield hub
    hub.close()


def into_own_file(folder: Path, table: str) -> None:
    (folder / ".odavl").mkdir(exist_ok=True)
    (folder / ".odavl" / "config.toml").write_text(table)


def into_pyproject(folder: Path, table: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.odavl]\n{table}")


def into_a_folder_above(folder: Path, table: str) -> None:
    """``folder`` is no project of its own any more, so that the one above holds."""
    (folder / ".git").rename(folder / "no-git")
    into_own_file(folder.parent, table)


def into_a_link_in_a_clone(folder: Path, table: str) -> None:
    """The file lies elsewhere in the repository; a link leads to it."""
    (folder / "kept.toml").write_text(f"[tool.odavl]\n{table}")
    (folder / "pyproject.toml").symlink_to("kept.toml")


PLACES = [into_own_file, into_pyproject, into_a_folder_above, into_a_link_in_a_clone]


class Person:
    """Somebody with a home and a hub, and the environment that their commands get."""

    def __init__(self, odavl: Odavl, home: Path, hub: SmallHub) -> None:
        self.odavl = odavl
        self.home = home
        self.hub = hub
        self.environment: dict[str, str] = {}

    def have_key_from(self, source: str) -> None:
        if source in {"environment", "environment alone"}:
            self.environment["ODAVL_API_KEY"] = TOKEN
        if source in {"environment", "sign-in"}:
            # With the other key in the environment, it says which hub is meant.
            self.sign_in(self.hub)
        if source == "home":
            self.home.mkdir()
            (self.home / "config.toml").write_text(
                f'cloud_api = "{self.hub.address}"\napi_key = "{TOKEN}"\n'
            )
        self.hub.seen.clear()

    def sign_in(self, hub: SmallHub) -> None:
        done = self.odavl("login", "--hub", hub.address, "--token", "-", stdin=f"{TOKEN}\n")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def person(odavl: Odavl, home: Path, small_hub: SmallHub) -> Person:
    return Person(odavl, home, small_hub)


SOURCES = ["environment", "environment alone", "home", "sign-in"]
COMMANDS = [
    ("whoami",),
    ("projects",),
    ("link", "shop"),
    ("keys", "list"),
    ("keys", "create", "mine"),
    ("keys", "revoke", "key-2"),
    ("sync", "jobs"),
    ("sync", "jobs", "cancel", "job-1"),
    ("sync", "status", "--project", "p-1"),
    ("sync", "push", "--project", "p-1"),
    ("sync", "pull", "--project", "p-1"),
    ("sync", "process-queue"),
    ("doctor",),
    ("insight", "import", "in.sarif"),
    ("insight", "analyze", "--detectors", "vulture"),
    ("autopilot", "upload"),
    ("guardian", "upload"),
    ("login", "--token", TOKEN),
    ("login", "--token", "-"),
]


def prepare(project: Path) -> None:
    """Something for every command to send."""
    (project / "in.sarif").write_text(SARIF)
    results = {"ledger/run-r1.json": {"runId": "r1"}, "guardian/test-t1.json": {"testRunId": "t1"}}
    for name, document in results.items():
        path = project / ".odavl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))


@pytest.mark.parametrize("source", SOURCES)
def test_row_53_no_command_sends_a_key_to_the_address_of_a_repository(
    odavl: Odavl, project: Path, person: Person, stranger: SmallHub, source: str
) -> None:
    person.have_key_from(source)
    prepare(project)
    enqueue(person.home, stranger.address)
    into_own_file(project, f'cloud_api = "{stranger.address}"\nauto_upload = true\n')
    for arguments in COMMANDS:
        result = odavl(*arguments, stdin=f"{TOKEN}\n", **person.environment)
        assert stranger.seen == [], arguments
        assert person.hub.seen == [], arguments
        told = result.stderr if arguments != ("doctor",) else result.stdout
        assert result.returncode == HELD, (arguments, result.stderr)
        line = next(line for line in told.splitlines() if stranger.address in line)
        assert "odavl login --hub" in told, line
        assert TOKEN not in result.stdout + result.stderr
    # Only what lay there before waits for that address: nothing was put aside for a stranger.
    assert len(UploadQueue(person.home).content().items) == 1


@pytest.mark.parametrize("write", PLACES)
@pytest.mark.parametrize("source", SOURCES)
def test_row_53_wherever_the_repository_says_it(
    project: Path, person: Person, stranger: SmallHub, source: str, write: Write
) -> None:
    person.have_key_from(source)
    (project / "in.sarif").write_text(SARIF)
    write(project, f'cloud_api = "{stranger.address}"\nauto_upload = true\n')
    for arguments in (("whoami",), ("insight", "import", "in.sarif")):
        result = person.odavl(*arguments, **person.environment)
        assert (result.returncode, stranger.seen) == (HELD, [])
        assert stranger.address in result.stderr


def test_row_53_what_was_signed_in_for_that_very_address_is_used(
    odavl: Odavl, project: Path, small_hub: SmallHub, person: Person, stranger: SmallHub
) -> None:
    """A team's committed address works for whoever signed in there, and takes no other key."""
    person.sign_in(small_hub)
    person.sign_in(stranger)  # the hub last signed in to, from now on
    stranger.seen.clear()
    into_pyproject(project, f'cloud_api = "{small_hub.address}/api/v1/"\n')
    assert small_hub.address in odavl("whoami").stdout
    other = "odavl_live_of_the_other_hub_0123456789"
    result = odavl("whoami", ODAVL_API_KEY=other)
    assert result.returncode == 0
    assert result.stderr.count("\n") == 1
    assert "ODAVL_API_KEY is not sent" in result.stderr
    assert {each.headers["authorization"] for each in small_hub.seen} == {f"Bearer {TOKEN}"}
    assert stranger.seen == []


@pytest.mark.parametrize("near", ["{}/prefix", "{}/x/..", "{}/%2e"])
def test_row_53_almost_the_same_address_is_another(
    odavl: Odavl, project: Path, small_hub: SmallHub, person: Person, near: str
) -> None:
    person.have_key_from("sign-in")
    into_pyproject(project, f'cloud_api = "{near.format(small_hub.address)}"\n')
    result = odavl("whoami")
    assert result.returncode in {2, HELD}
    assert small_hub.seen == []


def test_row_53_the_same_address_from_the_person_makes_it_theirs(
    odavl: Odavl, home: Path, project: Path, small_hub: SmallHub
) -> None:
    into_own_file(project, f'cloud_api = "{small_hub.address}"\n')
    assert odavl("whoami", ODAVL_API_KEY=TOKEN).returncode == HELD
    named = {"ODAVL_API_KEY": TOKEN, "ODAVL_CLOUD_API": f"{small_hub.address}/"}
    assert odavl("whoami", **named).returncode == 0
    assert odavl("whoami", "--hub", small_hub.address, ODAVL_API_KEY=TOKEN).returncode == 0
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'cloud_api = "{small_hub.address}"\n')
    assert odavl("whoami", ODAVL_API_KEY=TOKEN).returncode == 0


@pytest.mark.parametrize("write", PLACES)
def test_row_53_a_repository_brings_no_key(
    odavl: Odavl, project: Path, small_hub: SmallHub, write: Write
) -> None:
    """With a key of theirs, a person's findings would go to their organization."""
    (project / "in.sarif").write_text(SARIF)
    write(project, f'api_key = "{TOKEN}"\nauto_upload = true\n')
    result = odavl("insight", "import", "in.sarif", ODAVL_CLOUD_API=small_hub.address)
    assert result.returncode == 2
    assert "api_key does not belong in a project's file" in result.stderr
    assert TOKEN not in result.stderr
    assert small_hub.seen == []


def test_row_53_what_waits_for_another_address_stays(
    odavl: Odavl, project: Path, small_hub: SmallHub, person: Person, stranger: SmallHub
) -> None:
    """An item names its hub; a command that reached another one sends it nowhere."""
    person.have_key_from("sign-in")
    enqueue(person.home, stranger.address)
    enqueue(person.home, small_hub.address)
    into_own_file(project, f'cloud_api = "{small_hub.address}"\n')
    assert odavl("whoami").returncode == 0
    assert odavl("sync", "process-queue").returncode == HELD
    assert (stranger.seen, len(small_hub.runs)) == ([], 1)
    assert [item.hub for item in UploadQueue(person.home).content().items] == [stranger.address]


def test_row_53_a_committed_tie_to_a_project_sends_nothing_anywhere(
    odavl: Odavl, project: Path, person: Person, stranger: SmallHub
) -> None:
    person.have_key_from("sign-in")
    (project / ".odavl").mkdir()
    tie = {
        "hub": stranger.address,
        "projectId": "p-1",
        "projectName": "Shop",
        "organizationId": "org-9",
    }
    (project / ".odavl" / "project.json").write_text(json.dumps(tie))
    assert odavl("whoami").returncode == 0
    odavl("sync", "jobs")
    odavl("sync", "status")
    assert stranger.seen == []


def test_row_53_a_link_in_a_repository_sends_no_file_of_the_person(
    project: Path, person: Person, tmp_path: Path
) -> None:
    """What lies beside the results goes with them in silence: not what a link leads to."""
    person.have_key_from("sign-in")
    secret = tmp_path / "id_secret"
    secret.write_text('{"secret": true}')
    into_own_file(project, "auto_upload = true\n")
    (project / "in.sarif").write_text(SARIF)
    (project / ".odavl" / "error-signatures.json").symlink_to(secret)
    result = person.odavl("insight", "import", "in.sarif")
    assert result.returncode == 0, result.stderr
    assert f"Uploading to {person.hub.address}, as " in result.stderr
    assert [run.type for run in person.hub.runs] == ["analysis-results"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_row_53_a_folder_above_that_belongs_to_somebody_else_is_no_project(
    odavl: Odavl, project: Path, person: Person
) -> None:
    """As below /tmp, where anybody may lay down settings, and would get the results to read."""
    person.have_key_from("sign-in")
    into_a_folder_above(project, 'fail_on = "info"\nexclude = ["*"]\n')
    above = project.parent / ".odavl"
    os.chown(above, 65534, 65534)
    (project / "in.sarif").write_text(SARIF)
    result = odavl("insight", "import", "in.sarif")
    assert result.returncode == 0, result.stderr
    assert (project / ".odavl" / "problems-panel-export.json").exists()
    assert list(above.iterdir()) == [above / "config.toml"]
