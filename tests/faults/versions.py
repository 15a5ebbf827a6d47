"""Two versions of the hub over one PostgreSQL, one Redis and one folder of objects."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedRedis
from tests.client.fixtures import command, command_environment
from tests.hub_process import REPOSITORY, free_port
from tests.services import TestServices

# The version that hubs are updated from. At each release, put the commit of the release before
# here, in full: `git rev-parse 'v1.2.0^{commit}'`. It must be an ancestor of what is released.
EARLIER = "e8cfb114bd8fb901fbee3a791499c1bf5d4d69e7"

PROGRAM = Path(__file__).with_name("version_process.py")
SECONDS = 60
_LOOK_SECONDS = 0.05
MAKE_KEY = """
import django
django.setup()
from accounts.principal import principal_of_member
from accounts.services import create_api_key, create_owner
owner = create_owner(email="alice@example.com", password="correct horse battery",
                     organization_name="Acme", name="Alice")
by = principal_of_member(owner.membership)
print(create_api_key(by=by, name="deployment", scopes=sorted(by.scopes))[1])
"""


def between_two_looks() -> None:
    threading.Event().wait(_LOOK_SECONDS)


def has_earlier() -> bool:
    """Whether the history that is here reaches back to the version before."""
    command_line = ["git", "cat-file", "-e", f"{EARLIER}^{{commit}}"]
    try:
        asked = subprocess.run(command_line, cwd=REPOSITORY, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0


def extract_earlier(folder: Path) -> None:
    """Put the code of the version before into ``folder``."""
    packed = subprocess.run(
        ["git", "archive", "--format=tar", EARLIER], cwd=REPOSITORY, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


@dataclass
class Process:
    """One role of one version, and what it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """Ask it to end; what it leaves in its session is killed."""
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def sources(self) -> list[str]:
        """The files of its own code, once it has imported it."""
        deadline = time.monotonic() + SECONDS
        while not (found := re.search(r"^\[.*\]$", self.log.read_text(), re.MULTILINE)):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            between_two_looks()
        told: list[str] = json.loads(found[0])
        return told


@dataclass
class Version:
    """The code in ``tree``, run with what both versions are told alike."""

    name: str
    tree: Path
    folder: Path
    shared: dict[str, str]
    port: int = field(default_factory=free_port)
    running: dict[str, Process] = field(default_factory=dict)
    seconds_ahead: dict[str, float] = field(default_factory=dict)
    """By role: by how much the clock of its process is wrong."""
    http: httpx.Client = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "COV" not in name}
        own = {
            "PORT": str(self.port),
            "WEB_WORKERS": "1",
            "PYTHONPATH": os.pathsep.join([str(self.tree), str(self.tree / "cli")]),
            # Neither the folder of a program nor the one it is started in comes before that.
            "PYTHONSAFEPATH": "1",
        }
        return kept | self.shared | own

    def manage(self, *arguments: str) -> str:
        return self._ran([sys.executable, "manage.py", *arguments])

    def program(self, text: str) -> str:
        return self._ran([sys.executable, "-c", text])

    def start(self, role: str) -> None:
        address = ("127.0.0.1", str(self.port)) if role == "web" else ()
        log = self.folder / f"{self.name}-{role}-{len(self.logs())}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(PROGRAM), role, *address],
                cwd=self.tree,
                env=self.environment
                | {"ODAVL_TEST_SECONDS_AHEAD": str(self.seconds_ahead.get(role, 0))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.running[role] = Process(process, log)

    def stop(self, role: str) -> None:
        self.running.pop(role).stop()

    def logs(self) -> list[Path]:
        return sorted(self.folder.glob(f"{self.name}-*.log"))

    def open(self, key: str) -> None:
        """Wait until its web process answers; from then on ``http`` asks it."""
        self.http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=SECONDS,
            trust_env=False,
        )
        web = self.running["web"]
        web.sources()
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(httpx.TransportError):
                if self.http.get(f"{self.url}/healthz").status_code == httpx.codes.OK:
                    return
            assert web.process.poll() is None, web.log.read_text()
            assert time.monotonic() < deadline, web.log.read_text()
            between_two_looks()

    def close(self) -> None:
        for role in list(self.running):
            self.stop(role)
        if hasattr(self, "http"):
            self.http.close()

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == httpx.codes.OK, (self.name, path, answer.text)
        return answer.json()

    def post(self, path: str, document: Any, status: int) -> dict[str, Any]:
        answer = self.http.post(path, json=document)
        assert answer.status_code == status, (self.name, path, answer.text)
        answered: dict[str, Any] = answer.json()
        return answered

    def wait(self, job_id: str, seen: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The job once ``seen``, as this version tells it."""
        deadline = time.monotonic() + SECONDS
        while not seen(job := self.get(f"/jobs/{job_id}")):
            assert time.monotonic() < deadline, (self.name, job)
            between_two_looks()
        found: dict[str, Any] = job
        return found

    def odavl(self, hub: Version, key: str, cwd: Path, *arguments: str) -> str:
        """Run this version's command line against ``hub``; what it printed."""
        told = command_environment(
            self.folder / f"home-{self.name}", ODAVL_CLOUD_API=hub.url, ODAVL_API_KEY=key
        )
        paths = {name: self.environment[name] for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
        return _ran(command(*arguments), cwd=cwd, env=told | paths)

    def _ran(self, arguments: list[str]) -> str:
        return _ran(arguments, cwd=self.tree, env=self.environment)


@dataclass
class Deployment:
    """The version before, this one, and what they have in common."""

    old: Version
    new: Version
    database_url: str

    def log(self) -> str:
        return "\n".join(
            f"── {file.name}\n{file.read_text()}"
            for file in sorted([*self.old.logs(), *self.new.logs()])
        )


@contextmanager
def deployment(folder: Path) -> Iterator[Deployment]:
    """Nothing runs yet but the servers below."""
    services = TestServices()
    try:
        shared = {
            "DJANGO_SETTINGS_MODULE": "odavl_hub.settings",
            "DATABASE_URL": services.started(EmbeddedPostgres(services.folder, durable=False)),
            "REDIS_URL": services.started(EmbeddedRedis(services.folder)),
            "ODAVL_DATA": str(folder / "data"),
            "STATIC_ROOT": str(folder / "static"),
            "ODAVL_PUBLIC_URL": "http://hub.example.com",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "API_KEY_PEPPER": secrets.token_urlsafe(48),
        }
        for name in ("data", "static", "earlier"):
            (folder / name).mkdir()
        if has_earlier():
            extract_earlier(folder / "earlier")
        old = Version("old", folder / "earlier", folder, shared)
        new = Version("new", REPOSITORY, folder, shared)
        try:
            yield Deployment(old, new, shared["DATABASE_URL"])
        finally:
            old.close()
            new.close()
    finally:
        services.stop()


def _ran(arguments: list[str], *, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout
