"""Rows 1, 4 to 12, 14 to 16 of what must go wrong without harm: the client and its queue."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue
from tests.client.fixtures import Odavl, command, command_environment
from tests.client.small_hub import TOKEN, Reply, SmallHub, answer
from tests.faults.queueing import AWAY, SARIF, enqueue, settings
from tests.yardstick import yardstick

PROGRAMS = Path(__file__).parent


def item(**changes: object) -> QueuedUpload:
    body = b"body"
    made = QueuedUpload(
        id=new_item_id(),
        product="insight",
        type="sarif",
        filePath="/p/in.sarif",
        metadata={"projectName": "shop"},
        hub=AWAY,
        idempotencyKey=new_item_id(),
        encoding="identity",
        size=len(body),
        bodySize=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        createdAt=timestamp(),
    )
    return made._replace(**changes)


# ── 1: killed between any two system calls ───────────────────────────────────


@pytest.mark.parametrize("act", ["add", "send", "set aside"])
def test_row_1_killed_between_any_two_system_calls(home: Path, act: str) -> None:
    """A tracer stops the program at each of its system calls in turn, and kills it there."""
    result = subprocess.run(
        [sys.executable, str(PROGRAMS / "killed_at_each_call.py"), str(home), act],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 77:
        pytest.skip(f"this machine lets nobody trace: {result.stdout}")
    assert result.returncode == 0, result.stdout + result.stderr
    calls = int(result.stdout)
    sys.stderr.write(f"\nrow 1: {act} killed at each of {calls} system calls\n")
    assert calls > 30


# ── 4: the disk is full ──────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; where nobody may mount one, the test cannot be."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(folder: Path, leave: int) -> None:
    """Leave about ``leave`` pages of the disk."""
    with (folder / "filling").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    size = (folder / "filling").stat().st_size
    os.truncate(folder / "filling", size - leave * 4096)


@pytest.mark.parametrize("pages", range(8))
def test_row_4_a_full_disk_leaves_the_queue_intact(
    small_disk: Path, project: Path, sarif: Path, pages: int
) -> None:
    """However many pages are left: for the blob, for the item, for the index, or for all."""
    home = small_disk / "home"
    queue = UploadQueue(home)
    before = [queue.add(item(), io.BytesIO(b"body")) for _ in range(3)]
    _fill(small_disk, pages)
    result = subprocess.run(
        command("insight", "import", "in.sarif", "--upload"),
        cwd=project,
        env=command_environment(home, ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY="odavl_wrong"),
        capture_output=True,
        text=True,
        check=False,
    )
    (small_disk / "filling").unlink()
    after = queue.content().items
    sys.stderr.write(f"\nrow 4: {pages} pages left, exit code {result.returncode}\n")
    assert result.returncode in {2, 3}, result.stderr
    assert after[:3] == before
    assert len(after) == (4 if result.returncode == 3 else 3)
    if result.returncode == 2:
        assert "No space left on device" in result.stderr
        assert "Free some space" in result.stderr
    assert {path.name for path in queue.blobs_folder.iterdir()} == {each.id for each in after}
    assert not list(queue.folder.rglob(".new-*"))


# ── 5: a home that is none ───────────────────────────────────────────────────


def test_row_5_no_home_or_one_that_cannot_be_written(
    home: Path, project: Path, sarif: Path
) -> None:
    environment = command_environment(home, ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY="odavl_wrong")
    homes = {"ODAVL_HOME": "/proc/nowhere"}, {"ODAVL_HOME": "", "HOME": "/proc/nowhere"}
    for changed in homes:
        result = subprocess.run(
            command("insight", "import", "in.sarif", "--upload"),
            cwd=project,
            env=environment | changed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 2, (changed, result.stderr)
        assert "/proc/nowhere" in result.stderr
        assert "ODAVL_HOME" in result.stderr
    assert not list(project.rglob("uploads.json"))
    assert not home.exists()


@pytest.mark.parametrize("place", ["queue", "queue/items", "queue/blobs", "queue/quarantine"])
def test_row_5_a_queue_that_leads_elsewhere_is_refused(
    odavl: Odavl, home: Path, queue: UploadQueue, sarif: Path, place: str
) -> None:
    queue.add(item(), io.BytesIO(b"body"))
    elsewhere = home.parent / "elsewhere"
    shutil.move(home / place, elsewhere) if (home / place).exists() else elsewhere.mkdir()
    before = sorted(elsewhere.rglob("*"))
    (home / place).symlink_to(elsewhere)
    if place == "queue/quarantine":
        (queue.items_folder / "bad.json").write_text("?")
        result = odavl("sync", "queue")
    else:
        result = odavl(
            "insight", "import", "in.sarif", "--upload",
            ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY="odavl_wrong",
        )  # fmt: skip
    assert result.returncode == 2
    assert "not a folder" in result.stderr
    assert sorted(elsewhere.rglob("*")) == before


# ── 6: many at once ──────────────────────────────────────────────────────────


def test_row_6_twenty_enqueue_and_two_process_at_once(
    home: Path, project: Path, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    wrong = command_environment(home, ODAVL_CLOUD_API=small_hub.address, ODAVL_API_KEY="wrong")
    adding = [
        subprocess.Popen(
            command("insight", "import", "in.sarif", "--upload"),
            cwd=project,
            env=wrong,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(20)
    ]
    assert {process.wait() for process in adding} == {4}
    assert len(queue.content().items) == 20
    assert len({each.idempotencyKey for each in queue.content().items}) == 20
    right = command_environment(home, **settings(small_hub))
    sending = [
        subprocess.Popen(
            command("sync", "process-queue", "--json"),
            cwd=project,
            env=right,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    reports = [json.loads(process.communicate()[0]) for process in sending]
    assert sum(report["succeeded"] for report in reports) == 20
    assert len(small_hub.runs) == 20
    assert len([each for each in small_hub.uploads_seen() if _has_token(each)]) == 20
    assert queue.content().items == []


def _has_token(seen: object) -> bool:
    return seen.headers["authorization"] == f"Bearer {TOKEN}"


# ── 7: the source changes afterwards ─────────────────────────────────────────


@pytest.mark.parametrize("change", ["edited", "deleted", "growing"])
def test_row_7_the_snapshot_is_what_is_sent(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, change: str
) -> None:
    enqueue(odavl, small_hub.address)
    if change == "deleted":
        sarif.unlink()
    elif change == "edited":
        sarif.write_text("nothing of the kind")
    else:
        with sarif.open("a") as file:
            file.write(" " * 100_000)
    assert odavl("sync", "process-queue", **settings(small_hub)).returncode == 0
    (run,) = small_hub.runs
    assert json.loads(run.payload).keys() >= {"tool", "scope", "diagnostics"}


# ── 8, 9, 10: what lies in the queue ─────────────────────────────────────────


@pytest.mark.parametrize("index", [b"", b"\0" * 4096, b'{"version": 1, "items": [{', b"\xff\xfe"])
def test_row_8_a_damaged_index_is_rebuilt_and_a_damaged_item_set_aside(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub, index: bytes
) -> None:
    for _ in range(3):
        enqueue(odavl, small_hub.address)
    bad = queue.content().items[1]
    (queue.items_folder / f"{bad.id}.json").write_bytes(b"\0" * 300)
    queue.index.write_bytes(index)
    shown = json.loads(odavl("sync", "queue", "--json").stdout)
    assert (shown["total"], shown["quarantined"]) == (2, [f"{bad.id}.json"])
    result = odavl("sync", "process-queue", **settings(small_hub))
    assert (result.returncode, len(small_hub.runs)) == (0, 2)
    assert f"quarantine/{bad.id}.json is damaged" in result.stderr
    assert (queue.quarantine / f"{bad.id}.snapshot").stat().st_size > 0


def test_row_9_an_item_of_a_newer_version_is_left_alone_and_named(
    odavl: Odavl, sarif: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    enqueue(odavl, small_hub.address)
    newer = queue.items_folder / f"{new_item_id()}.json"
    newer.write_text('{"version": 7, "chunks": ["of its own"]}')
    content = newer.read_bytes()
    for arguments in (("sync", "queue"), ("sync", "process-queue")):
        result = odavl(*arguments, **settings(small_hub))
        assert result.returncode == 0
        assert f"{newer.name} in the queue was written by a newer version" in result.stderr
    assert newer.read_bytes() == content
    assert len(small_hub.runs) == 1


def test_row_10_wide_modes_are_tightened(
    odavl: Odavl, home: Path, sarif: Path, queue: UploadQueue
) -> None:
    enqueue(odavl)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert odavl("sync", "queue").returncode == 0
    folders = (home, queue.folder, queue.items_folder, queue.blobs_folder)
    files = (*queue.items_folder.iterdir(), *queue.blobs_folder.iterdir(), queue.index)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


# ── 11, 12, 13: whom it is sent to, and when ─────────────────────────────────


def test_row_11_another_hub_gets_nothing_and_the_item_is_held(
    odavl: Odavl, sarif: Path, small_hub: SmallHub
) -> None:
    enqueue(odavl, AWAY)
    result = odavl("sync", "process-queue", **settings(small_hub))
    assert (result.returncode, small_hub.uploads_seen()) == (4, [])
    assert f"ODAVL_CLOUD_API={AWAY}" in result.stderr
    shown = odavl("sync", "queue", **settings(small_hub))
    assert "Held:   1" in shown.stdout
    assert f"queued for {AWAY}, and the hub is now {small_hub.address}" in shown.stdout


def test_row_11_no_secret_lies_in_any_file(odavl: Odavl, home: Path, sarif: Path) -> None:
    secret = "odavl_key_" + "Q" * 36
    odavl(
        "insight", "import", "in.sarif", "--upload", ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY=secret
    )  # fmt: skip
    files = [path for path in (home / "queue").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_row_12_a_redirect_elsewhere_gets_neither_key_nor_payload(
    odavl: Odavl, sarif: Path, small_hub: SmallHub
) -> None:
    stranger = SmallHub()
    try:
        for status in (301, 302, 303, 307, 308):
            reply = Reply(status, headers={"Location": f"{stranger.address}/api/v1/upload/insight"})
            small_hub.faults.extend([answer(reply)] * 3)
            result = odavl("insight", "import", "in.sarif", "--upload", **settings(small_hub))
            assert result.returncode == 3, result.stderr
            odavl("sync", "queue", "--clear")
        assert stranger.seen == []
        assert small_hub.runs == []
    finally:
        stranger.close()


def test_row_14_ten_thousand_items_are_quick_and_the_next_is_refused(
    odavl: Odavl, home: Path, sarif: Path, queue: UploadQueue, project: Path
) -> None:
    queue.add(item(), io.BytesIO(b"body"))
    for _ in range(9_999):
        each = item()
        (queue.items_folder / f"{each.id}.json").write_text(json.dumps(each._asdict()))
        queue.blob_path(each).write_bytes(b"body")
    assert len(queue.content().items) == 10_000
    seconds, peak = min(_cost(home, project) for _ in range(3))
    unit = yardstick()
    sys.stderr.write(f"\nrow 14: {seconds:.2f} s of processor ({seconds / unit:.1f} yardsticks)")
    sys.stderr.write(f", {peak} MiB\n")
    assert seconds < 4 * unit
    assert peak < 80
    result = odavl(
        "insight", "import", "in.sarif", "--upload", ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY="wrong"
    )  # fmt: skip
    assert result.returncode == 2
    assert "the offline queue is full" in result.stderr.lower()
    assert len(queue.content().items) == 10_000


COST = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "odavl", "sync", "queue"], check=True,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)
"""


def _cost(home: Path, project: Path) -> tuple[float, int]:
    """Seconds of processor and MiB at the peak of one ``odavl sync queue``.

    Asked of a small process: a child's peak begins with that of its parent at the fork.
    """
    result = subprocess.run(
        [sys.executable, "-c", COST],
        cwd=project,
        env=command_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = result.stdout.split()
    return float(seconds), int(peak)


# ── 15, 16: files and names that are traps ───────────────────────────────────


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket"])
def test_row_15_what_is_no_file_is_refused(
    odavl: Odavl, queue: UploadQueue, small_hub: SmallHub, sarif: Path, kind: str
) -> None:
    trap = sarif.with_name("trap.sarif")
    _lay(trap, kind)
    result = odavl("insight", "import", "trap.sarif", "--upload", **settings(small_hub))
    assert result.returncode == 2
    assert "regular file" in result.stderr or "cannot be read" in result.stderr
    for _ in range(3):
        enqueue(odavl, small_hub.address)
    blob, whole, listed = queue.content().items
    queue.blob_path(blob).unlink()
    _lay(queue.blob_path(blob), kind)
    (queue.items_folder / f"{listed.id}.json").unlink()
    _lay(queue.items_folder / f"{listed.id}.json", kind)
    queue.index.unlink()
    _lay(queue.index, kind)
    result = odavl("sync", "process-queue", **settings(small_hub))
    assert result.returncode != 0
    assert [run.key for run in small_hub.runs] == [whole.idempotencyKey]
    assert "Traceback" not in result.stderr
    cleared = odavl("sync", "queue", "--clear")
    assert cleared.returncode in {0, 2}, cleared.stderr


def _lay(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as trap:
            trap.bind(path.name)
        os.chdir(here)
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root makes devices")


def test_row_16_names_cannot_move_the_cursor_or_turn_text_round(
    odavl: Odavl, project: Path, queue: UploadQueue, small_hub: SmallHub
) -> None:
    name = "in\x1b[2J\u202egpj\u2066\x07.sarif"
    (project / name).write_text(SARIF)
    enqueue(odavl, small_hub.address, name)
    queue.add(item(filePath=f"/p/{name}"), io.BytesIO(b"body"))
    seen = [
        odavl("sync", "queue", "-v"),
        odavl("sync", "queue", "--json"),
        odavl("sync", "process-queue", ODAVL_CLOUD_API=small_hub.address, ODAVL_API_KEY="no"),
        odavl("insight", "import", f"{name}.gone", "--upload"),
    ]
    for result in seen:
        for character in "\x1b\u202e\u2066\x07":
            assert character not in result.stdout + result.stderr
    assert "\\u202e" in seen[0].stdout
