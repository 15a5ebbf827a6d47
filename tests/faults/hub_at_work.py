"""A whole real hub with a job in the middle of its work, for faults to happen to."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import psycopg2

from odavl_hub.launcher.embedded.postgres import DATABASE, ROLE
from tests.hub_process import HubProcess

FILES = 300
PER_FILE = 500
FINDINGS = FILES * PER_FILE
"""Enough for an ingest of some seconds."""


SECRET_FILES = {"SECRET_KEY": "secret-key", "API_KEY_PEPPER": "api-key-pepper"}
MAKE_KEY = """
import django
django.setup()
from accounts.models import Membership
from accounts.principal import principal_of_member
from accounts.services import create_api_key
owner = principal_of_member(Membership.across_organizations.get())
print(create_api_key(by=owner, name="faults", scopes=sorted(owner.scopes))[1])
"""


def payload(files: int = FILES, per_file: int = PER_FILE, tag: str = "a") -> bytes:
    """Gzipped ``analysis-results`` whose findings are told apart by ``tag``."""
    pieces = []
    for number in range(files):
        found = ",".join(
            f'{{"severity":"medium","message":"about {tag} {number} {n}","line":{n + 1},'
            f'"source":"ruff","code":"F401","fingerprint":"{tag}-{number}-{n}"}}'
            for n in range(per_file)
        )
        pieces.append(f'"src/{tag}{number}.py":[{found}]')
    scope = '{"detectors":[{"name":"ruff","status":"ran"}]}'
    document = f'{{"version":1,"scope":{scope},"diagnostics":{{{",".join(pieces)}}}}}'
    return gzip.compress(document.encode(), 1)


@contextmanager
def cursor_on(database_url: str) -> Iterator[Any]:
    """A cursor of a connection of its own, in autocommit."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


class HubAtWork:
    """One hub, a key of its owner's, and what tests ask it."""

    def __init__(self, **environment: str) -> None:
        # Short, so that the servers' sockets lie inside.
        self.folder = Path(tempfile.mkdtemp(prefix="odavl-fault-"))
        self.process = HubProcess(self.folder / "data", **environment)
        try:
            self.process.wait_until_serving()
            made = self.inside(MAKE_KEY)
            assert made.returncode == 0, made.stderr.decode()
            self.key = made.stdout.decode().strip()
        except BaseException:
            self._remove()
            raise
        self.http = httpx.Client(
            base_url=f"{self.process.url}/api/v1",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=300,
            trust_env=False,
        )

    def close(self) -> None:
        self.http.close()
        self._remove()

    @property
    def database_url(self) -> str:
        sockets = quote(str(self.process.data / "postgres" / "run"), safe="")
        return f"postgresql://{ROLE}@{sockets}/{DATABASE}"

    def _remove(self) -> None:
        self.process.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(
        self, program: str, *arguments: str, body: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``program`` with the hub's own settings, database and files."""
        data = self.process.data
        secrets = {
            name: (data / "secrets" / file).read_text().strip()
            for name, file in SECRET_FILES.items()
        }
        own = {
            "DJANGO_SETTINGS_MODULE": "odavl_hub.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": f"redis+socket://{data / 'redis' / 'redis.sock'}?virtual_host=0",
            "ODAVL_DATA": str(data),
            "ALLOWED_HOSTS": "testserver",
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
        }
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            input=body,
            env=os.environ | secrets | own,
            capture_output=True,
            check=False,
        )

    def upload(self, body: bytes, *, branch: str) -> httpx.Response:
        metadata = json.dumps({"projectName": "shop", "branch": branch}).encode()
        return self.http.post(
            "/upload/insight",
            content=body,
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Encoding": "gzip",
                "X-Odavl-Type": "analysis-results",
                "X-Odavl-Metadata": urlsafe_b64encode(metadata).decode(),
            },
        )

    def started(self, *, branch: str, tag: str = "a") -> str:
        """The id of a job that is in the middle of taking in :func:`payload`."""
        answer = self.upload(payload(tag=tag), branch=branch)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        job = self.wait(job_id, lambda job: job["progress"] >= 3 or job["finishedAt"])
        assert (job["state"], job["progress"] < 95) == ("active", True), job
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait(
        self, job_id: str, seen: Callable[[dict[str, Any]], Any], seconds: float = 600
    ) -> dict[str, Any]:
        """The job once ``seen``; whatever the hub answers until then, 503 included."""
        deadline = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                answer = self.http.get(f"/jobs/{job_id}")
                last = answer.text
                if answer.status_code == 200 and seen(answer.json()):
                    found: dict[str, Any] = answer.json()
                    return found
        raise AssertionError(f"not within {seconds} s: {last}\n{self.process.log()[-4000:]}")

    def finished(self, job_id: str, seconds: float = 600) -> dict[str, Any]:
        job = self.wait(job_id, lambda job: job["finishedAt"], seconds)
        assert job["state"] == "completed", job
        return job

    def act(self, job_id: str, action: str) -> httpx.Response:
        return self.http.post("/sync/jobs", json={"action": action, "jobId": job_id})

    def database(self) -> AbstractContextManager[Any]:
        return cursor_on(self.database_url)

    def rows(self, branch: str) -> tuple[int, int]:
        """How many issues the branch has, and how many different ones."""
        with self.database() as cursor:
            cursor.execute(
                "SELECT count(*), count(DISTINCT identity) FROM insight_issue JOIN insight_stream "
                "ON insight_stream.id = stream_id WHERE branch = %s",
                [branch],
            )
            return tuple(cursor.fetchone())

    def stream_is_free(self, branch: str) -> bool:
        """Whether nobody is in the middle of taking in a run of the branch."""
        with self.database() as cursor:
            cursor.execute(
                "SELECT 1 FROM insight_stream WHERE branch = %s FOR UPDATE SKIP LOCKED", [branch]
            )
            return cursor.fetchone() is not None

    def expire_leases(self) -> None:
        """What half a minute without a sign of life does."""
        with self.database() as cursor:
            cursor.execute(
                "UPDATE jobs_job SET lease_expires_at = now() - interval '1 s' "
                "WHERE state = 'active'"
            )

    def child_named(self, name: str) -> psutil.Process:
        """The supervisor's one child of this name."""
        supervisor = psutil.Process(self.process.process.pid)
        (found,) = (child for child in supervisor.children() if child.name() == name)
        return found

    def bulk_workers(self) -> list[psutil.Process]:
        """The bulk queue's pool, parent first."""
        parent = self.child_named("hub-bulk")
        return [parent, *parent.children(recursive=True)]

    def busy_worker(self) -> psutil.Process:
        """The process that takes a run in: the one of the pool that has worked most."""
        return max(self.bulk_workers()[1:], key=lambda child: child.cpu_times().user)


def measured(text: str) -> None:
    """Say what was measured, where the person who runs the suite sees it."""
    sys.stderr.write(f"\n{text}\n")


def seconds_since(moment: float) -> float:
    return time.monotonic() - moment
