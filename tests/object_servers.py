"""Real servers that object stores are kept by, as processes on loopback, for tests.

OpenStack Swift speaks S3 and checks every signature and digest; Azurite is Azure's own stand-in.
docs/decisions/0013-object-stores.md says why these.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import boto3
import httpx
from azure.storage.blob import BlobServiceClient
from botocore.config import Config

from tests.hub_process import free_port

SERVERS = Path(__file__).resolve().parent / "storage" / "servers"
AZURITE = SERVERS / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
BUCKET = "odavl"
_START_SECONDS = 600
# The account that every Azurite has; its key stands in Azurite's own documentation.
_AZURITE_ACCOUNT = "devstoreaccount1"
_AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"  # pragma: allowlist secret
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # pragma: allowlist secret
)


class Unavailable(Exception):
    """The server cannot run on this machine; the message says why."""


class _Server:
    """A process with a folder of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="odavl-object-server-"))
        self.process: subprocess.Popen[str] | None = None

    def _start(self, command: list[str], answers: str) -> None:
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if "COV" not in name},
                text=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(answers, timeout=2, trust_env=False)
                return
            _pause()
        raise AssertionError(f"{command[:2]} did not start: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(300)
        shutil.rmtree(self.folder, ignore_errors=True)


def _pause() -> None:
    """Between two questions to a server that starts: there is no event to wait for."""
    select.select([], [], [], 0.1)


class SwiftServer(_Server):
    """S3 with the access key ``test:tester``."""

    access_key = "test:tester"
    secret_key = "testing-only"  # pragma: allowlist secret

    def __init__(self) -> None:
        super().__init__()
        if sys.platform != "linux":
            raise Unavailable("Swift, which speaks S3 here, runs on Linux only")
        self.url = f"http://127.0.0.1:{self.port}"
        script = str(SERVERS / "swift_s3.py")
        data = str(self.folder / "data")
        user = self.access_key.partition(":")[2]
        self._start([sys.executable, script, data, str(self.port), user, self.secret_key], self.url)
        self.client().create_bucket(Bucket=BUCKET)

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    def environment(self, url: str = "") -> dict[str, str]:
        """What a hub needs to keep its objects here, or at ``url`` in front of it."""
        return {
            "STORAGE_PROVIDER": "s3",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": url or self.url,
            "S3_REGION": "us-east-1",
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
            "S3_ADDRESSING_STYLE": "path",
        }


class AzuriteServer(_Server):
    def __init__(self) -> None:
        super().__init__()
        node = shutil.which("node")
        if node is None:
            raise Unavailable("Azurite needs Node.js, which this machine has not")
        if not AZURITE.exists():
            raise Unavailable("Azurite is not installed: run `npm ci` in tests/storage/servers")
        self.url = f"http://127.0.0.1:{self.port}/{_AZURITE_ACCOUNT}"
        command = [node, str(AZURITE), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        places = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        self._start([*command, *places, "--location", str(self.folder / "data")], self.url)
        with BlobServiceClient.from_connection_string(self.connection_string) as service:
            service.create_container(BUCKET)

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_AZURITE_ACCOUNT};"
            f"AccountKey={_AZURITE_KEY};BlobEndpoint={self.url};"
        )
