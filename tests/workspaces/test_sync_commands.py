"""``odavl sync push``, ``pull`` and ``status`` on two machines against a real server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_started

from accounts.models import Project
from accounts.services import create_api_key, create_project
from odavl.wire import limits
from tests.cast import Person
from tests.workspaces.machines import Machine
from tests.workspaces.pushes import commit, listed, put
from workspaces.models import Revision, Workspace, WorkspaceContent

pytestmark = [pytest.mark.django_db(transaction=True)]
LEDGER = "ledger/run-1.json"


@pytest.fixture
def requests() -> Iterator[list[tuple[str, str, int]]]:
    """Method, last step of the path and length of each request that came to the server."""
    seen: list[tuple[str, str, int]] = []

    def note(environ: dict[str, Any], **_signal: object) -> None:
        step = environ["PATH_INFO"].rsplit("/", 2)
        name = "chunk" if step[-2] == "chunks" else step[-1]
        seen.append((environ["REQUEST_METHOD"], name, int(environ.get("CONTENT_LENGTH") or 0)))

    request_started.connect(note)
    yield seen
    request_started.disconnect(note)


def chunks(seen: list[tuple[str, str, int]]) -> int:
    return sum(1 for method, name, _ in seen if (method, name) == ("PUT", "chunk"))


def test_everything_that_a_project_keeps_arrives_on_the_other_machine(
    laptop: Machine, desk: Machine
) -> None:
    files = {
        LEDGER: b'{"runId": "run-1"}',
        "undo/latest.json": b"{}",
        "recipes-trust.json": b"[]",
        "history.json": b"",
        "guardian/test-1.json": b"{}",
        "guardian/screenshots/1/home page.png": os.urandom(limits.CHUNK_SIZE + 1_000),
        "baseline.json": b'{"accepted": ["\xd9\x85"]}',
        "config.toml": b'fail_on = "high"\n',
    }
    for path, content in files.items():
        laptop.write(path, content)
    laptop.write("project.json", b"{}")
    pushed = laptop.sync("push")
    assert (pushed["pushed"], pushed["revision"]) == (True, 1)
    assert pushed["changes"]["added"] == sorted(files)
    pulled = desk.sync("pull")
    assert pulled["changes"] == {"added": sorted(files), "changed": [], "deleted": []}
    assert desk.files() == files
    for machine in (laptop, desk):
        status = machine.sync("status")
        assert (status["revision"], status["seenRevision"]) == (1, 1)
        assert status["here"] == status["there"] == {"added": [], "changed": [], "deleted": []}
    assert machine.sync("pull")["changes"]["added"] == []


def test_what_the_hub_has_is_not_sent(
    laptop: Machine, desk: Machine, requests: list[tuple[str, str, int]]
) -> None:
    picture = os.urandom(2 * limits.CHUNK_SIZE)
    laptop.write("guardian/screenshots/1/a.png", picture)
    laptop.write(LEDGER, b"{}")
    first = laptop.sync("push")
    assert (first["chunksSent"], chunks(requests)) == (3, 3)
    requests.clear()
    # Another name, the same content; one file more.
    laptop.write("guardian/screenshots/2/a.png", picture)
    laptop.write("history.json", b"[1]")
    second = laptop.sync("push")
    assert (second["chunksSent"], second["bytesSent"]) == (1, 3)
    assert chunks(requests) == 1
    assert sum(length for _, _, length in requests) < 2_500
    requests.clear()
    assert laptop.sync("push")["pushed"] is False
    assert [name for _, name, _ in requests] == ["website"]
    desk.sync("pull")
    requests.clear()
    (desk.folder / "guardian/screenshots/1/a.png").unlink()
    assert desk.sync("push")["chunksSent"] == 0
    assert sorted(name for _, name, _ in requests) == ["revisions", "website"]
    requests.clear()
    assert laptop.sync("pull")["bytesFetched"] == 0
    assert ("GET", "chunk") not in [(method, name) for method, name, _ in requests]


def test_what_is_here_under_another_name_is_not_fetched(
    laptop: Machine, desk: Machine, requests: list[tuple[str, str, int]]
) -> None:
    one = laptop.write("ledger/run-1.json", b"one")
    laptop.write("history.json", b"A" * limits.CHUNK_SIZE + b"B" * limits.CHUNK_SIZE)
    laptop.sync("push")
    desk.sync("pull")
    requests.clear()
    (laptop.folder / "old").mkdir()
    one.rename(laptop.folder / "old" / "run-1.json")
    laptop.write("history.json", b"A" * limits.CHUNK_SIZE + b"C" * limits.CHUNK_SIZE)
    assert laptop.sync("push")["chunksSent"] == 1
    pulled = desk.sync("pull")
    assert pulled["bytesFetched"] == limits.CHUNK_SIZE
    assert [name for method, name, _ in requests if method == "GET"].count("chunk") == 1
    assert desk.files() == laptop.files()


def test_a_name_that_only_changes_its_case_arrives(laptop: Machine, desk: Machine) -> None:
    run = laptop.write("ledger/Run-1.json", b"one")
    laptop.sync("push")
    desk.sync("pull")
    run.rename(run.with_name("run-1.json"))
    laptop.sync("push")
    desk.sync("pull")
    assert desk.files() == {"ledger/run-1.json": b"one"}


def test_a_file_that_grows_is_sent_from_where_it_changed(laptop: Machine) -> None:
    lines = [json.dumps({"at": n, "text": os.urandom(300).hex()}) for n in range(30_000)]
    laptop.write("history.json", ("[" + ",".join(lines) + "]").encode())
    first = laptop.sync("push")
    lines.insert(20_000, json.dumps({"at": "new"}))
    laptop.write("history.json", ("[" + ",".join(lines) + "]").encode())
    second = laptop.sync("push")
    assert first["chunksSent"] > 4
    assert second["chunksSent"] <= 2


def test_a_dry_run_writes_nothing_anywhere(laptop: Machine, desk: Machine) -> None:
    laptop.write(LEDGER, b"{}")
    told = laptop.sync("push", "--dry-run")
    assert (told["dryRun"], told["pushed"], told["changes"]["added"]) == (True, False, [LEDGER])
    assert not Workspace.across_organizations.exists()
    assert sorted(path.name for path in laptop.folder.iterdir()) == ["ledger"]
    laptop.sync("push")
    told = desk.sync("pull", "--dry-run")
    assert told["changes"]["added"] == [LEDGER]
    assert not desk.folder.exists()
    desk.sync("status")
    assert not desk.folder.exists()


def test_changes_that_do_not_meet_go_together(laptop: Machine, desk: Machine) -> None:
    laptop.write("a.json", b"a")
    laptop.write("b.json", b"b")
    laptop.sync("push")
    desk.sync("pull")
    laptop.write("a.json", b"a2")
    desk.write("b.json", b"b2")
    desk.write("c.json", b"c")
    laptop.sync("push")
    told = desk.sync("push")
    assert (told["revision"], told["toPull"]) == (3, 1)
    assert desk.files()["a.json"] == b"a"
    assert desk.sync("pull")["changes"]["changed"] == ["a.json"]
    laptop.sync("pull")
    assert laptop.files() == desk.files() == {"a.json": b"a2", "b.json": b"b2", "c.json": b"c"}


def test_a_conflict_is_named_and_both_versions_are_kept(laptop: Machine, desk: Machine) -> None:
    laptop.write("history.json", b"old")
    laptop.sync("push")
    desk.sync("pull")
    laptop.write("history.json", b"laptop's")
    desk.write("history.json", b"desk's")
    laptop.sync("push")
    refused = desk.sync("push", expect=1)
    conflict = {"path": "history.json", "why": "changed-on-both-sides"}
    assert (refused["pushed"], refused["conflicts"]) == (False, [conflict])
    assert Revision.across_organizations.count() == 2
    pulled = desk.odavl("sync", "pull")
    assert pulled.returncode == 1
    (copy,) = desk.folder.glob("history.conflict-*-r2.json")
    assert f"history.json: changed here and there; the hub's version is {copy.name}" in (
        pulled.stderr
    )
    assert desk.folder.joinpath("history.json").read_bytes() == b"desk's"
    assert copy.read_bytes() == b"laptop's"
    again = desk.sync("push", expect=1)
    assert again["unresolved"] == [copy.name]
    assert desk.sync("status")["unresolved"] == [copy.name]
    copy.unlink()
    assert desk.sync("push")["changes"]["changed"] == ["history.json"]
    laptop.sync("pull")
    assert laptop.files() == desk.files() == {"history.json": b"desk's"}


def test_deleted_on_one_side_and_changed_on_the_other_loses_nothing(
    laptop: Machine, desk: Machine
) -> None:
    for name in ("one.json", "two.json"):
        laptop.write(name, b"old")
    laptop.sync("push")
    desk.sync("pull")
    (laptop.folder / "one.json").unlink()
    laptop.write("two.json", b"changed there")
    desk.write("one.json", b"changed here")
    (desk.folder / "two.json").unlink()
    laptop.sync("push")
    desk.sync("push", expect=1)
    pulled = desk.sync("pull", expect=1)
    assert pulled["conflicts"] == [
        {"path": "one.json", "why": "deleted-there", "beside": None},
        {"path": "two.json", "why": "deleted-here", "beside": None},
    ]
    assert desk.files() == {"one.json": b"changed here", "two.json": b"changed there"}
    desk.sync("push")
    laptop.sync("pull")
    assert laptop.files() == desk.files()


def test_two_machines_that_never_met_are_not_merged_over_each_other(
    laptop: Machine, desk: Machine
) -> None:
    laptop.write("a.json", b"laptop's")
    desk.write("a.json", b"desk's")
    desk.write("same.json", b"same")
    laptop.write("same.json", b"same")
    laptop.sync("push")
    assert desk.sync("push", expect=1)["conflicts"][0]["path"] == "a.json"
    (conflict,) = desk.sync("pull", expect=1)["conflicts"]
    assert desk.files() == {
        "a.json": b"desk's", conflict["beside"]: b"laptop's", "same.json": b"same",
    }  # fmt: skip
    # Pulling again does not pile up copies, nor does a memory that was lost.
    desk.sync("pull")
    (desk.folder / "sync-state.json").write_text("damaged")
    assert desk.sync("pull", expect=1)["conflicts"] == [conflict]
    assert len(desk.files()) == 3


def test_settings_that_act_do_not_travel(laptop: Machine, desk: Machine) -> None:
    laptop.write("config.toml", b'fail_on = "high"\n')
    laptop.sync("push")
    desk.sync("pull")
    laptop.write("config.toml", b"auto_upload = true\n")
    laptop.write(LEDGER, b"{}")
    told = laptop.odavl("sync", "push")
    assert "config.toml sets what belongs to one machine (auto_upload)" in told.stderr
    desk.sync("pull")
    assert desk.files() == {LEDGER: b"{}", "config.toml": b'fail_on = "high"\n'}


def test_settings_that_somebody_pushed_by_hand_are_not_taken(
    laptop: Machine, desk: Machine, bob: Person
) -> None:
    """A teammate's key may write to the project; it decides nothing about this machine."""
    evil = b'cloud_api = "https://evil.example"\n'
    assert put(bob.api, evil).status_code == 201
    for base, name in enumerate(("config.toml", "CONFIG.TOML")):
        assert commit(bob.api, [listed(name, evil)], base).status_code == 201
        told = laptop.odavl("sync", "pull")
        assert f"Not taken: {name}: sets what belongs to one machine (cloud_api)." in told.stderr
        assert laptop.files() == {}
    assert laptop.sync("status")["there"]["added"] == ["CONFIG.TOML"]
    laptop.write("a.json", b"a")
    laptop.sync("push")


def test_what_is_a_link_here_is_left_alone(laptop: Machine, desk: Machine, tmp_path: Path) -> None:
    laptop.write("guardian/test-1.json", b"one")
    laptop.write("history.json", b"one")
    laptop.sync("push")
    outside = tmp_path / "outside"
    outside.mkdir()
    desk.folder.mkdir()
    (desk.folder / "guardian").symlink_to(outside)
    (desk.folder / "history.json").symlink_to(outside / "history.json")
    told = desk.odavl("sync", "pull")
    assert told.returncode == 0
    assert "Not taken: guardian/test-1.json: lies in a folder that is not synchro" in told.stderr
    assert "Not taken: history.json: is a link." in told.stderr
    assert list(outside.iterdir()) == []
    # Nor is it taken for deleted.
    assert desk.sync("push")["pushed"] is False


def test_a_folder_without_a_project_says_what_to_do(laptop: Machine) -> None:
    told = laptop.odavl("sync", "status", ODAVL_PROJECT_ID="")
    assert (told.returncode, told.stderr) == (
        2, "Error: This folder is tied to no project of the hub. Run: odavl link PROJECT\n",
    )  # fmt: skip
    told = laptop.odavl("sync", "push", "--project", "nothing")
    assert (told.returncode, told.stdout) == (2, "")
    assert "The hub has no project nothing" in told.stderr


def test_a_project_is_named_by_link_slug_or_name(
    laptop: Machine, alice: Person, website: Project
) -> None:
    shop = create_project(by=alice.principal, name="Der Laden")
    assert laptop.sync("status", "--project", "Der Laden")["projectId"] == str(shop.pk)
    laptop.environment["ODAVL_PROJECT_ID"] = ""
    assert laptop.odavl("link", "website").returncode == 0
    assert laptop.sync("status")["projectId"] == str(website.pk)


def test_ones_own_files_are_never_sent(laptop: Machine) -> None:
    laptop.write("credentials.json", b"secret")
    for home in (laptop.folder, laptop.folder / "deep"):
        told = laptop.odavl("sync", "push", ODAVL_HOME=str(home))
        assert told.returncode == 2
        assert "holds your own ODAVL files" in told.stderr
    assert laptop.sync("push")["pushed"] is False
    assert not WorkspaceContent.across_organizations.exists()


def test_a_key_that_may_only_read_pulls_and_does_not_push(
    laptop: Machine, desk: Machine, alice: Person
) -> None:
    laptop.write("a.json", b"a")
    laptop.sync("push")
    _, token = create_api_key(by=alice.principal, name="ci", scopes=("projects:read",))
    desk.environment["ODAVL_API_KEY"] = token
    desk.sync("pull")
    desk.write("b.json", b"b")
    refused = desk.odavl("sync", "push")
    assert refused.returncode == 4
    assert "projects:write" in refused.stderr


def test_a_hub_that_is_away_is_one_line_and_changes_nothing(laptop: Machine) -> None:
    laptop.write("a.json", b"a")
    laptop.sync("push")
    before = laptop.files()
    for name in ("push", "pull", "status"):
        told = laptop.odavl("sync", name, ODAVL_CLOUD_API="http://127.0.0.1:9")
        assert (told.returncode, told.stdout) == (3, "")
        assert len(told.stderr.splitlines()) == 1
        assert "cannot be reached" in told.stderr
    assert laptop.files() == before


def test_names_cannot_move_the_cursor(laptop: Machine) -> None:
    laptop.write("a\x1b[2Jb.json", b"a")
    laptop.write("\u202egnp.exe", b"a")
    told = laptop.odavl("sync", "status")
    assert "\x1b" not in told.stdout + told.stderr
    assert "\u202e" not in told.stdout + told.stderr
    assert "a\\x1b[2Jb.json has a character that cannot be seen" in told.stderr
