"""A whole hub for these tests, and the real command line against it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from odavl_hub.launcher.embedded.postgres import DATABASE, ROLE
from odavl_hub.launcher.embedded.sockets import client_address
from tests.client.fixtures import command_environment
from tests.hub_process import REPOSITORY, HubProcess

SENDER = Path(__file__).with_name("sender.py")


@dataclass
class Hub:
    """A running hub, and a key that may do everything in it."""

    process: HubProcess
    key: str

    @property
    def url(self) -> str:
        return self.process.url

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Status and decoded body of one request below ``/api/v1``."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            data=body or None,
            method=method,
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def json(self, method: str, path: str, document: Any, **headers: str) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        return self.call(method, path, body, **{"Content-Type": "application/json", **headers})

    def runs(self, project: str) -> list[dict[str, Any]]:
        status, page = self.call("GET", f"/insight/runs?project={project}&limit=200")
        return page["items"] if status == 200 else []

    def wait_for_runs(self, project: str, count: int) -> None:
        """Until that many runs of the project have been taken in, asked as a client asks."""
        # The relay may have to send again what a killed process did not.
        deadline = time.monotonic() + 600
        while True:
            found = [run for run in self.runs(project) if run["state"] == "completed"]
            if len(found) >= count:
                return
            assert time.monotonic() < deadline, self.runs(project)
            threading.Event().wait(0.1)  # between two looks

    def web_processes(self) -> list[psutil.Process]:
        """The processes that answer requests; their parent starts them again."""
        return [each for each in self.process.tree() if self._listens(each)]

    def _listens(self, process: psutil.Process) -> bool:
        try:
            return any(
                each.status == psutil.CONN_LISTEN and each.laddr.port == self.process.port
                for each in process.net_connections("tcp")
            )
        except psutil.Error:
            return False


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("transfers") / "hub"
    home.mkdir()
    (home / "tree").mkdir()
    # The first analysis signs the hub's own home in.
    process = HubProcess(home / "data", "--analyze", str(home / "tree"))
    try:
        process.wait_until_serving()
        process.wait_for(r"/runs/[0-9a-f-]{36}/")
        made = subprocess.run(
            [sys.executable, "-m", "odavl", "keys", "create", "faults", "--scopes", "all",
             "--json", "--hub", process.url],
            env=os.environ | {"ODAVL_HOME": str(home / "home")},
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
        yield Hub(process, json.loads(made.stdout)["key"])
    finally:
        process.kill_all()


Start = Callable[..., "subprocess.Popen[str]"]


@dataclass
class Client:
    """The command line of one person, with a home and a project folder of its own."""

    folder: Path
    hub: Hub

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start(self, *arguments: str, url: str | None = None) -> subprocess.Popen[str]:
        """``odavl`` with these arguments, in a process group of its own."""
        return self._started(["-m", "odavl", *arguments], url)

    def send(
        self, file: Path, *, url: str | None = None, upload_type: str = ""
    ) -> subprocess.Popen[str]:
        """A program that uploads ``file`` as a document of findings through the client's library.

        It prints what became of it and the memory that it took, in MiB.
        """
        return self._started([str(SENDER), str(file), upload_type], url)

    def run(self, *arguments: str, url: str | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, url=url)
        output, errors = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def import_arguments(self, sarif: Path, project: str) -> tuple[str, ...]:
        return ("insight", "import", str(sarif), "--upload", "--project", project,
                "--branch", "main", "-q", "--output", os.devnull)  # fmt: skip

    def queued(self) -> list[dict[str, Any]]:
        listed = self.run("sync", "queue", "--json")
        items: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
        return items

    def _started(self, arguments: list[str], url: str | None) -> subprocess.Popen[str]:
        environment = command_environment(
            self.home, ODAVL_CLOUD_API=url or self.hub.url, ODAVL_API_KEY=self.hub.key
        )
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(tmp_path, hub)


@pytest.fixture
def sarif(tmp_path: Path) -> Path:
    """Findings of another tool that no test has sent before, in a document of 8 MiB and more."""
    path = tmp_path / "findings.sarif"
    path.write_text(json.dumps(sarif_log(24_000, seed=int.from_bytes(os.urandom(8)))))
    return path


def sarif_log(count: int, seed: int) -> dict[str, Any]:
    source = random.Random(seed)
    return {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "lint"}},
                  "results": [_result(source, number) for number in range(count)]}],
    }  # fmt: skip


def _result(source: random.Random, number: int) -> dict[str, Any]:
    region = {"startLine": source.randrange(1, 4_000)}
    location = {"artifactLocation": {"uri": f"src/f{number // 30}.c"}, "region": region}
    return {
        "ruleId": f"R{source.randrange(40)}",
        "level": "warning",
        "message": {"text": f"{source.getrandbits(600):x}"},
        "locations": [{"physicalLocation": location}],
    }


def kill(process: subprocess.Popen[str]) -> None:
    """``kill -9``, and wait until it is dead."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)


def _environment_of(data: Path) -> dict[str, str]:
    """What the hub's own processes know and a command beside them must be told."""
    sockets = str(client_address(data / "postgres" / "run"))
    return {
        "ODAVL_DATA": str(data),
        "DATABASE_URL": f"postgresql://{ROLE}@{quote(sockets, safe='')}/{DATABASE}",
        "SECRET_KEY_FILE": str(data / "secrets" / "secret-key"),
        "API_KEY_PEPPER_FILE": str(data / "secrets" / "api-key-pepper"),
    }


@pytest.fixture(scope="session")
def stranger(hub: Hub) -> Hub:
    """The same hub, for an organization that has nothing to do with the first."""
    program = (
        "from accounts.services import create_owner, create_api_key;"
        "from accounts.principal import principal_of_member as p;"
        "o = create_owner(email='charlie@example.com', password='correct horse battery',"
        " organization_name='Globex', name='Charlie');"
        "by = p(o.membership);"
        "print(create_api_key(by=by, name='k', scopes=tuple(by.scopes))[1])"
    )
    made = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", program],
        cwd=REPOSITORY,
        env=os.environ | _environment_of(hub.process.data),
        capture_output=True,
        text=True,
        check=True,
    )
    return Hub(hub.process, made.stdout.split()[-1])


def wait_for_share(process: subprocess.Popen[str], share: float) -> None:
    """Until so much of the payload is with the hub."""
    assert process.stdout is not None
    for line in process.stdout:
        if (match := re.fullmatch(r"(\d+) (\d+)\n", line)) and (
            int(match[1]) >= share * int(match[2])
        ):
            return
    raise AssertionError(process.communicate())


def result_of(process: subprocess.Popen[str]) -> dict[str, object]:
    output, errors = process.communicate(timeout=300)
    lines = output.splitlines()
    assert lines, errors
    result: dict[str, object] = json.loads(lines[-1])
    return result
