"""Locks between real processes, with and without the operating system's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from odavl.hub import leases, locks
from odavl.wire.errors import LocalStorageFailed

WITHOUT_FLOCK = "sys.modules['fcntl'] = None"
NO_LOCKS_HERE = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
HOLD = """
import os, sys
{setup}
from pathlib import Path
from odavl.hub.locks import file_lock
with file_lock(Path(sys.argv[1])) as mine:
    print("held" if mine else "refused", flush=True)
    sys.stdin.readline()
"""
COUNT = """
import sys
{setup}
from pathlib import Path
from odavl.hub.locks import file_lock
counter = Path(sys.argv[1]).with_name("counter")
for _ in range(20):
    with file_lock(Path(sys.argv[1])):
        counter.write_text(str(int(counter.read_text() or 0) + 1))
"""
SETUPS = pytest.mark.parametrize(
    "setup", ["", WITHOUT_FLOCK, NO_LOCKS_HERE], ids=["flock", "no flock", "no locks here"]
)


def start(program: str, setup: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program.format(setup=setup), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@SETUPS
def test_what_many_count_under_a_lock_adds_up(tmp_path: Path, setup: str) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [start(COUNT, setup, tmp_path / "lock") for _ in range(6)]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0] * 6
    assert (tmp_path / "counter").read_text() == "120"
    assert not list(tmp_path.glob("*.lease"))


def test_a_lease_dated_a_day_ahead_is_taken_over_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 1.0)
    path = tmp_path / "lock.lease"
    path.touch()
    tomorrow = time.time() + 86_400
    os.utime(path, (tomorrow, tomorrow))
    with leases.lease(path, wait=False) as mine:
        assert not mine  # its holder may live: then it dates it anew
    with leases.lease(path) as mine:
        assert mine


@pytest.mark.parametrize("setup", [WITHOUT_FLOCK, NO_LOCKS_HERE])
def test_a_lease_refuses_while_it_lives_and_ends_with_its_killed_holder(
    tmp_path: Path, setup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(leases, "LEASE", 1.5)
    path = tmp_path / "lock"
    holder = start(HOLD, setup, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with locks.file_lock(path, wait=False) as mine:
        assert not mine
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert (tmp_path / "lock.lease").exists()
    with locks.file_lock(path) as mine:
        assert mine
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]


def test_a_holder_that_lives_long_keeps_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 2.0)
    monkeypatch.setattr(leases, "BEAT", 0.1)
    path = tmp_path / "lock.lease"
    with leases.lease(path):
        ends = time.monotonic() + 4.5
        while time.monotonic() < ends:
            with leases.lease(path, wait=False) as second:
                assert not second


def test_a_holder_whose_lease_was_broken_does_not_end_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "lock.lease"
    with leases.lease(path):
        os.utime(path, (0, 0))
        with leases.lease(path) as second:
            assert second
            taken = path.lstat().st_ino
        path.touch()
        another = path.lstat().st_ino
    assert path.lstat().st_ino == another
    assert taken


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_cannot_be_locked(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    with pytest.raises((LocalStorageFailed, OSError)), locks.file_lock(path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_network_file_system_is_told_by_its_mount(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:52 / /home rw,noatime shared:9 master:1 - nfs4 server:/home rw,vers=4.2\n"
    )
    assert locks._is_shared(os.makedev(0, 52), str(table))
    assert not locks._is_shared(os.makedev(8, 1), str(table))
    assert not locks._is_shared(os.makedev(9, 9), str(table))
    assert not locks._is_shared(os.makedev(9, 9), str(tmp_path / "none"))
