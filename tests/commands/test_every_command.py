"""Every command x what may be wrong: nobody signed in, no network, a key that is none, a portal.

The commands run in this process, with their real arguments, against a real server on a socket.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from odavl.hub.queue.store import UploadQueue
from odavl.main import cli, run
from odavl.wire.errors import KeyRevoked, MissingScope, NotFound, ServerFault
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, Fault, SmallHub, cut, html, problem

AWAY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Command:
    """``codes``: with nobody signed in, and with a hub that is well."""

    arguments: tuple[str, ...] = ()
    codes: tuple[int, int] = (4, 0)
    asks_the_hub: bool = True
    uploads: bool = False


OFFLINE = Command(codes=(0, 0), asks_the_hub=False)
JOB = Command(arguments=("job-1",))
TIED = Command(arguments=("--project", "shop"))
COMMANDS: dict[str, Command] = {
    "login": Command(arguments=("--token", TOKEN, "--hub", "{hub}"), codes=(0, 0)),
    "logout": OFFLINE,
    "whoami": Command(),
    "projects": Command(),
    "link": Command(arguments=("shop",)),
    "unlink": OFFLINE,
    "insight analyze": Command(arguments=("--upload", "--detectors", "ruff"), uploads=True),
    "insight import": Command(arguments=("--upload", "found.sarif"), uploads=True),
    "insight detectors": OFFLINE,
    "autopilot upload": Command(uploads=True),
    "guardian upload": Command(uploads=True),
    "sync jobs cancel": JOB,
    "sync jobs list": Command(),
    "sync jobs pause": JOB,
    "sync jobs resume": JOB,
    "sync jobs retry": JOB,
    "sync process-queue": Command(),
    "sync pull": TIED,
    "sync push": TIED,
    "sync queue": OFFLINE,
    "sync status": TIED,
    "keys create": Command(arguments=("ci",)),
    "keys list": Command(),
    "keys revoke": Command(arguments=("key-2",)),
    "doctor": Command(codes=(0, 0)),
    "completion": Command(arguments=("bash",), codes=(0, 0), asks_the_hub=False),
}
EACH = pytest.mark.parametrize("name", COMMANDS)
ASKING = pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if command.asks_the_hub]
)


def leaves(group: click.Group, context: click.Context, above: str = "") -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            below = click.Context(command, parent=context, info_name=name)
            yield from leaves(command, below, f"{above}{name} ")
        else:
            yield f"{above}{name}"


def test_the_table_has_every_command_there_is() -> None:
    assert set(leaves(cli, click.Context(cli, info_name="odavl"))) == COMMANDS.keys()


@dataclass
class Desk:
    """A person's machine: a project with results of each product, and one upload that waits."""

    home: Path
    hub: SmallHub
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def sign_in(self, address: str | None = None) -> None:
        self.monkeypatch.setenv("ODAVL_CLOUD_API", address or self.hub.address)
        self.monkeypatch.setenv("ODAVL_API_KEY", TOKEN)

    def run(self, name: str, *more: str, hub: str | None = None) -> tuple[int, str, str]:
        arguments = [each.format(hub=hub or self.hub.address) for each in COMMANDS[name].arguments]
        code = run([*name.split(), *arguments, *more])
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def waits(self, address: str) -> None:
        enqueue(self.home, address, b"waits")

    def queued(self) -> list[str]:
        return [item.type for item in UploadQueue(self.home).content().items]


@pytest.fixture
def desk(
    home: Path,
    project: Path,
    small_hub: SmallHub,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    for name in list(os.environ):
        if name.startswith(("ODAVL_", "GITHUB_", "CI")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ODAVL_HOME", str(home))
    monkeypatch.chdir(project)
    (project / "bad.py").write_text("import os\n")
    (project / "found.sarif").write_text(json.dumps(SARIF))
    for path, content in {
        "ledger/run-r1.json": "{}",
        "guardian/test-t1.json": "{}",
        "config.toml": "",
    }.items():
        file = project / ".odavl" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    small_hub.projects = [{"id": "p1", "slug": "shop", "name": "Shop"}]
    return Desk(home, small_hub, monkeypatch, capsys)


SARIF = {
    "version": "2.1.0",
    "runs": [{"tool": {"driver": {"name": "lint"}}, "results": [{"message": {"text": "No."}}]}],
}


@EACH
def test_help_fits_into_80_columns_and_asks_nobody(desk: Desk, name: str) -> None:
    desk.sign_in()
    desk.monkeypatch.setenv("COLUMNS", "80")
    code, told, warned = desk.run(name, "--help")
    assert (code, warned, desk.hub.seen) == (0, "", [])
    assert f"Usage: odavl {name}" in told
    assert [line for line in told.splitlines() if len(line) > 80] == []
    assert not desk.home.exists()


@EACH
def test_a_wrong_option_is_one_line_and_2(desk: Desk, name: str) -> None:
    desk.sign_in()
    code, told, warned = desk.run(name, "--frobnicate")
    assert (code, told, desk.hub.seen) == (2, "", [])
    assert warned.startswith("Error: ")
    assert warned.count("\n") == 1
    assert f"odavl {name} --help" in warned


@EACH
def test_a_well_hub_ends_with_its_code(desk: Desk, name: str) -> None:
    desk.sign_in()
    desk.waits(desk.hub.address)
    code, _, warned = desk.run(name)
    assert code == COMMANDS[name].codes[1], warned
    assert bool(desk.hub.seen) == COMMANDS[name].asks_the_hub
    assert all(each.token == TOKEN for each in desk.hub.seen)
    if COMMANDS[name].uploads or name == "sync process-queue":
        assert desk.queued() == [], "what waited went out after what was asked for"


@EACH
def test_without_a_sign_in_nothing_is_asked_and_the_way_in_is_told(desk: Desk, name: str) -> None:
    desk.monkeypatch.setenv("ODAVL_CLOUD_API", desk.hub.address)
    desk.waits(desk.hub.address)
    code, told, warned = desk.run(name)
    assert code == COMMANDS[name].codes[0], warned
    if code == 4:
        assert "odavl login" in warned
    if name != "login":
        assert [each for each in desk.hub.seen if each.token] == []
    if COMMANDS[name].uploads:
        assert len(desk.queued()) == 2, "what could not be sent waits for the sign-in"
    assert TOKEN not in told + warned


@ASKING
def test_a_hub_that_is_away_is_3_and_its_address_is_told(desk: Desk, name: str) -> None:
    desk.sign_in(AWAY)
    desk.waits(AWAY)
    code, told, warned = desk.run(name, hub=AWAY)
    assert code == 3, warned
    assert AWAY in told + warned
    assert len(desk.queued()) == 1 + COMMANDS[name].uploads
    if COMMANDS[name].uploads:
        assert "queued" in warned


@dataclass(frozen=True)
class Trouble:
    fault: Fault
    code: int


TROUBLES = {
    "revoked": Trouble(problem(KeyRevoked("The key is revoked.")), 4),
    "without the scope": Trouble(problem(MissingScope("projects:read")), 4),
    "a portal": Trouble(html(200), 3),
    "a proxy that wants a sign-in": Trouble(html(407), 3),
    "a fault": Trouble(problem(ServerFault()), 3),
    "cut off": Trouble(cut, 3),
}


@ASKING
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_the_hub_says_becomes_the_code_and_nothing_is_lost(
    desk: Desk, name: str, trouble: str
) -> None:
    desk.monkeypatch.setattr("odavl.hub.retry.random.uniform", lambda low, _high: low)
    desk.monkeypatch.setattr("odavl.hub.queue.sending.PAUSES", (0.0, 0.0, 0.0))
    desk.sign_in()
    desk.waits(desk.hub.address)
    desk.hub.faults_anywhere.extend([TROUBLES[trouble].fault] * 99)
    code, told, warned = desk.run(name)
    assert code == TROUBLES[trouble].code, warned
    assert len(desk.queued()) == 1 + COMMANDS[name].uploads
    assert "Traceback" not in told + warned
    assert TOKEN not in told + warned


@ASKING
def test_with_json_what_went_wrong_is_one_document(desk: Desk, name: str) -> None:
    desk.sign_in()
    desk.monkeypatch.setattr("odavl.hub.retry.random.uniform", lambda low, _high: low)
    desk.waits(desk.hub.address)
    desk.hub.faults_anywhere.extend([problem(KeyRevoked("The key is revoked."))] * 99)
    code, told, _ = desk.run(name, "--json")
    document = json.loads(told)
    assert code == 4
    assert isinstance(document, dict)
    assert TOKEN not in told


@pytest.mark.parametrize(
    ("name", "code"), [("keys revoke", 5), ("sync jobs cancel", 5), ("sync status", 5)]
)
def test_what_the_hub_does_not_have_is_5(desk: Desk, name: str, code: int) -> None:
    desk.sign_in()
    desk.hub.faults_anywhere.extend([problem(NotFound())] * 9)
    assert desk.run(name)[0] == code


@pytest.mark.parametrize("name", [name for name, each in COMMANDS.items() if each.uploads])
def test_an_upload_names_the_organization_that_is_set(desk: Desk, name: str) -> None:
    desk.sign_in()
    desk.monkeypatch.setenv("ODAVL_ORGANIZATION_ID", "org-9")
    assert desk.run(name)[0] == 0
    assert {each.headers.get("x-organization-id") for each in desk.hub.seen} == {"org-9"}


@pytest.mark.parametrize("name", [name for name, each in COMMANDS.items() if each.uploads])
def test_what_was_queued_is_sent_by_the_next_command_as_whose_it_was(desk: Desk, name: str) -> None:
    """Queued for one organization while the hub was away; the next command acts in another."""
    desk.sign_in()
    desk.monkeypatch.setenv("ODAVL_ORGANIZATION_ID", "org-1")
    desk.monkeypatch.setattr("odavl.hub.retry.random.uniform", lambda low, _high: low)
    desk.hub.faults.extend([cut] * 3)
    assert desk.run(name)[0] == 3
    assert len(desk.queued()) == 1
    desk.hub.faults.clear()
    desk.monkeypatch.setenv("ODAVL_ORGANIZATION_ID", "org-2")
    assert desk.run("whoami")[0] == 0
    assert (len(desk.queued()), desk.hub.runs) == (1, [])
    desk.monkeypatch.setenv("ODAVL_ORGANIZATION_ID", "org-1")
    [item] = UploadQueue(desk.home).content().items
    UploadQueue(desk.home).change([item._replace(nextAttemptAt=None)])
    assert desk.run("whoami")[0] == 0
    assert (desk.queued(), len(desk.hub.runs)) == ([], 1)
    assert desk.hub.uploads_seen()[-1].headers["x-organization-id"] == "org-1"


def test_a_link_that_is_removed_ties_no_more(desk: Desk) -> None:
    desk.sign_in()
    assert desk.run("link")[0] == 0
    assert desk.run("autopilot upload")[0] == 0
    assert desk.hub.runs[-1].metadata.project_id == "p1"
    assert desk.run("unlink")[0] == 0
    assert desk.run("autopilot upload")[0] == 0
    assert desk.hub.runs[-1].metadata.project_id is None
