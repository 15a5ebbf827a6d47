"""A whole hub in a folder of its own, with its database within reach."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedRedis

REPOSITORY = Path(__file__).resolve().parent.parent
_START_SECONDS = 300


@dataclass(slots=True)
class RunningHub:
    url: str
    database_url: str
    redis_url: str
    key: str
    folder: Path
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        """Speaks for a key that may do everything."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=120,
            trust_env=False,
        )

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]


@contextmanager
def running_hub(folder: Path) -> Iterator[RunningHub]:
    """Start PostgreSQL and Redis, then the hub on them; all of it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    with ExitStack() as stack:
        database_url = stack.enter_context(_service(EmbeddedPostgres(folder), folder))
        redis_url = stack.enter_context(_service(EmbeddedRedis(folder), folder))
        environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        process, url = stack.enter_context(started_hub(folder, environment))
        yield RunningHub(url, database_url, redis_url, make_key(folder, url), folder, process)


@contextmanager
def started_hub(
    folder: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``manage.py hub`` until it answers; the process and its address."""
    port = free_port()
    tree = folder / "tree"
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "empty.py").touch()
    url = f"http://127.0.0.1:{port}"
    with (folder / "hub.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "hub", "--analyze", str(tree)],
            cwd=REPOSITORY,
            env=clean_environment(folder) | {"PORT": str(port)} | environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(url, process)
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the hub did not start: see hub.log in the benchmark's folder")
        time.sleep(0.01)


def clean_environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ODAVL_")}
    return kept | {"ODAVL_DATA": str(folder), "ODAVL_HOME": str(folder / "home")}


def make_key(folder: Path, url: str) -> str:
    """An API key, made with the command line that the hub signed in at its first start."""
    deadline = time.monotonic() + _START_SECONDS
    command = [sys.executable, "-m", "odavl", "keys", "create", "benchmarks", "--scopes", "all"]
    while True:
        made = subprocess.run(
            [*command, "--json", "--hub", url],
            cwd=folder,
            env=clean_environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode == 0:
            return str(json.loads(made.stdout)["key"])
        if time.monotonic() > deadline:
            raise SystemExit(f"no API key could be made: {made.stderr.strip()}")
        time.sleep(0.2)


def post(client: httpx.Client, compressed: bytes, **metadata: Any) -> httpx.Response:
    """Upload one analysis document, as the command line does; the hub's answer."""
    metadata.setdefault("branch", "main")
    header = urlsafe_b64encode(json.dumps(metadata).encode()).decode().rstrip("=")
    answer = client.post(
        "/upload/insight",
        content=compressed,
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "gzip",
            "X-Odavl-Type": "analysis-results",
            "X-Odavl-Metadata": header,
        },
    )
    return answer.raise_for_status()


def send(client: httpx.Client, compressed: bytes, **metadata: Any) -> str:
    """Upload one analysis document, and wait until its run can be read; the run's id."""
    answer = post(client, compressed, **metadata)
    told = answer.json()
    if answer.status_code == 201:
        return str(told["runId"])
    while True:
        status = client.get(told["statusUrl"]).json()
        if status["state"] == "completed":
            return str(status["runId"])
        if status["state"] == "failed":
            raise SystemExit(f"the upload failed: {status['problem']}")
        time.sleep(0.01)


def compressed(body: bytes) -> bytes:
    """By zlib itself, level 1: what the limits are measured against."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@contextmanager
def served(module: str, environment: dict[str, str]) -> Iterator[str]:
    """The address of a reference server: ``module``, run with a port as its argument."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(port)], cwd=REPOSITORY, env=os.environ | environment
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"a reference server did not start: {process.args}") from None
            time.sleep(0.02)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _service(service: EmbeddedPostgres | EmbeddedRedis, folder: Path) -> Iterator[str]:
    service.prepare()
    with (folder / f"{service.name}.log").open("ab") as log:
        process = service.start(log)
    try:
        service.wait(process)
        yield service.url
    finally:
        service.stop(process)
