"""A relay in front of an S3 server that fails now and then, as S3 does."""

from __future__ import annotations

import http.client
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from storage.objects.interface import MARKS

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL = (
    b'<?xml version="1.0"?><Error><Code>InternalError</Code>'
    b"<Message>We encountered an internal error.</Message></Error>"
)


class FailingStore:
    """``faults`` are used up by the next PUTs of objects, in their order.

    ``slow-down`` and ``error`` answer 503 and 500 and do nothing; ``answer-lost`` writes the object
    and then answers 500; ``hold`` does nothing, either, before ``may_go_on``. While it
    ``is_silent``, no request of any kind is answered before that.
    """

    def __init__(self, target: str) -> None:
        self.faults: deque[str] = deque()
        self.puts: list[str] = []
        self.always = ""
        self.may_go_on = threading.Event()
        self.is_silent = False
        store = self

        class Handler(_Relay):
            owner = store
            address = urlsplit(target).netloc

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next_fault(self, path: str) -> str:
        self.puts.append(path)
        if self.always:
            return self.always
        return self.faults.popleft() if self.faults else ""

    def close(self) -> None:
        self.may_go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ClassVar[FailingStore]
    address: ClassVar[str]

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_object = self.command == "PUT" and MARKS not in self.path
        fault = self.owner.next_fault(self.path) if is_object else ""
        if fault == "hold" or self.owner.is_silent:
            self.owner.may_go_on.wait(240)
            fault = "" if fault == "hold" else fault
        if fault not in ("slow-down", "error"):
            status, headers, answer = self._forwarded(body)
        if fault == "slow-down":
            status, headers, answer = 503, {}, SLOW_DOWN
        elif fault:
            status, headers, answer = 500, {}, INTERNAL
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=300)
        # The signature covers the host that the client believes to talk to.
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        try:
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def __getattr__(self, name: str) -> Any:
        """Every method is relayed alike."""
        if name.startswith("do_"):
            return self.relay
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """Silent."""
