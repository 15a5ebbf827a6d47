"""Rows 30, 38 (names) and 47 of what must go wrong without harm: where bytes are kept."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from odavl_hub.launcher.embedded.postgres import DATABASE, ROLE
from storage.objects.interface import MARKS
from storage.objects.tickets import Sealer, Ticket
from tests.client.fixtures import command_environment
from tests.faults.hub_at_work import cursor_on, payload
from tests.faults.storage.failing_store import FailingStore
from tests.hub_process import HubProcess
from tests.object_servers import BUCKET, SwiftServer, Unavailable

pytestmark = [pytest.mark.end_to_end]
SECRET = "a secret of this test alone " * 3
PICTURE = b"\x89PNG\r\n" + bytes(range(256)) * 300
SHA256 = hashlib.sha256(PICTURE).hexdigest()


class Session:
    """One hub, a key for it, and the real command line."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.home = folder / "home"
        (folder / "tree").mkdir()
        # The first analysis signs the hub's own home in.
        analyze = ("--analyze", str(folder / "tree"))
        self.hub = HubProcess(folder / "data", *analyze, SECRET_KEY=SECRET, **environment)
        try:
            self.hub.wait_until_serving()
            self.hub.wait_for(r"/runs/[0-9a-f-]{36}/")
            made = self.odavl("keys", "create", "faults", "--scopes", "all", "--json")
            self.key = json.loads(made.stdout)["key"]
        except BaseException:
            self.hub.kill_all()
            raise
        self.http = httpx.Client(
            base_url=f"{self.hub.url}/api/v1",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=300,
            trust_env=False,
        )

    def odavl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "odavl", *arguments, "--hub", self.hub.url],
            cwd=self.home.parent,
            env=command_environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )

    def announce(self, **fields: Any) -> dict[str, Any]:
        body = {"fileName": "a.png", "contentType": "image/png", "size": len(PICTURE)} | fields
        answer = self.http.post("/storage/upload-url", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def settled(self, file_id: str) -> dict[str, Any]:
        return dict(self.http.get("/storage/upload-url", params={"fileId": file_id}).json())

    def upload(self, body: bytes) -> int:
        """The status of the answer to one payload."""
        metadata = urlsafe_b64encode(b'{"projectName":"shop","branch":"main"}').decode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "gzip",
            "X-Odavl-Type": "analysis-results",
            "X-Odavl-Metadata": metadata,
        }
        return self.http.post("/upload/insight", content=body, headers=headers).status_code

    @property
    def database_url(self) -> str:
        sockets = quote(str(self.hub.data / "postgres" / "run"), safe="")
        return f"postgresql://{ROLE}@{sockets}/{DATABASE}"

    def runs(self) -> list[dict[str, Any]]:
        answer = self.http.get("/insight/runs", params={"project": "shop"})
        return list(answer.json()["items"]) if answer.status_code == 200 else []

    def close(self) -> None:
        self.http.close()
        self.hub.kill_all()


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def start(**environment: str) -> Session:
        folder = tmp_path_factory.mktemp("hub")
        sessions.append(Session(folder, **environment))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


@pytest.fixture
def swift() -> Iterator[SwiftServer]:
    try:
        server = SwiftServer()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture
def failing(swift: SwiftServer) -> Iterator[FailingStore]:
    relay = FailingStore(swift.url)
    yield relay
    relay.close()


def send(announced: dict[str, Any], data: bytes, **headers: str) -> httpx.Response:
    return httpx.put(
        announced["uploadUrl"],
        content=data,
        headers={**announced["headers"], **headers},
        trust_env=False,
        timeout=300,
    )


def sarif(folder: Path, results: int = 3_000) -> Path:
    """A document that does not compress to what a database row may hold."""
    found = [
        {
            "ruleId": "R1",
            "message": {"text": hashlib.sha512(str(number).encode()).hexdigest()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": f"src/{number}.py"},
                        "region": {"startLine": 1},
                    }
                }
            ],
        }
        for number in range(results)
    ]
    document = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "Elsewhere"}}, "results": found}],
    }
    path = folder / "results.sarif"
    path.write_text(json.dumps(document))
    return path


def test_row_30_signed_addresses_take_what_they_were_signed_for(
    started: Callable[..., Session],
) -> None:
    session = started()
    announced = session.announce(sha256=SHA256)
    wrong = {
        "payload_too_large": send(announced, PICTURE + b"x"),
        "invalid_payload": send(announced, PICTURE[:-1]),
        "digest_mismatch": send(announced, PICTURE[::-1]),
        "unsupported_media_type": send(announced, PICTURE, **{"Content-Type": "text/html"}),
    }
    assert {code: answer.json()["code"] for code, answer in wrong.items()} == {
        code: code for code in wrong
    }
    # What this hub itself signed, an hour ago.
    organization = session.http.get("/auth/whoami").json()["organization"]["id"]
    key = f"incoming/{organization}/{announced['fileId']}"
    old = Ticket("put", key, int(time.time()) - 1, len(PICTURE), "image/png", SHA256)
    ticket = Sealer(SECRET).seal(old)
    head = announced["uploadUrl"].rpartition("/")[0]
    expired = send(announced | {"uploadUrl": f"{head}/{ticket}"}, PICTURE)
    assert (expired.status_code, expired.json()["code"]) == (403, "signed_url_expired")
    forged = send(announced | {"uploadUrl": announced["uploadUrl"][:-3] + "AAA"}, PICTURE)
    assert forged.json()["code"] == "signed_url_refused"
    assert session.settled(announced["fileId"])["state"] == "pending"
    # The client asks for a new address and goes on.
    assert send(session.settled(announced["fileId"]), PICTURE).status_code == 201
    assert session.settled(announced["fileId"])["state"] == "stored"
    objects = files_below(session.hub.data / "objects")
    assert [path.read_bytes() for path in objects] == [PICTURE], "one object, and nothing half"


def test_row_30_the_same_with_s3_behind(
    started: Callable[..., Session], swift: SwiftServer
) -> None:
    session = started(**swift.environment())
    announced = session.announce(sha256=SHA256)
    assert announced["uploadUrl"].startswith(swift.url)
    for data, headers in (
        (PICTURE + b"x", {}),
        (PICTURE[::-1], {}),
        (PICTURE, {"Content-Type": "text/html"}),
    ):
        assert send(announced, data, **headers).status_code in (400, 403)
    assert session.settled(announced["fileId"])["state"] == "pending"
    assert send(announced, PICTURE).status_code == 200
    assert session.settled(announced["fileId"])["state"] == "stored"
    # The address is still good for S3, but what it writes is never shown.
    assert send(announced, PICTURE).status_code == 200
    (kept,) = [each for each in listed(swift) if not each.startswith("incoming/")]
    assert kept.endswith(announced["fileId"])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/cron.d/evil.txt", "evil.txt"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\system32\\evil.txt", "evil.txt"),
        ("a\x00b.txt", "ab.txt"),
        ("..", "file"),
        (".bashrc", "bashrc"),
        ("con.txt", "_con.txt"),
        ("invoice\u202etxt.exe", "invoicetxt.exe"),
        ("line\r\nSet-Cookie: a=b.txt", "lineSet-Cookie_ a=b.txt"),
        ('quo"te.txt', "quo_te.txt"),
        ("ä" * 400 + ".tar", "ä" * 98 + ".tar"),
    ],
)
def test_row_38_names_lead_nowhere(names_hub: Session, name: str, kept: str) -> None:
    announced = names_hub.announce(fileName=name, contentType="text/plain", size=2)
    described = names_hub.http.get(f"/storage/files/{announced['fileId']}").json()
    assert described["name"] == kept
    assert send(announced, b"ok").status_code == 201
    assert names_hub.settled(announced["fileId"])["state"] == "stored"
    wanted = {"fileId": announced["fileId"]}
    url = names_hub.http.get("/storage/download-url", params=wanted).json()["downloadUrl"]
    answer = httpx.get(url, trust_env=False)
    assert answer.content == b"ok"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="')
    assert "Set-Cookie" not in answer.headers
    strangers = [
        path
        for path in names_hub.hub.data.parent.rglob("*")
        if path.is_file() and path.name in (kept, "evil.txt", "passwd")
    ]
    assert strangers == [], "no file is ever called what a client calls it"


@pytest.fixture(scope="module")
def names_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(tmp_path_factory.mktemp("names"))
    yield session
    session.close()


def test_row_47_a_store_that_fails_now_and_then_is_tried_again(
    started: Callable[..., Session], swift: SwiftServer, failing: FailingStore, tmp_path: Path
) -> None:
    session = started(**swift.environment(failing.url))
    failing.faults.extend(("slow-down", "error", "answer-lost"))
    done = session.odavl("insight", "import", str(sarif(tmp_path)), "--upload", "--project", "shop")
    assert done.returncode == 0, done.stderr
    assert len(failing.puts) == 4, "three that failed, one that did not"
    assert len(set(failing.puts)) == 1
    (run,) = session.runs()
    assert run["counts"]["total"] == 3_000
    (key,) = listed(swift)
    payload = session.http.get(f"/insight/runs/{run['id']}").json()["payload"]
    lying = swift.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert hashlib.sha256(gzip.decompress(lying)).hexdigest() == payload["sha256"]


def test_row_47_a_store_that_stays_away_is_told_and_nothing_is_lost(
    started: Callable[..., Session], swift: SwiftServer, failing: FailingStore, tmp_path: Path
) -> None:
    session = started(**swift.environment(failing.url))
    failing.always = "error"
    path = sarif(tmp_path)
    queued = session.odavl("insight", "import", str(path), "--upload", "--project", "shop")
    assert queued.returncode == 3, queued.stderr
    assert (session.runs(), listed(swift)) == ([], [])
    failing.always = ""
    deadline = time.monotonic() + 600  # the hub's Retry-After is obeyed, so not at once
    while (sent := session.odavl("sync", "process-queue")).returncode != 0:
        assert time.monotonic() < deadline, sent.stderr
    assert [run["counts"]["total"] for run in session.runs()] == [3_000]
    assert len(listed(swift)) == 1


def test_row_47_a_store_that_takes_long_keeps_nobody_else_waiting(
    started: Callable[..., Session], swift: SwiftServer, failing: FailingStore
) -> None:
    """No transaction is open and nothing is locked while it has not answered."""
    session = started(WEB_WORKERS="1", WEB_THREADS="3", **swift.environment(failing.url))
    body, other = payload(tag="slow"), payload(tag="other")
    failing.faults.append("hold")
    with ThreadPoolExecutor(2) as sending:
        first = sending.submit(session.upload, body)
        deadline = time.monotonic() + 120
        while not failing.puts:
            assert time.monotonic() < deadline
        with cursor_on(session.database_url) as cursor:
            cursor.execute(
                "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
                " AND state = 'idle in transaction' AND query LIKE '%%object%%'"
            )
            assert cursor.fetchall() == []
            cursor.execute(
                "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND state LIKE 'idle%%'"
                " AND query LIKE '%%storedobject%%'"
            )
            assert cursor.fetchall() == []
        assert sending.submit(session.upload, body).result(120) in {201, 202}, "the same content"
        assert session.upload(other) in {201, 202}
        assert session.http.get("/projects").status_code == 200
        failing.may_go_on.set()
        assert first.result(120) in {201, 202}
    assert len(listed(swift)) == 2, "of the same content there is one object"


def test_row_47_a_full_disk_is_507_and_what_waits_arrives_once_there_is_room(
    started: Callable[..., Session], tmp_path: Path
) -> None:
    session = started()
    objects = session.hub.data / "objects"
    objects.mkdir(exist_ok=True)
    with SmallDisk(objects) as grow:
        announced = session.announce()
        full = send(announced, PICTURE)
        assert (full.status_code, full.json()["code"]) == (507, "storage_full")
        assert full.json()["retryable"] is True
        path = sarif(tmp_path)
        queued = session.odavl("insight", "import", str(path), "--upload", "--project", "shop")
        assert queued.returncode == 3, queued.stderr
        assert "full" in queued.stderr
        assert session.runs() == []
        assert files_below(objects) == [], "nothing half"
        grow()
        assert send(announced, PICTURE).status_code == 201
        assert session.settled(announced["fileId"])["state"] == "stored"
        sent = session.odavl("sync", "process-queue")
        assert sent.returncode == 0, sent.stderr
        assert [run["counts"]["total"] for run in session.runs()] == [3_000]
        session.hub.stop()


def listed(swift: SwiftServer) -> list[str]:
    """Without the hub's mark."""
    found = swift.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [each["Key"] for each in found if not each["Key"].startswith(MARKS)]


def files_below(folder: Path) -> list[Path]:
    """Without the hub's mark."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if path.parent != folder / MARKS]


class SmallDisk:
    """A file system of 40 KiB at ``folder``; entering gives what makes it large.

    The hub's mark lies there, too: without it nothing would be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Callable[[], None]:
        if sys.platform != "linux" or shutil.which("mount") is None or os.geteuid() != 0:
            pytest.skip("a small file system can be mounted by root on Linux only")
        marks = [path.name for path in (self.folder / MARKS).glob("*")]
        if self._mount("size=40k") != 0:
            pytest.skip("this machine lets nobody mount a file system (no CAP_SYS_ADMIN)")
        (self.folder / MARKS).mkdir()
        for name in marks:
            (self.folder / MARKS / name).touch()
        return self._grow

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).umount2(str(self.folder).encode(), 2)  # MNT_DETACH

    def _mount(self, options: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode

    def _grow(self) -> None:
        assert self._mount("remount,size=64m") == 0
