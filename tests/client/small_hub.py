"""A small hub over a real socket, that speaks the wire's types and can be told to misbehave.

The real hub is tested end to end elsewhere; this one does what no real one does on demand: cut a
connection, lose an answer, answer with a proxy's page.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from odavl.wire.envelope import (
    Envelope,
    UploadAccepted,
    UploadMetadata,
    UploadOptions,
    UploadStatus,
    UploadStored,
)
from odavl.wire.errors import NotAuthenticated, NotFound, OdavlError, TransferExpired, WrongScope
from odavl.wire.problem import CONTENT_TYPE, problem_of
from odavl.wire.transfer import ChunkStored, TransferEnd, TransferRequest, TransferStarted

TOKEN = "odavl_live_0123456789abcdefghijklmnopqrst012345"
KEY = {"id": "key-1", "name": "laptop", "scopes": ["insight:write"]}
ORGANIZATION = {"id": "org-1", "slug": "acme", "name": "Acme"}

JOB = {
    "id": "job-1", "type": "ingest", "state": "waiting", "queue": "interactive",
    "priority": "normal", "progress": 0, "attempts": 0, "maxRetries": 3,
    "createdAt": "2026-11-01T00:00:00Z", "runAt": "2026-11-01T00:00:00Z",
}  # fmt: skip
JOBS = {"items": [JOB], "statistics": {"byState": {}, "byType": {}}}
REVISION = {"projectId": "p-1", "revision": 0}
LATER = "2030-01-01T00:00:00Z"


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """One run: what was uploaded."""

    key: str | None
    type: str
    payload: bytes
    metadata: UploadMetadata
    token: str = ""
    """The key that brought it."""


Fault = Callable[["Handler"], bool]
"""Misbehave; gives whether that was all, or the request is still to be answered rightly."""


def cut(handler: Handler) -> bool:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def answer(reply: Reply) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.write(reply)
        return True

    return fault


def problem(error: OdavlError, **headers: str) -> Fault:
    reply = problem_reply(error)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(Reply(reply.status, reply.body, {**reply.headers, **more}))


def html(status: int) -> Fault:
    page = b"<html><body>Sign in to our network</body></html>"
    return answer(Reply(status, page, {"Content-Type": "text/html"}))


def lose_answer(handler: Handler) -> bool:
    """Do the work, then cut the connection instead of answering."""
    handler.hub.reply(handler.seen)
    return cut(handler)


def problem_reply(error: OdavlError) -> Reply:
    body = msgspec.json.encode(problem_of(error, "request-1"))
    return Reply(int(error.status), body, {"Content-Type": CONTENT_TYPE})


def json_reply(document: Any, status: int = 200) -> Reply:
    return Reply(status, msgspec.json.encode(document), {"Content-Type": "application/json"})


class SmallHub:
    """Serves on a free port of the loopback address until closed."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.runs: list[Stored] = []
        self.faults: deque[Fault] = deque()
        """One for each upload that comes, in order; then it behaves."""
        self.faults_anywhere: deque[Fault] = deque()
        """As ``faults``, for requests of every kind."""
        self.keys = {TOKEN: ""}
        """Whose each key is: where that is told, a request that names another is refused."""
        self.chunks: dict[str, bytes] = {}
        """By name: what transfers brought."""
        self.options = UploadOptions()
        self.takes_later = False
        self.statuses: deque[UploadStatus] = deque()
        self.projects: list[dict[str, Any]] = []
        self.page_size = 2
        self._answers: dict[str, Reply] = {}
        self._transfers: dict[str, tuple[TransferRequest, str]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def uploads_seen(self) -> list[Seen]:
        return [each for each in self.seen if is_upload(each)]

    def reply(self, seen: Seen) -> Reply:
        owner = self.keys.get(seen.token)
        if owner is None:
            return problem_reply(NotAuthenticated("The key is not known."))
        if owner and seen.headers.get("x-organization-id", owner) != owner:
            return problem_reply(WrongScope("The key is of another organization."))
        if is_upload(seen) or is_chunk(seen):
            with self._lock:
                return self._taken(seen)
        path = seen.path.partition("?")[0]
        if path.startswith("/api/v1/upload/insight/"):
            return json_reply(self.statuses.popleft())
        routes: dict[tuple[str, str], Callable[[Seen], Reply]] = {
            ("GET", "/api/v1/upload/options"): lambda _seen: json_reply(self.options),
            ("GET", "/api/v1/auth/whoami"): _who,
            ("GET", "/api/v1/projects"): self._project_page,
            ("POST", "/api/v1/projects"): self._new_project,
            ("POST", "/api/v1/api-keys"): _new_key,
            ("GET", "/api/v1/api-keys"): lambda _seen: json_reply({"items": [KEY]}),
            ("DELETE", "/api/v1/api-keys/key-2"): lambda _seen: Reply(204),
        }
        if path.startswith("/api/v1/sync/"):
            return self._sync(seen, path)
        route = routes.get((seen.method, path))
        return route(seen) if route else problem_reply(NotFound())

    def _sync(self, seen: Seen, path: str) -> Reply:
        """A workspace without a revision, which lacks whatever it is offered, and no jobs."""
        step = path.rpartition("/")[2]
        if step == "jobs":
            return json_reply(JOB if seen.method == "POST" else JOBS)
        if step == "missing":
            offered = json.loads(seen.body)["chunks"]
            return json_reply({"missing": [each["sha256"] for each in offered], "heldUntil": LATER})
        if step == "revisions":
            return json_reply(REVISION, 201)
        if "/chunks/" in path:
            return self._workspace_chunk(seen, step)
        return json_reply({**REVISION, "files": []})

    def _workspace_chunk(self, seen: Seen, name: str) -> Reply:
        if seen.method == "PUT":
            packed = seen.headers.get("content-encoding") == "gzip"
            self.chunks[name] = gzip.decompress(seen.body) if packed else seen.body
            return json_reply({"sha256": name, "size": len(self.chunks[name])}, 201)
        return Reply(200, self.chunks[name], {"Content-Type": "application/octet-stream"})

    def _new_project(self, seen: Seen) -> Reply:
        name = json.loads(seen.body)["name"]
        self.projects.append({"id": f"id-{name}", "slug": name.lower(), "name": name})
        return json_reply(self.projects[-1], 201)

    def _project_page(self, seen: Seen) -> Reply:
        start = int(seen.path.partition("cursor=")[2] or 0)
        following = start + self.page_size
        more = str(following) if following < len(self.projects) else None
        return json_reply({"items": self.projects[start:following], "next": more})

    def _taken(self, seen: Seen) -> Reply:
        key = seen.headers.get("idempotency-key")
        if is_chunk(seen):
            return self._chunk(seen)
        if key in self._answers:
            return self._answers[key]
        if seen.path.endswith("/init"):
            return self._begin(seen, key or "")
        if seen.path.endswith("/finalize"):
            wanted = msgspec.json.decode(seen.body, type=TransferEnd).upload_id
            if wanted not in self._transfers:
                return problem_reply(TransferExpired())
            request, key = self._transfers[wanted]
            payload = b"".join(self.chunks[chunk.sha256] for chunk in request.chunks)
            assert hashlib.sha256(payload).hexdigest() == request.sha256
            return self._run(Stored(key, request.type, payload, request.metadata, seen.token))
        return self._run(_stored(seen, key))

    def _begin(self, seen: Seen, key: str) -> Reply:
        request = msgspec.json.decode(seen.body, type=TransferRequest)
        name = f"transfer-{key}"
        self._transfers[name] = request, key
        missing = [each.sha256 for each in request.chunks if each.sha256 not in self.chunks]
        started = TransferStarted(
            upload_id=name, missing=list(dict.fromkeys(missing)), expires_at=LATER
        )
        return json_reply(started, 201)

    def _chunk(self, seen: Seen) -> Reply:
        *_, transfer, _chunks, name = seen.path.split("/")
        if transfer not in self._transfers:
            return problem_reply(TransferExpired())
        is_packed = seen.headers.get("content-encoding") == "gzip"
        data = gzip.decompress(seen.body) if is_packed else seen.body
        assert hashlib.sha256(data).hexdigest() == name
        self.chunks[name] = data
        return json_reply(ChunkStored(sha256=name, size=len(data)), 201)

    def _run(self, run: Stored) -> Reply:
        key = run.key
        self.runs.append(run)
        number = len(self.runs)
        upload_id = f"upload-{number}"
        if self.takes_later:
            url = f"/api/v1/upload/insight/{upload_id}"
            accepted = UploadAccepted(upload_id=upload_id, job_id="job-1", status_url=url)
            made = json_reply(accepted, 202)
        else:
            url = f"{self.address}/en/acme/insight/runs/{number}"
            stored = UploadStored(upload_id=upload_id, run_id=f"run-{number}", url=url)
            made = json_reply(stored, 201)
        if key:
            self._answers[key] = made
        return made


def _who(_seen: Seen) -> Reply:
    user = {"id": "user-1", "email": "alice@example.com"}
    return json_reply({"user": user, "organization": ORGANIZATION, "key": KEY})


def _new_key(seen: Seen) -> Reply:
    name = json.loads(seen.body)["name"]
    return json_reply({**KEY, "id": "key-2", "name": name, "key": "odavl_live_new"}, 201)


def is_upload(seen: Seen) -> bool:
    return seen.method == "POST" and seen.path.startswith("/api/v1/upload/")


def is_chunk(seen: Seen) -> bool:
    return seen.method == "PUT" and seen.path.startswith("/api/v1/upload/")


def _stored(seen: Seen, key: str | None) -> Stored:
    if seen.headers["content-type"] == "application/json":
        envelope = msgspec.json.decode(seen.body, type=Envelope)
        payload = base64.b64decode(envelope.data, validate=True)
        payload = gzip.decompress(payload) if envelope.compressed else payload
        assert envelope.sha256 == hashlib.sha256(payload).hexdigest()
        return Stored(key, envelope.type, payload, envelope.metadata, seen.token)
    compressed = seen.headers.get("content-encoding") == "gzip"
    payload = gzip.decompress(seen.body) if compressed else seen.body
    assert seen.headers["x-odavl-sha256"] == hashlib.sha256(payload).hexdigest()
    metadata = base64.urlsafe_b64decode(seen.headers["x-odavl-metadata"])
    decoded = msgspec.json.decode(metadata, type=UploadMetadata)
    return Stored(key, seen.headers["x-odavl-type"], payload, decoded, seen.token)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: SmallHub
    seen: Seen

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen = Seen(self.command, self.path, headers, self.rfile.read(length))
        self.hub.seen.append(self.seen)
        faults = self.hub.faults if is_upload(self.seen) else deque[Fault]()
        for waiting in (self.hub.faults_anywhere, faults):
            if waiting and waiting.popleft()(self):
                return
        self.write(self.hub.reply(self.seen))

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def write(self, reply: Reply) -> None:
        # Its own Date only where the answer brings none.
        self.send_response_only(reply.status)
        self.send_header("Date", reply.headers.get("Date") or self.date_time_string())
        for name, value in reply.headers.items():
            if name != "Date":
                self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _handler_for(hub: SmallHub) -> type[Handler]:
    return type("HandlerOfOne", (Handler,), {"hub": hub})
