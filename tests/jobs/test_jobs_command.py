"""``odavl sync jobs`` against a real server."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accounts.models import Project
from jobs import registry, services
from jobs.claims import claim
from jobs.models import Job
from tests.cast import Person
from tests.client.fixtures import Result, command, command_environment

pytestmark = [pytest.mark.django_db(transaction=True)]
Run = Callable[..., Result]


@pytest.fixture
def run(live_server, alice: Person, tmp_path: Path) -> Iterator[Run]:
    registry.register("test.work", lambda held: None, area="insight")
    environment = command_environment(
        tmp_path / "home", ODAVL_CLOUD_API=live_server.url, ODAVL_API_KEY=alice.token
    )

    def odavl(*arguments: str, **more: str) -> Result:
        return subprocess.run(
            command("sync", "jobs", *arguments),
            cwd=tmp_path,
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )

    yield odavl
    registry.unregister("test.work")


def enqueue(person: Person, project: Project | None = None) -> Job:
    return services.enqueue(
        organization=person.organization, job_type="test.work", payload={}, project=project
    )


def test_jobs_are_listed_for_the_project_or_for_all(
    run: Run, alice: Person, website: Project
) -> None:
    assert run().stdout == "No jobs.\n"
    own, other = enqueue(alice, website), enqueue(alice)
    here = {"ODAVL_PROJECT_ID": str(website.pk)}
    assert str(own.id) in run(**here).stdout
    assert str(other.id) not in run("list", **here).stdout
    assert str(other.id) in run("--all", **here).stdout
    page = json.loads(run("--json", "--state", "waiting").stdout)
    assert [item["id"] for item in page["items"]] == [str(other.id), str(own.id)]
    assert page["statistics"]["byState"] == {"waiting": 2}


def test_a_job_is_steered(run: Run, alice: Person) -> None:
    job = enqueue(alice)
    for action, state in (
        ("pause", "paused"),
        ("resume", "waiting"),
        ("cancel", "cancelled"),
        ("retry", "waiting"),
    ):
        result = run(action, str(job.id))
        assert result.stderr == f"The job {job.id} is now {state}.\n"
        assert result.returncode == 0
    result = run("resume", str(job.id))
    assert (result.returncode, "not paused any more" in result.stderr) == (5, True)
    assert run("cancel", "nothing").returncode == 5


def test_watching_shows_changes_and_ends_with_the_last_job(
    live_server, alice: Person, tmp_path: Path, run: Run
) -> None:
    job = enqueue(alice)
    held = claim(job.id)
    assert held is not None
    held.progress(40)
    watching = subprocess.Popen(
        command("sync", "jobs", "--watch"),
        cwd=tmp_path,
        env=command_environment(
            tmp_path / "home", ODAVL_CLOUD_API=live_server.url, ODAVL_API_KEY=alice.token
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("ID")
    assert watching.stdout.readline().split()[:5] == [str(job.id), "test.work", "active", "40", "%"]
    held.complete()
    rest, _ = watching.communicate()
    assert rest.splitlines()[-1].split()[2] == "completed"
    assert watching.returncode == 0


def test_watching_in_a_narrow_terminal_draws_over_what_was_drawn(
    live_server, alice: Person, tmp_path: Path, run: Run
) -> None:
    """Lines that the terminal wraps are as many rows as it makes of them."""
    job = services.enqueue(
        organization=alice.organization,
        job_type="test.work",
        payload={"url": f"https://hub.example.com/{'a' * 90}"},
    )
    held = claim(job.id)
    assert held is not None
    terminal, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 60))
    watching = subprocess.Popen(
        command("sync", "jobs", "--watch"),
        cwd=tmp_path,
        env=command_environment(
            tmp_path / "home", ODAVL_CLOUD_API=live_server.url, ODAVL_API_KEY=alice.token
        ),
        stdout=inner,
    )
    os.close(inner)
    drawn = _read_until(terminal, b"/" + b"a" * 90)
    held.complete()
    drawn += _read_until(terminal, b"completed")
    assert watching.wait(300) == 0
    os.close(terminal)
    first, up, _ = re.split(r"\x1b\[(\d+)A", drawn.decode(), maxsplit=1)
    rows = sum(math.ceil(len(line) / 60) for line in first.splitlines())
    assert rows > 3
    assert int(up) == rows


def _read_until(terminal: int, word: bytes) -> bytes:
    """What is written to a terminal, up to the line that has ``word`` in it."""
    written = b""
    while word not in written or not written.endswith(b"\n"):
        written += os.read(terminal, 4096)
    return written
