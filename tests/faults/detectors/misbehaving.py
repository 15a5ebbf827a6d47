"""Programs that stand where detectors are looked for, and do what no detector should.

The real command line runs them: with an interpreter beside which no detector lies, and a ``PATH``
on which these are found. Each of them notes its process number, and those of what it starts, in a
folder, so that a test can tell whether anything was left behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.client.fixtures import Result, command_environment

DETECTORS = ("ruff", "bandit", "basedpyright", "mypy", "detect-secrets", "vulture", "eslint")
_BESIDE_US = Path(sys.executable).parent
_PACKAGE = Path(__file__).parents[3] / "cli" / "odavl"
_NODE_PACKAGES = ("@eslint/js", "globals", "typescript-eslint")

NOTE = """\
import os, pathlib, signal, sys, time
def note():
    (pathlib.Path({notes!r}) / str(os.getpid())).touch()
note()
"""
"""The beginning of each program."""

LEAVES_THE_GROUP = """\
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note()
        time.sleep(600)
    os._exit(0)
os.wait()
"""
"""As a daemon does, but for the pipes, which it keeps open."""

IGNORES_SIGNALS = """\
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
"""
TEN_MINUTES = 600
HANGS = f"time.sleep({TEN_MINUTES})\n"


@dataclass(frozen=True)
class Machine:
    """Where the real command line finds the programs of this test."""

    folder: Path
    home: Path

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def command(self, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / "python"), "-m", "odavl", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        packages = os.pathsep.join([str(self.folder / "lib"), sysconfig.get_path("purelib")])
        path = os.pathsep.join([str(self.folder / "tools"), "/usr/bin", "/bin"])
        kept = command_environment(self.home, PYTHONPATH=packages, PATH=path, **more)
        return {name: value for name, value in kept.items() if name != "VIRTUAL_ENV"}

    def run(self, project: Path, *arguments: str, before: Iterable[str] = ()) -> Result:
        """``odavl``, with the words of another program ``before`` it."""
        return subprocess.run(
            [*before, *self.command(*arguments)],
            cwd=project,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def puts(self, name: str, source: str) -> None:
        """A detector ``name`` that runs the Python ``source``."""
        text = NOTE.format(notes=str(self.notes)) + source
        if name == "eslint":
            self._put_eslint(text)
        else:
            _write_program(self.folder / "tools" / name, text)

    def links(self, name: str) -> None:
        """The real detector ``name``."""
        (self.folder / "tools" / name).symlink_to(_BESIDE_US / name)

    def wraps(self, name: str, source: str) -> None:
        """The real detector ``name``, after the Python ``source``."""
        real = str(_BESIDE_US / name)
        self.puts(name, f"{source}\nos.execv({real!r}, [{real!r}, *sys.argv[1:]])\n")

    def left_behind(self) -> list[psutil.Process]:
        """What still runs a minute later of all that was started."""
        started = []
        for each in self.notes.iterdir():
            try:
                started.append(psutil.Process(int(each.name)))
            except psutil.NoSuchProcess:
                continue
        # Who has died, and whose parent has not asked, runs no more.
        _, alive = psutil.wait_procs(started, timeout=60)
        return [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]

    def _put_eslint(self, text: str) -> None:
        """Node is real; what it runs hands over to the program."""
        home = self.folder / "tools" / "node_modules" / "eslint"
        (home / "bin").mkdir(parents=True)
        for package in _NODE_PACKAGES:
            (home / "node_modules" / package).mkdir(parents=True)
        (home / "package.json").write_text('{"version": "1.0"}')
        _write_program(home / "bin" / "fake", text)
        (home / "bin" / "eslint.js").write_text(
            "const made = require('child_process').spawnSync(__dirname + '/fake',"
            " process.argv.slice(2), {stdio: 'inherit'});\n"
            "if (made.signal) process.kill(process.pid, made.signal);\n"
            "process.exit(made.status);\n"
        )
        (self.folder / "tools" / "eslint").touch(mode=0o755)


def machine_in(folder: Path, home: Path) -> Machine:
    """An interpreter and a copy of ``odavl`` in ``folder``, and no detector."""
    for name in ("bin", "tools", "notes"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    shutil.copytree(_PACKAGE, folder / "lib" / "odavl")
    return Machine(folder, home)


def _write_program(path: Path, text: str) -> None:
    path.write_text(f"#!{Path(sys.executable).resolve()}\n{text}")
    path.chmod(0o755)
