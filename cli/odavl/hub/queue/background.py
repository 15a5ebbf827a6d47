"""Sending what is queued in passing: a little at once, the rest by a process of its own.

``python -m odavl.hub.queue.background HOME ADDRESS ORGANIZATION [new-rights]`` is that process
(``-`` where the organization is not known); the key comes through standard input, where no list of
processes shows it. Killed anywhere, it loses nothing: an item is removed once the hub has it, and
what is sent twice is taken once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from odavl.hub.queue.schedule import is_due
from odavl.hub.queue.sending import hindrance, process_queue
from odavl.hub.queue.store import QueuedUpload, UploadQueue
from odavl.hub.retry import ONCE
from odavl.hub.transport import STEP_SECONDS, HubClient
from odavl.wire import limits
from odavl.wire.errors import OdavlError

SECONDS = 3.0
"""After this much time no further item is begun in passing."""

LARGEST = 256 * limits.KIBIBYTE
"""An item of more bytes on the wire is not begun in passing."""

TIMEOUT = 5.0
"""Seconds for one step of a request that nobody asked for."""

PATIENT_SECONDS = 30.0
"""As :data:`SECONDS`, after an upload where nobody sits at a terminal: of any size."""

NEW_RIGHTS = "new-rights"
UNKNOWN = "-"


@dataclass(frozen=True, kw_only=True)
class Sender:
    """For whom it goes out. ``new_rights``: what is held may be taken now."""

    home: Path
    address: str
    token: str
    organization_id: str | None = None
    new_rights: bool = False

    def client(self, timeout: float) -> HubClient:
        return HubClient(
            self.address,
            token=self.token,
            organization_id=self.organization_id,
            policy=ONCE,
            timeout=timeout,
        )


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What came of it. ``due`` were left for want of time, or because they are large."""

    sent: int = 0
    failed: int = 0
    due: int = 0


def drain(
    sender: Sender, *, patient: bool = False, now: Callable[[], float] = time.monotonic
) -> Drained:
    """Send small items that are due for about :data:`SECONDS`; ``patient``, of any size and longer.

    Gives way to another process that is sending.
    """
    queue = UploadQueue(sender.home)
    due = [
        item
        for item in queue.content().items
        if item.hub == sender.address and is_due(item, new_rights=sender.new_rights)
    ]
    if not due:
        return Drained()
    ends = now() + (PATIENT_SECONDS if patient else SECONDS)
    begun = set()
    with sender.client(STEP_SECONDS if patient else TIMEOUT) as client:
        ids = {item.id for item in due if hindrance(item, client) is None}

        def choose(item: QueuedUpload) -> bool:
            fits = patient or item.bodySize <= LARGEST
            chosen = item.id in ids and fits and now() < ends
            if chosen:
                begun.add(item.id)
            return chosen

        report = process_queue(queue, client, rounds=1, wait=False, choose=choose)
    if report.busy:
        return Drained()
    failed = sum(failure.item.id in begun for failure in report.failures)
    return Drained(sent=report.succeeded, failed=failed, due=len(ids - begun))


def drain_in_background(sender: Sender) -> None:
    """Start a process that sends all that is due and ends. Raises :class:`OSError`."""
    # -P: a module of ours must not be looked for in the folder that the command was run in.
    arguments = [sys.executable, "-P", "-m", "odavl.hub.queue.background", str(sender.home)]
    arguments += [sender.address, sender.organization_id or UNKNOWN]
    process = subprocess.Popen(
        [*arguments, NEW_RIGHTS] if sender.new_rights else arguments,
        cwd=sender.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if process.stdin is not None:
        with process.stdin as pipe:
            pipe.write(sender.token.encode())


def main(arguments: list[str], token: str) -> None:
    """What the process in the background does: one attempt for each item that is due."""
    home, address, organization, *more = arguments
    sender = Sender(
        home=Path(home),
        address=address,
        token=token,
        organization_id=None if organization == UNKNOWN else organization,
        new_rights=NEW_RIGHTS in more,
    )
    try:
        with sender.client(STEP_SECONDS) as client:
            process_queue(
                UploadQueue(sender.home),
                client,
                rounds=1,
                wait=False,
                choose=lambda item: is_due(item, new_rights=sender.new_rights),
            )
    except OdavlError:
        return  # whatever it was, the queue tells it


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.read())
