"""One client of a soak, as a program of its own: uploads its share, then empties its queue.

It does what the command line does, with the same code; one in some goes through the command line
itself. Every claim is checked at once: what is "stored" can be read, what is "queued" is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from odavl.hub.queue.items import QueuedUpload
from odavl.hub.queue.sending import process_queue
from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import RetryPolicy
from odavl.hub.transfer.upload import LARGEST_ENVELOPED
from odavl.hub.transport import HubClient
from odavl.hub.uploads import Destination, upload
from odavl.wire.envelope import UploadMetadata
from odavl.wire.errors import OdavlError
from odavl.wire.limits import CHUNK_SIZE
from tests.client.fixtures import command, command_environment
from tests.faults.soak.journal import Ended, Told, write
from tests.faults.soak.payloads import Payload, document, plan, sarif

_PATIENT = RetryPolicy(attempts=20, base=0.5, cap=5)
"""For the check of a claim: the hub may be down just then."""

_DRAIN_SECONDS = 300
_COMMAND_SECONDS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """What a client must know; ``turn`` of ``clients`` says which payloads are its own."""

    url: str
    key: str
    folder: str
    seed: int
    payloads: int
    clients: int
    turn: int


@dataclass
class Client:
    orders: Orders
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.folder = Path(self.orders.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = self.folder / "home"
        self.journal = self.folder / "journal.jsonl"
        self.queue = UploadQueue(self.home)

    def send_all(self) -> None:
        """The client's own payloads, one after the other."""
        planned = plan(self.orders.payloads, self.orders.seed)
        for payload in planned[self.orders.turn :: self.orders.clients]:
            started = time.monotonic()
            told = self._by_command(payload) if payload.by_command else self._by_library(payload)
            seconds = round(time.monotonic() - started, 3)
            write(self.journal, replace(told, seconds=seconds))

    def drain(self) -> None:
        """Send what is queued, as ``odavl sync process-queue`` does, until nothing is left."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while (items := self.queue.content().items) and time.monotonic() < deadline:
            with HubClient(self.orders.url, token=self.orders.key) as client:
                process_queue(self.queue, client)
        content = self.queue.content()
        left = [*(_described(item) for item in items), *content.newer, *content.quarantined]
        write(
            self.journal,
            Ended(left=left, answers=dict(self.answers), peak_mebibytes=_peak_mebibytes()),
        )

    def _by_library(self, payload: Payload) -> Told:
        body = document(payload, self.orders.seed)
        destination = Destination(
            address=self.orders.url, token=self.orders.key, organization_id=None, home=self.home
        )
        metadata = UploadMetadata(project_name=payload.project, branch=payload.branch)
        result = upload(
            destination, "insight", "analysis-results", body, metadata=metadata, wait=payload.waits
        )
        return self._told(payload, body, result.document())

    def _by_command(self, payload: Payload) -> Told:
        log, printed = self.folder / "log.sarif", self.folder / "printed.json"
        log.write_bytes(sarif(payload, self.orders.seed))
        environment = command_environment(
            self.home, ODAVL_CLOUD_API=self.orders.url, ODAVL_API_KEY=self.orders.key
        )
        done = subprocess.run(
            command("insight", "import", str(log), "--upload", "--project", payload.project,
                    "--branch", payload.branch, "--json", "--output", str(printed),
                    "--format", "json", *(() if payload.waits else ("--no-wait",))),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )  # fmt: skip
        # What it printed is what it sent, put on lines.
        body = msgspec.json.format(printed.read_bytes(), indent=-1)
        sent = json.loads(done.stdout)["upload"]
        told = self._told(payload, body, sent)
        expected = 0 if sent["success"] else 3
        if done.returncode != expected:
            how = f"exit {done.returncode}, not {expected}: {done.stderr[-300:]}"
            return replace(told, broken=told.broken or how)
        return told

    def _told(self, payload: Payload, body: bytes, sent: dict[str, Any]) -> Told:
        told = Told(
            number=payload.number,
            sha256=hashlib.sha256(body).hexdigest(),
            size=len(body),
            way=_way(body),
            state=sent["state"],
            code=(sent["error"] or {}).get("code", ""),
            upload_id=sent["uploadId"],
            run_id=sent["runId"],
        )
        try:
            broken = self._broken_promise(told, is_queued=sent["queued"])
        except OdavlError as error:
            broken = f"{told.state}, and asking for it fails: {error.code} {error}"
        return replace(told, broken=broken)

    def _broken_promise(self, told: Told, *, is_queued: bool) -> str:
        """What is not as the client was told; empty where all is."""
        if told.state == "stored":
            run = self._asked(f"/insight/runs/{told.run_id}")
            if (run["state"], run["payload"]["sha256"]) != ("completed", told.sha256):
                return f"stored, and its run is {run['state']} with {run['payload']}"
        elif told.state == "processing":
            self._asked(f"/upload/insight/{told.upload_id}")
        elif told.state == "queued" and is_queued:
            return self._broken_item(told)
        else:
            return f"{told.state}: {told.code}"
        return ""

    def _asked(self, path: str) -> dict[str, Any]:
        with HubClient(self.orders.url, token=self.orders.key, policy=_PATIENT) as client:
            found: dict[str, Any] = json.loads(client.get(path).body)
            return found

    def _broken_item(self, told: Told) -> str:
        for item in self.queue.content().items:
            if item.sha256 == told.sha256:
                body = self.queue.blob_path(item).read_bytes()
                plain = zlib.decompress(body, 31) if item.encoding == "gzip" else body
                same = hashlib.sha256(plain).hexdigest() == told.sha256
                return "" if same else "queued, and its snapshot is another"
        return "queued, and not in the queue"


def _way(body: bytes) -> str:
    if len(body) > CHUNK_SIZE:
        return "chunks"
    return "envelope" if len(zlib.compress(body, 1)) <= LARGEST_ENVELOPED else "raw"


def _described(item: QueuedUpload) -> str:
    return f"{item.id} {item.state} after {item.attempts} attempts: {item.lastError}"


def _peak_mebibytes() -> int:
    # Not getrusage: it counts what the parent held when it forked.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


class _Answers(logging.Handler):
    """Counts the answers by status: HTTPX notes each of them."""

    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()
        self._counted = counted
        self._lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == _PARTS_OF_A_NOTE:
            with self._lock:
                self._counted[str(record.args[3])] += 1


_PARTS_OF_A_NOTE = 5  # method, address, protocol, status, reason


def main() -> None:
    client = Client(Orders(**json.loads(sys.argv[1])))
    noted = logging.getLogger("httpx")
    noted.setLevel(logging.INFO)
    noted.addHandler(_Answers(client.answers))
    client.send_all()
    sys.stdout.write("sent\n")
    sys.stdout.flush()
    sys.stdin.readline()  # once nothing is killed any more
    client.drain()


if __name__ == "__main__":
    main()
