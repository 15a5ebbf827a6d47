"""``killed_at_each_call.py HOME ADD|SEND|SET ASIDE``: kill a program at each of its system calls.

The work runs in a forked child that is traced (ptrace): it stops at every system call's entry and
exit, and at the n-th stop it is killed with SIGKILL. For n = 1, 2, 3, … until it comes to its end;
after each death the queue is looked at, and must hold whole items only. Prints the number of calls.
Exit code 77: nobody may trace here.
"""

from __future__ import annotations

import ctypes
import io
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue

TRACE_ME, SYSCALL, SET_OPTIONS = 0, 24, 0x4200
EXIT_KILL = 0x100000
NO_TRACING = 77
BODY = b"body" * 100
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")


def item() -> QueuedUpload:
    return QueuedUpload(
        id=new_item_id(),
        product="insight",
        type="sarif",
        filePath="x",
        metadata={},
        hub="http://hub",
        idempotencyKey="key",
        encoding="identity",
        size=len(BODY),
        bodySize=len(BODY),
        sha256="",
        createdAt=timestamp(),
    )


def add(queue: UploadQueue) -> None:
    queue.add(item(), io.BytesIO(BODY))


def send(queue: UploadQueue) -> None:
    """What a sender does with one item that fails and one that succeeds."""
    with queue.sending(wait=True):
        first, second = queue.content().items[:2]
        queue.update(first._replace(attempts=first.attempts + 1))
        queue.remove(second)


def set_aside(queue: UploadQueue) -> None:
    queue.content()


def killed_at(number: int, work: object, queue: UploadQueue) -> bool:
    """Whether the child died at its ``number``-th stop; False where it ended before."""
    child = os.fork()
    if child == 0:
        if libc.ptrace(TRACE_ME, 0, None, None) != 0:
            os._exit(NO_TRACING)
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            work(queue)
        except Exception:  # noqa: BLE001 - the child ends here whatever it was, and tells
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        say(f"ptrace: {os.WEXITSTATUS(status)}")
        sys.exit(NO_TRACING)
    libc.ptrace(SET_OPTIONS, child, None, EXIT_KILL)
    for _ in range(number):
        if libc.ptrace(SYSCALL, child, None, None) != 0:
            say(f"ptrace: {os.strerror(ctypes.get_errno())}")
            os.kill(child, signal.SIGKILL)
            sys.exit(NO_TRACING)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def filled(home: Path, act: str) -> tuple[UploadQueue, set[str]]:
    """A queue with three items, one of them damaged where that is the matter."""
    shutil.rmtree(home, ignore_errors=True)
    queue = UploadQueue(home)
    items = [queue.add(item(), io.BytesIO(BODY)) for _ in range(3)]
    if act == "set aside":
        (queue.items_folder / f"{items[2].id}.json").write_bytes(b"?")
        queue.index.unlink()
    return queue, {each.id for each in items}


def check(queue: UploadQueue, before: set[str], act: str) -> None:
    content = queue.content()
    found = {each.id for each in content.items}
    assert len(found) == len(content.items)
    for each in content.items:
        assert queue.blob_path(each).read_bytes() == BODY
    if act == "add":
        assert before <= found
        assert len(found - before) <= 1
    elif act == "send":
        assert found <= before
        assert len(before - found) <= 1
    else:
        assert len(found) == 2
        (name,) = content.quarantined
        snapshot = queue.quarantine / name.replace(".json", ".snapshot")
        assert snapshot.read_bytes() == BODY
    # Once more, with nobody at work: the index agrees, and nothing half-made is left.
    queue.index.unlink(missing_ok=True)
    assert {each.id for each in queue.content().items} == found
    assert not list(queue.folder.rglob(".new-*"))
    assert {path.name for path in queue.blobs_folder.iterdir()} == found


def main() -> None:
    home, act = Path(sys.argv[1]), sys.argv[2]
    work = {"add": add, "send": send, "set aside": set_aside}[act]
    stops = 1
    while True:
        queue, before = filled(home, act)
        died = killed_at(stops, work, queue)
        check(queue, before, act)
        if not died:
            break
        stops += 1
    say(stops // 2)


main()
