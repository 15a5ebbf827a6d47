"""``odavl sync push`` and ``pull`` with everything that goes wrong: kills, races, lies."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from odavl.wire.encoding import sha256_hex
from tests.client.fixtures import command
from tests.client.small_hub import TOKEN, Reply, Seen, SmallHub, json_reply
from tests.faults.hub_at_work import HubAtWork
from tests.faults.transfers.conftest import Hub, kill
from tests.faults.transfers.proxy import BreakingLine
from tests.workspaces.machines import Machine

pytestmark = [pytest.mark.end_to_end]
MEBIBYTE = 1024 * 1024
FILES = 24


@pytest.fixture(scope="module")
def hub() -> Iterator[HubAtWork]:
    running = HubAtWork()
    yield running
    running.close()


@pytest.fixture
def project(hub: HubAtWork) -> str:
    """The slug of a project that nobody has used."""
    made = hub.http.post("/projects", json={"name": f"shop-{uuid.uuid4().hex}"})
    assert made.status_code == 201, made.text
    slug: str = made.json()["slug"]
    return slug


@pytest.fixture
def machine(hub: HubAtWork, project: str, tmp_path: Path) -> Callable[[str], Machine]:
    def made(name: str) -> Machine:
        return Machine.at(tmp_path / name, hub.process.url, hub.key, project)

    return made


def head(hub: HubAtWork, project: str) -> dict[str, Any]:
    deadline = time.monotonic() + 600
    while True:
        try:
            answer = hub.http.get(f"/sync/workspace/{project}")
            break
        except httpx.TransportError:  # its web processes were killed a moment ago
            assert time.monotonic() < deadline
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def start(machine: Machine, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("sync", *arguments),
        cwd=machine.root,
        env=machine.environment | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(seen: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while not seen():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)  # between two looks


def fill(machine: Machine, tag: str = "one") -> dict[str, bytes]:
    """Files that gzip does not make smaller, so that they take a while."""
    files = {f"guardian/screenshots/{n}.png": os.urandom(MEBIBYTE) for n in range(FILES)}
    files["history.json"] = tag.encode()
    for path, content in files.items():
        machine.write(path, content)
    return files


def test_kill_in_the_middle_of_a_push_leaves_the_hub_as_it_was(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    laptop, desk = machine("laptop"), machine("desk")
    files = fill(laptop)
    with BreakingLine(hub.process.port) as line:
        first = start(laptop, "push", ODAVL_CLOUD_API=line.url)
        wait_until(lambda: line.sent > FILES * MEBIBYTE // 2, first)
        kill(first)
        before = line.sent
        assert head(hub, project)["revision"] == 0
        again = laptop.odavl("sync", "push", "--json", ODAVL_CLOUD_API=line.url)
        assert again.returncode == 0, again
        after = line.sent - before
    told = json.loads(again.stdout)
    # Up to four were on their way when it died.
    assert told["chunksSent"] <= FILES // 2 + 4
    assert after < (FILES // 2 + 5) * MEBIBYTE
    assert head(hub, project)["revision"] == 1
    desk.sync("pull")
    assert desk.files() == files


def test_ctrl_c_in_the_middle_of_a_push_is_no_half_revision(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    laptop = machine("laptop")
    fill(laptop)
    with BreakingLine(hub.process.port) as line:
        process = start(laptop, "push", ODAVL_CLOUD_API=line.url)
        wait_until(lambda: line.sent > 4 * MEBIBYTE, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "Interrupted.\n")
    assert head(hub, project)["revision"] == 0
    assert laptop.sync("push")["revision"] == 1


def test_kill_in_the_middle_of_a_pull_leaves_each_file_old_or_new(
    machine: Callable[[str], Machine],
) -> None:
    laptop, desk = machine("laptop"), machine("desk")
    old = fill(laptop, "one")
    laptop.sync("push")
    desk.sync("pull")
    new = fill(laptop, "two")
    (laptop.folder / "guardian/screenshots/0.png").unlink()
    laptop.sync("push")
    last = desk.folder / "guardian/screenshots"
    before = {path.name: path.stat().st_ino for path in last.iterdir()}

    def replaced() -> int:
        return sum(
            path.stat().st_ino != before.get(path.name)
            for path in last.glob("*.png")
            if path.exists()
        )

    process = start(desk, "pull")
    wait_until(lambda: replaced() > 3, process)
    kill(process)
    found = desk.files()
    assert all(content in (old.get(path), new[path]) for path, content in found.items())
    assert any(found.get(path) != new[path] for path in old), "it was over before the kill"
    desk.sync("pull")
    assert desk.files() == laptop.files()
    assert not list(desk.folder.rglob(".sync-new-*"))


def test_machines_that_push_at_once_all_arrive(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    many = [machine(f"machine-{number}") for number in range(4)]
    for number, each in enumerate(many):
        each.write(f"ledger/run-{number}.json", b"%d" % number)
    processes = [start(each, "push") for each in many]
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, (output, errors)
    found = head(hub, project)
    assert found["revision"] == len(many)
    assert sorted(file["path"] for file in found["files"]) == [
        f"ledger/run-{number}.json" for number in range(4)
    ]
    for each in many:
        each.sync("pull")
    assert all(each.files() == many[0].files() for each in many)


def test_of_two_that_push_the_same_file_at_once_one_is_told_of_the_conflict(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    pair = [machine("laptop"), machine("desk")]
    for each in pair:
        each.write("history.json", each.root.name.encode())
    processes = [start(each, "push", "--json") for each in pair]
    told = [process.communicate(timeout=300)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1], told
    loser = pair[codes.index(1)]
    assert json.loads(told[codes.index(1)])["conflicts"][0]["path"] == "history.json"
    assert head(hub, project)["revision"] == 1
    loser.sync("pull", expect=1)
    assert sorted(loser.files().values()) == [b"desk", b"laptop"]


def test_two_in_one_folder_do_not_meet(machine: Callable[[str], Machine]) -> None:
    laptop = machine("laptop")
    fill(laptop)
    first = start(laptop, "push")
    wait_until((laptop.folder / ".sync-lock").exists, first)
    second = laptop.odavl("sync", "pull")
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    if second.returncode:
        assert "Another odavl sync runs in" in second.stderr
    assert laptop.sync("status")["revision"] == 1


def test_the_hubs_web_processes_are_killed_during_a_push(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    laptop, desk = machine("laptop"), machine("desk")
    files = fill(laptop)
    with BreakingLine(hub.process.port) as line:
        process = start(laptop, "push", ODAVL_CLOUD_API=line.url)
        wait_until(lambda: line.sent > FILES * MEBIBYTE // 3, process)
        for web in Hub(hub.process, hub.key).web_processes():
            web.kill()
        process.communicate(timeout=300)
    # It was patient enough, or says that it was not done; never that it was where it was not.
    assert process.returncode in (0, 3)
    assert head(hub, project)["revision"] == (1 if process.returncode == 0 else 0)
    assert laptop.sync("push")["revision"] == 1
    desk.sync("pull")
    assert desk.files() == files


def test_the_answer_to_the_commit_is_lost(
    hub: HubAtWork, project: str, machine: Callable[[str], Machine]
) -> None:
    laptop = machine("laptop")
    laptop.write("history.json", b"[]")
    with BreakingLine(hub.process.port, lose_answers=1, to=b"/revisions ") as line:
        laptop.environment["ODAVL_CLOUD_API"] = line.url
        assert laptop.sync("push")["revision"] == 1
        assert (line.cuts, head(hub, project)["revision"]) == (1, 1)
        laptop.write("history.json", b"[1]")
        line.lose_answers = 9
        assert laptop.sync("push", expect=3)["code"] == "hub_unreachable"
        line.lose_answers = 0
        # It was committed, and nobody could tell: the next run finds both sides alike.
        assert laptop.sync("push")["pushed"] is False
    assert head(hub, project)["revision"] == 2


def test_a_file_that_does_not_fit_on_the_disk(machine: Callable[[str], Machine]) -> None:
    laptop, desk = machine("laptop"), machine("desk")
    laptop.write("history.json", b"old")
    laptop.sync("push")
    desk.sync("pull")
    laptop.write("history.json", os.urandom(MEBIBYTE))
    laptop.sync("push")
    limited = subprocess.run(
        command("sync", "pull"),
        cwd=desk.root,
        env=desk.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)),
    )
    assert limited.returncode == 2, limited
    assert len(limited.stderr.splitlines()) == 1
    assert "history.json cannot be written: File too large." in limited.stderr
    assert desk.files() == {"history.json": b"old"}
    assert not list(desk.folder.glob(".sync-new-*"))
    desk.sync("pull")
    assert desk.files() == laptop.files()


class LyingHub(SmallHub):
    """Names whatever files it is told to, and gives one content for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[dict[str, Any]] = []
        self.content = b"evil"
        self.revision = 1
        self.meanwhile: Callable[[], object] = lambda: None
        """Happens on the machine that pulls, between its look and its replacing."""

    def reply(self, seen: Seen) -> Reply:
        if "/chunks/" in seen.path:
            self.meanwhile()
            return Reply(200, self.content, {"Content-Type": "application/octet-stream"})
        if "/sync/workspace/" in seen.path:
            told = {"projectId": "p", "revision": self.revision, "id": "r", "machine": "../../x"}
            return json_reply({**told, "files": self.files})
        return super().reply(seen)


@pytest.fixture
def lying_hub() -> Iterator[LyingHub]:
    hub = LyingHub()
    yield hub
    hub.close()


@pytest.mark.parametrize(
    "path",
    ["../evil", "guardian/../../evil", "/tmp/odavl-evil", "a\\..\\evil", "a\x00b", ".hidden",
     "project.json", "Project.JSON", "sync-state.json", "credentials.json", "x/" * 20 + "y",
     "CON", "a//b", "", "evil\x1b[2J", "x" * 600],
)  # fmt: skip
def test_a_hub_that_names_other_places_gets_nothing_written(
    lying_hub: LyingHub, tmp_path: Path, path: str
) -> None:
    laptop = Machine.at(tmp_path / "deep" / "laptop", lying_hub.address, TOKEN)
    laptop.write("history.json", b"mine")
    good = {"path": "good.json", "sha256": sha256_hex(b"evil"), "size": 4}
    lying_hub.files = [good, {**good, "path": path}]
    told = laptop.odavl("sync", "pull")
    assert (told.returncode, told.stdout) == (3, "")
    assert "The manifest names files that cannot be" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert "\x1b" not in told.stderr
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert [name for name in written if not name.endswith((".sync-lock", "laptop-home"))] == [
        "deep", "deep/laptop", "deep/laptop/.odavl", "deep/laptop/.odavl/history.json",
    ]  # fmt: skip
    assert not Path("/tmp/odavl-evil").exists()


@pytest.mark.parametrize("content", [b"", b"evi", b"evil!", b"live"])
def test_a_hub_that_gives_other_bytes_than_it_names(
    lying_hub: LyingHub, tmp_path: Path, content: bytes
) -> None:
    laptop = Machine.at(tmp_path / "laptop", lying_hub.address, TOKEN)
    laptop.write("history.json", b"mine")
    lying_hub.files = [{"path": "new.json", "sha256": sha256_hex(b"evil"), "size": 4}]
    lying_hub.content = content
    told = laptop.odavl("sync", "pull")
    assert told.returncode == 3
    assert "The hub sent other bytes than it had named" in told.stderr
    assert laptop.files() == {"history.json": b"mine"}


def test_the_name_of_a_conflicts_copy_is_not_the_hubs_to_choose(
    lying_hub: LyingHub, tmp_path: Path
) -> None:
    laptop = Machine.at(tmp_path / "laptop", lying_hub.address, TOKEN)
    laptop.write("history.json", b"mine")
    lying_hub.files = [{"path": "history.json", "sha256": sha256_hex(b"evil"), "size": 4}]
    laptop.sync("pull", expect=1)
    assert laptop.files() == {"history.conflict-x-r1.json": b"evil", "history.json": b"mine"}


def test_what_is_written_here_while_it_is_pulled_stays(lying_hub: LyingHub, tmp_path: Path) -> None:
    laptop = Machine.at(tmp_path / "laptop", lying_hub.address, TOKEN)
    old = {"path": "history.json", "sha256": sha256_hex(b"evil"), "size": 4}
    lying_hub.files = [old]
    laptop.sync("pull")
    new = {"path": "new.json", "sha256": sha256_hex(b"next"), "size": 4}
    lying_hub.files = [{**old, "sha256": sha256_hex(b"next")}, new]
    lying_hub.content, lying_hub.revision = b"next", 2

    def write() -> None:
        laptop.write("history.json", b"mine")
        laptop.write("new.json", b"mine, too")

    lying_hub.meanwhile = write
    pulled = laptop.sync("pull", expect=1)
    assert [each["path"] for each in pulled["conflicts"]] == ["history.json", "new.json"]
    assert laptop.files() == {
        "history.json": b"mine", "history.conflict-x-r2.json": b"next",
        "new.json": b"mine, too", "new.conflict-x-r2.json": b"next",
    }  # fmt: skip
