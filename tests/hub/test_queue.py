from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from odavl.hub.queue import store as queue_module
from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue
from odavl.wire.errors import LocalStorageFailed, QueueFull


def item(**changes: object) -> QueuedUpload:
    made = QueuedUpload(
        id=new_item_id(),
        product="insight",
        type="analysis-results",
        filePath="/p/.odavl/problems-panel-export.json",
        metadata={"projectName": "shop"},
        hub="http://hub",
        idempotencyKey="key",
        encoding="identity",
        size=4,
        bodySize=4,
        sha256="0" * 64,
        createdAt=timestamp(),
    )
    return made._replace(**changes)


def put(queue: UploadQueue, **changes: object) -> QueuedUpload:
    return queue.add(item(**changes), io.BytesIO(b"body"))


@pytest.fixture
def queue(home: Path) -> UploadQueue:
    return UploadQueue(home)


def modes(folder: Path) -> set[tuple[bool, int]]:
    return {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [folder, *folder.rglob("*")]
    }


def test_looking_makes_nothing(queue: UploadQueue, home: Path) -> None:
    assert queue.content() == ([], [], [])
    assert queue.clear() == 0
    assert not home.exists()


def test_an_item_is_kept_with_its_snapshot(queue: UploadQueue, home: Path) -> None:
    added = put(queue)
    assert UploadQueue(home).content().items == [added]
    assert queue.blob_path(added).read_bytes() == b"body"
    assert modes(home) == {(True, 0o700), (False, 0o600)}


def test_the_index_has_the_documented_shape(queue: UploadQueue) -> None:
    put(queue)
    document = json.loads(queue.index.read_bytes())
    assert document["version"] == 1
    assert document["items"][0].keys() >= {
        "id", "product", "type", "filePath", "metadata", "attempts", "createdAt",
        "lastAttemptAt", "nextAttemptAt", "lastError",
    }  # fmt: skip


@pytest.mark.parametrize("damage", [b"", b"\0" * 500, b"{]", b"[]", b'{"version": 1}', b"null"])
def test_a_damaged_index_is_rebuilt(queue: UploadQueue, damage: bytes) -> None:
    added = [put(queue), put(queue)]
    queue.index.write_bytes(damage)
    assert queue.content().items == added
    assert len(json.loads(queue.index.read_bytes())["items"]) == 2


def test_a_lost_index_is_rebuilt_by_the_next_add(queue: UploadQueue) -> None:
    first = put(queue)
    queue.index.unlink()
    second = put(queue)
    assert queue.content().items == [first, second]


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 99, b'{"version": 1}', b"[]"])
def test_a_damaged_item_is_set_aside_with_its_snapshot(queue: UploadQueue, content: bytes) -> None:
    good, bad = put(queue), put(queue)
    (queue.items_folder / f"{bad.id}.json").write_bytes(content)
    queue.index.unlink()
    for _ in range(2):
        assert queue.content() == ([good], [], [f"{bad.id}.json"])
    assert (queue.quarantine / f"{bad.id}.json").read_bytes() == content
    assert (queue.quarantine / f"{bad.id}.snapshot").read_bytes() == b"body"
    assert [path.name for path in queue.blobs_folder.iterdir()] == [good.id]
    assert modes(queue.quarantine) == {(True, 0o700), (False, 0o600)}
    assert queue.clear() == 2
    assert list(queue.quarantine.iterdir()) == []


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "other name"])
def test_what_is_no_items_file_is_set_aside(queue: UploadQueue, home: Path, kind: str) -> None:
    good, bad = put(queue), put(queue)
    path = queue.items_folder / f"{bad.id}.json"
    elsewhere = home / "elsewhere.json"
    if kind == "other name":
        path = path.rename(queue.items_folder / "copy.json")
    else:
        path.rename(elsewhere)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(elsewhere)
    queue.index.unlink()
    assert queue.content() == ([good], [], [path.name])
    assert queue.clear() == 2
    assert queue.content() == ([], [], [])


def test_an_item_of_a_newer_version_is_named_and_left_alone(queue: UploadQueue) -> None:
    good = put(queue)
    newer = queue.items_folder / f"{new_item_id()}.json"
    newer.write_text('{"version": 2, "payload": "its-own-name"}')
    newer.chmod(0o600)
    its_own = queue.blobs_folder / "its-own-name"
    its_own.write_bytes(b"theirs")
    for _ in range(2):
        assert queue.content() == ([good], [newer.name], [])
    put(queue)
    with queue.sending(wait=True):
        queue.remove(good)
    assert newer.read_text().startswith('{"version": 2')
    assert its_own.read_bytes() == b"theirs"
    assert json.loads(queue.index.read_bytes())["newer"] == [newer.name]


SHORT_OF_FILES = """
import resource, sys
from pathlib import Path
from odavl.hub.queue.store import UploadQueue
from odavl.wire.errors import LocalStorageFailed
queue = UploadQueue(Path(sys.argv[1]))
failures = 0
for most in range(3, 12):
    queue.index.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, 4096))
    try:
        assert len(queue.content().items) == 1
    except (LocalStorageFailed, OSError):
        failures += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
print(failures)
"""


def test_what_we_cannot_open_for_want_of_files_is_not_damaged(
    queue: UploadQueue, home: Path
) -> None:
    put(queue)
    result = run(SHORT_OF_FILES, home)
    assert result.returncode == 0, result.stderr
    assert 0 < int(result.stdout) < 9
    assert not queue.quarantine.exists()


def test_wide_modes_are_tightened(queue: UploadQueue, home: Path) -> None:
    put(queue)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    queue.content()
    assert modes(queue.items_folder) == {(True, 0o700), (False, 0o600)}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_queue_that_leads_elsewhere_is_refused(queue: UploadQueue, home: Path) -> None:
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    home.mkdir()
    queue.folder.symlink_to(elsewhere)
    with pytest.raises(LocalStorageFailed, match="not a folder"):
        put(queue)
    assert list(elsewhere.iterdir()) == []


def test_a_file_in_the_homes_place_is_refused(queue: UploadQueue, home: Path) -> None:
    home.write_text("")
    with pytest.raises(LocalStorageFailed):
        put(queue)


def test_the_limits_hold(queue: UploadQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    put(queue)
    monkeypatch.setattr(queue_module, "MAX_ITEMS", 1)
    with pytest.raises(QueueFull, match="1 uploads"):
        put(queue)
    monkeypatch.setattr(queue_module, "MAX_ITEMS", 9)
    monkeypatch.setattr(queue_module, "MAX_BYTES", 7)
    with pytest.raises(QueueFull, match="7 bytes"):
        put(queue)
    assert len(queue.content().items) == 1
    assert len(list(queue.blobs_folder.iterdir())) == 1


def test_a_full_disk_leaves_the_old_queue_intact(home: Path) -> None:
    queue = UploadQueue(home)
    kept = put(queue)
    program = ADD.replace("import io", "import io, resource, signal")
    limit = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2, 2));"
    )
    result = run(program.replace("#LIMIT", limit), home)
    assert result.returncode == 1
    assert "LocalStorageFailed" in result.stderr
    assert queue.content().items == [kept]
    assert [path.name for path in queue.blobs_folder.iterdir()] == [kept.id]


def test_clearing_leaves_nothing(queue: UploadQueue) -> None:
    put(queue)
    bad = put(queue)
    (queue.items_folder / f"{bad.id}.json").write_bytes(b"?")
    assert queue.clear() == 2
    assert queue.content().items == []
    assert list(queue.blobs_folder.iterdir()) == []


def test_an_update_does_not_bring_back_what_was_cleared(queue: UploadQueue) -> None:
    added = put(queue)
    queue.clear()
    queue.update(added)
    assert queue.content().items == []


ADD = """
import io, sys
from pathlib import Path
from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue
#LIMIT
item = QueuedUpload(id=new_item_id(), product="insight", type="sarif", filePath="x", metadata={},
    hub="http://hub", idempotencyKey="key", encoding="identity", size=4, bodySize=4, sha256="",
    createdAt=timestamp())
UploadQueue(Path(sys.argv[1])).add(item, io.BytesIO(b"body"))
"""


def run(program: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(home), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_twenty_processes_that_enqueue_at_once_lose_nothing(home: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", ADD, str(home)]) for _ in range(20)]
    assert [process.wait(300) for process in processes] == [0] * 20
    queue = UploadQueue(home)
    assert len(queue.content().items) == 20
    assert len(json.loads(queue.index.read_bytes())["items"]) == 20


# Dies by SIGKILL just before its n-th system call that opens, syncs, renames or removes: Python's
# audit hooks and a wrapped fsync see all of those.
DIE = """
import os, signal
left = [int(sys.argv[2])]
def step(*_):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
def hook(event, arguments):
    if event in ("os.rename", "os.remove", "os.mkdir", "open"):
        if any(sys.argv[1] in str(each) for each in arguments):
            step()
fsync = os.fsync
os.fsync = lambda descriptor: (step(), fsync(descriptor))[1]
sys.addaudithook(hook)
"""


def test_killed_at_any_step_an_enqueue_leaves_the_whole_item_or_none(home: Path) -> None:
    program = ADD.replace("#LIMIT", DIE)
    queue = UploadQueue(home)
    kept = put(queue)
    deaths = 0
    for step in range(60):
        before = len(queue.content().items)
        result = run(program, home, str(step))
        items = queue.content().items
        assert kept in items
        assert len(items) - before in {0, 1}
        assert all(queue.blob_path(each).read_bytes() == b"body" for each in items)
        if result.returncode == 0:
            assert len(items) == before + 1
            break
        assert result.returncode == -signal.SIGKILL
        deaths += 1
    assert deaths >= 10
    queue.index.unlink()
    queue.content()
    leftovers = [path for path in queue.folder.rglob("*") if path.name.startswith(".new-")]
    assert leftovers == []
    assert {path.name for path in queue.blobs_folder.iterdir()} == {
        each.id for each in queue.content().items
    }


def test_ten_thousand_items_are_listed_from_the_index(queue: UploadQueue) -> None:
    put(queue)
    items = [item() for _ in range(9_999)]
    for each in items:
        (queue.items_folder / f"{each.id}.json").write_text(json.dumps(each._asdict()))
    assert len(queue.content().items) == 10_000
    opened: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(queue.items_folder) in str(arguments[0]):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    assert len(queue.content().items) == 10_000
    assert opened == []


def test_a_stale_index_is_rebuilt_when_its_sender_died(queue: UploadQueue, home: Path) -> None:
    added = put(queue)
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from odavl.hub.queue.store import UploadQueue\n"
        "queue = UploadQueue(Path(sys.argv[1]))\n"
        "with queue.sending(wait=True):\n"
        "    queue.update(queue.content().items[0]._replace(attempts=7))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run(program, home).returncode == -signal.SIGKILL
    assert queue.content().items == [added._replace(attempts=7)]
    assert json.loads(queue.index.read_bytes())["items"][0]["attempts"] == 7
    assert not (queue.folder / "index.stale").exists()
