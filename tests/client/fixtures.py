"""What tests of the client stand on: a home of their own, a small hub, the real command."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.small_hub import SmallHub

Result = subprocess.CompletedProcess[str]
Odavl = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Not made yet, as before anybody's first command."""
    return tmp_path / "home"


@pytest.fixture
def small_hub() -> Iterator[SmallHub]:
    hub = SmallHub()
    yield hub
    hub.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with one file that has findings, in a Git repository without commits."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "bad.py").write_text("import os\nimport sys\n")
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    return folder


def command_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment without what this machine says of hubs, CI and colour."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ODAVL_", "CI", "GITHUB_", "GIT_")) and name != "NO_COLOR"
    }
    return {**kept, "ODAVL_HOME": str(home), **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "odavl", *arguments]


@pytest.fixture
def odavl(home: Path, project: Path) -> Odavl:
    """Runs the real command in ``project``; keyword arguments are variables of its environment."""

    def run(*arguments: str, stdin: str = "", cwd: Path = project, **environment: str) -> Result:
        return subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=command_environment(home, **environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def on_a_terminal(
    arguments: list[str], home: Path, cwd: Path, *, typed: str = "", columns: int = 80, **env: str
) -> str:
    """What a person sees: standard output and error on one pseudo-terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.write(master, typed.encode())
    process = subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=command_environment(home, TERM="xterm", **env),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    try:
        while piece := os.read(master, 65536):
            seen += piece
    except OSError:  # Linux tells the end of a terminal so
        pass
    process.wait(300)
    os.close(master)
    return seen.decode()
