"""What the hub was told: by its arguments, by the environment, by the files of its data folder."""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from odavl_hub.launcher.errors import StartError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEFAULT_PORT = 8000
_LARGEST_PORT = 65535
_SECRETS = {"SECRET_KEY": "secret-key", "API_KEY_PEPPER": "api-key-pepper"}
_LEFTOVER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Configuration:
    """``analyze``: a folder whose analysis is uploaded once the hub serves, or None."""

    data: Path
    host: str
    port: int
    analyze: Path | None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the hub."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"


def read_configuration(arguments: list[str], environment: Mapping[str, str]) -> Configuration:
    """Arguments over environment over defaults. Raises :class:`StartError`."""
    parser = argparse.ArgumentParser(
        prog="manage.py hub",
        description="Starts PostgreSQL, Redis, web, workers and relay, and serves until Ctrl-C.",
    )
    parser.add_argument("--host", default=environment.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", default=environment.get("PORT") or str(DEFAULT_PORT))
    parser.add_argument(
        "--analyze",
        metavar="PATH",
        type=Path,
        help="analyse this folder and upload the result once the hub serves",
    )
    options = parser.parse_args(arguments)
    data = Path(environment.get("ODAVL_DATA") or REPOSITORY / ".data").expanduser().resolve()
    analyze = None if options.analyze is None else options.analyze.resolve()
    if analyze is not None and not analyze.is_dir():
        raise StartError(f"{analyze} is not a folder: give --analyze one to analyse.")
    return Configuration(data, options.host, _port(options.port), analyze)


def prepare_data(data: Path) -> None:
    """Make the data folder and see that it can be written. Raises :class:`StartError`."""
    probe = data / ".probe"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("logs", "secrets"):
            (data / folder).mkdir(mode=0o700, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"The data folder {data} cannot be written ({error.strerror}): "
            "make it writable, or set ODAVL_DATA to another one."
        ) from error


def lock_data(data: Path) -> int:
    """Take the data folder for this hub until the file descriptor is closed.

    Waits for the processes of a hub that was killed. Raises :class:`StartError`.
    """
    descriptor = os.open(data / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode().strip()
            if _is_alive(holder) or time.monotonic() > deadline:
                os.close(descriptor)
                raise StartError(
                    f"A hub (process {holder}) already uses the data folder {data}: "
                    "stop it, or set ODAVL_DATA to another folder."
                ) from error
            time.sleep(0.05)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def check_port(host: str, port: int) -> None:
    """Raises :class:`StartError` when nobody could listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken: stop what listens there, or set PORT to another."
            ) from error
        raise StartError(
            f"Nothing can listen on {host} port {port} ({error.strerror}): set HOST and PORT."
        ) from error


def read_secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that the environment does not give: made once and kept in ``folder``."""
    found = {}
    for name, file_name in _SECRETS.items():
        if name in environment or f"{name}_FILE" in environment:
            continue
        path = folder / file_name
        try:
            found[name] = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            found[name] = secrets.token_urlsafe(48)
            write_secret(path, found[name] + "\n")
    return found


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LARGEST_PORT:
        raise StartError(f"PORT is {text!r}: set it to a number from 1 to {_LARGEST_PORT}.")
    return int(text)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
