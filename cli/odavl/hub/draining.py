"""Sending what is queued in passing: a little at once, the rest by a process of its own.

``python -m odavl.hub.draining HOME ADDRESS [new-rights]`` is that process; the key comes through
standard input, where no list of processes shows it. Killed anywhere, it loses nothing: an item is
removed once the hub has it, and what is sent twice is taken once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from odavl.hub.due import is_due
from odavl.hub.queue import QueuedUpload, UploadQueue
from odavl.hub.queue_run import process_queue
from odavl.hub.retry import ONCE
from odavl.hub.transport import HubClient
from odavl.wire import limits
from odavl.wire.errors import OdavlError

SECONDS = 3.0
"""After this much time no further item is begun in passing."""

LARGEST = 256 * limits.KIBIBYTE
"""An item of more bytes on the wire is not begun in passing."""

TIMEOUT = 5.0
"""Seconds for one step of a request that nobody asked for."""

NEW_RIGHTS = "new-rights"


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What came of it. ``due`` were left for want of time, or because they are large."""

    sent: int = 0
    failed: int = 0
    due: int = 0


def drain(
    home: Path,
    address: str,
    token: str,
    *,
    new_rights: bool = False,
    now: Callable[[], float] = time.monotonic,
) -> Drained:
    """Send small items that are due to the hub at ``address``, for about :data:`SECONDS`.

    Gives way to another process that is sending.
    """
    queue = UploadQueue(home)
    due = {
        item.id
        for item in queue.content().items
        if item.hub == address and is_due(item, new_rights=new_rights)
    }
    if not due:
        return Drained()
    ends = now() + SECONDS
    begun = set()

    def choose(item: QueuedUpload) -> bool:
        chosen = item.id in due and item.bodySize <= LARGEST and now() < ends
        if chosen:
            begun.add(item.id)
        return chosen

    with HubClient(address, token=token, policy=ONCE, timeout=TIMEOUT) as client:
        report = process_queue(queue, client, rounds=1, wait=False, choose=choose)
    if report.busy:
        return Drained()
    failed = sum(failure.item.id in begun for failure in report.failures)
    return Drained(sent=report.succeeded, failed=failed, due=len(due - begun))


def drain_in_background(home: Path, address: str, token: str, *, new_rights: bool = False) -> None:
    """Start a process that sends all that is due and ends. Raises :class:`OSError`."""
    # -P: a module of ours must not be looked for in the folder that the command was run in.
    arguments = [sys.executable, "-P", "-m", "odavl.hub.draining", str(home), address]
    process = subprocess.Popen(
        [*arguments, NEW_RIGHTS] if new_rights else arguments,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(token.encode())


def main(arguments: list[str], token: str) -> None:
    """What the process in the background does: one attempt for each item that is due."""
    home, address, *more = arguments
    try:
        with HubClient(address, token=token, policy=ONCE) as client:
            process_queue(
                UploadQueue(Path(home)),
                client,
                rounds=1,
                wait=False,
                choose=lambda item: is_due(item, new_rights=NEW_RIGHTS in more),
            )
    except OdavlError:
        return  # whatever it was, the queue tells it


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.read())
