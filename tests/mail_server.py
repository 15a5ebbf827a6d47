"""A mail server that keeps what it gets, or that keeps its clients waiting."""

from __future__ import annotations

import socketserver
import threading
import time
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Self


class MailServer:
    """SMTP on a port of its own, without TLS. ``deaf``: it takes connections and says nothing."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.letters: list[Message] = []
        self.connected = threading.Event()
        self.go_on = threading.Event()
        if not deaf:
            self.go_on.set()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _session(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, number: int, seconds: float = 60) -> list[Message]:
        """Return once ``number`` letters have come."""
        deadline = time.monotonic() + seconds
        while len(self.letters) < number:
            assert time.monotonic() < deadline, f"{len(self.letters)} of {number} letters came"
            time.sleep(0.01)
        return self.letters


def _session(server: MailServer) -> type[socketserver.StreamRequestHandler]:
    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            server.connected.set()
            server.go_on.wait(120)
            self._say("220 here")
            while line := self.rfile.readline():
                verb = line[:4].upper().strip()
                if verb == b"DATA":
                    self._say("354 go on")
                    server.letters.append(message_from_bytes(self._letter()))
                elif verb == b"QUIT":
                    self._say("221 bye")
                    return
                self._say("250 fine")

        def _letter(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) not in {b".\r\n", b""}:
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            return b"".join(lines)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    return Session
