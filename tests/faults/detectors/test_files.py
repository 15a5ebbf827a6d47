"""Row 64 of what must go wrong without harm: files and settings that nobody can read.

All of it through the real command line.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.detectors.commands import CODE, HAS_ESLINT, SCRIPT, analyze, reports
from tests.faults.detectors.misbehaving import (
    DETECTORS,
    HANGS,
    Machine,
)

STRANGE = (
    "new\nline", "back\\slash", "a b", "-x", "ünï", 'quo"te', "br[a]c*et", "t\tab", "sep\u2028",
    "esc\x1b[31m", "p:1: x", "!n", "{a,b}", "~", "%41", "#x",
)  # fmt: skip
UNREADABLE = {
    "fifo.py": "it is a FIFO",
    "socket.py": "it is a socket",
    "bad\\xff.py": "its name is no UTF-8",
    "closed.py": "permission denied",
    "unlisted/": "permission denied",
    "unentered/in.py": "permission denied",
}


def without_privileges() -> tuple[str, ...]:
    """Words before a command that make root ask for permission as everybody does."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and setpriv is not here")
    dropped = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}")


@pytest.fixture
def hostile(project: Path) -> Path:
    """The project with all that cannot be read, and names that can hardly be."""
    for name in STRANGE:
        (project / f"{name}.py").write_text(CODE)
        (project / f"{name}.js").write_text(SCRIPT)
    (project / os.fsdecode(b"bad\xff.py")).write_text(CODE)
    os.mkfifo(project / "fifo.py")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(project / "socket.py"))
    (project / "device.py").symlink_to("/dev/zero")
    (project / "dangling.py").symlink_to("nowhere.py")
    (project / "loop.py").symlink_to("loop.py")
    (project / "inner").mkdir()
    (project / "inner" / "outer").symlink_to("..")
    (project / "closed.py").write_text(CODE)
    (project / "closed.py").chmod(0)
    for name, mode in (("unlisted", 0o300), ("unentered", 0o600)):
        (project / name).mkdir()
        (project / name / "in.py").write_text(CODE)
        (project / name).chmod(mode)
    return project


# Names that a tool cannot be given, whatever is done.
UNFIT = {"vulture": ("new\nline", "sep\u2028", "p:1: x"), "basedpyright": ("back\\slash",)}


@pytest.mark.parametrize("name", DETECTORS)
def test_row_64_of_a_hostile_tree_only_what_nobody_can_read_is_lost(
    hostile: Path, home: Path, name: str
) -> None:
    if name == "eslint" and not HAS_ESLINT:
        pytest.skip("ESLint is not installed")
    (hostile / "typed.py").write_text("number: int = 'text'\n")
    result = run_here(hostile, home, name, before=without_privileges())
    report = reports(json.dumps(result))[name]
    assert (report["status"], report["detail"]) == ("ran", "")
    unread = {each["path"]: each["reason"] for each in report["unreadFiles"]}
    suffix = ".js" if name == "eslint" else ".py"
    unfit = {f"{each}{suffix}" for each in UNFIT.get(name, ())}
    expected = {
        path: why for path, why in UNREADABLE.items() if name != "eslint" or path.endswith("/")
    }
    assert {path: unread[path] for path in unread if path not in unfit} == expected
    assert unfit <= unread.keys()
    assert report["unreadCount"] == len(unread)
    found = {
        path
        for path, findings in result["diagnostics"].items()
        if any(each["source"] == name for each in findings)
    }
    if name in {"basedpyright", "mypy"}:
        assert found == {"typed.py"}
    elif name == "detect-secrets":
        assert {f"{each}.py" for each in STRANGE} | {"settings.ini"} <= found
    else:
        assert {f"{each}{suffix}" for each in STRANGE} - unfit <= found


def test_row_64_changed_files_that_nobody_can_read_or_name_are_not_told_to_be_gone(
    project: Path, home: Path
) -> None:
    """What is told to be gone is fixed; a name that is no UTF-8 is in no document."""
    git = ["git", "-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-C", str(project)]
    bad = os.fsdecode(b"bad\xff.py")
    (project / "closed").mkdir()
    for name in ("closed/in.py", "fifo.py", "goes.py", bad):
        (project / name).write_text(CODE)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*git, *words], check=True)
    for name in ("fifo.py", "goes.py", bad):
        (project / name).unlink()
    os.mkfifo(project / "fifo.py")
    (project / "pay.py").write_text(f"{CODE}{CODE}")
    (project / "closed" / "in.py").write_text(f"{CODE}{CODE}")
    (project / "closed").chmod(0o600)
    result = run_here(project, home, "ruff", "--changed", before=without_privileges())
    assert result["scope"]["files"] == ["goes.py", "pay.py"]
    (report,) = result["detectors"]
    assert {each["path"] for each in report["unreadFiles"]} == {"closed/in.py", "fifo.py"}


def run_here(
    project: Path,
    home: Path,
    name: str,
    *more: str,
    timeout: int = 240,
    before: tuple[str, ...] = (),
) -> dict[str, Any]:
    """With the detectors of this machine."""
    result = subprocess.run(
        [
            *(*before, sys.executable, "-m", "odavl", "insight", "analyze", "--json"),
            *("--detectors", name, "--timeout", str(timeout), *more),
        ],
        cwd=project,
        env=os.environ | {"ODAVL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("name", DETECTORS)
def test_row_64_a_line_of_20_mb_costs_at_most_its_file(
    project: Path, home: Path, name: str
) -> None:
    if name == "eslint" and not HAS_ESLINT:
        pytest.skip("ESLint is not installed")
    (project / "typed.py").write_text("number: int = 'text'\n")
    (project / "long.py").write_text(f"x = '{'ab3' * 6_900_000}'\n")
    (project / "long.js").write_text(f"var x = '{'ab3' * 6_900_000}';\n")
    (project / "long.txt").write_text("ab3=/+" * 3_400_000)
    result = run_here(project, home, name)
    report = reports(json.dumps(result))[name]
    assert report["status"] == "ran"
    assert {each["path"] for each in report["unreadFiles"]} <= {"long.py", "long.js", "long.txt"}
    assert {"pay.py", "ship.js", "settings.ini", "typed.py"} & result["diagnostics"].keys()


@pytest.mark.parametrize("name", ["ruff", "bandit", "vulture"])
def test_row_64_a_file_that_changes_or_goes_meanwhile_is_told(
    machine: Machine, project: Path, name: str
) -> None:
    (project / "goes.py").write_text(CODE)
    (project / "changes.py").write_text(CODE)
    (project / "stays.py").write_text(CODE)
    machine.links("detect-secrets")
    machine.wraps(
        name,
        "if '--version' not in sys.argv:\n"
        "    pathlib.Path('goes.py').unlink()\n"
        "    pathlib.Path('changes.py').write_text('import sys\\n')\n",
    )
    found = analyze(machine, project, name, "detect-secrets", timeout=240)
    if name == "vulture":
        # It ends when a file that it was given is not there.
        assert found[name]["status"] == "failed"
        assert "goes.py could not be found" in found[name]["detail"]
    told = found["detect-secrets" if name == "vulture" else name]
    assert told["status"] == "ran"
    unread = {each["path"]: each["reason"] for each in told["unreadFiles"]}
    # Bandit tells it in the system's words.
    gone = {"it went away during the analysis", "No such file or directory"}
    assert unread.pop("goes.py") in gone
    assert unread == {"changes.py": "it changed during the analysis"}


SETTINGS = (
    "pyproject.toml", "ruff.toml", ".bandit", ".gitignore", "pyrightconfig.json", "mypy.ini",
    ".secrets.baseline",
)  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_row_64_settings_that_never_end_cost_at_most_the_detector_that_reads_them(
    project: Path, home: Path, name: str
) -> None:
    (project / name).unlink(missing_ok=True)
    os.mkfifo(project / name)
    result = run_here(project, home, "ruff,bandit,basedpyright,mypy,vulture", timeout=15)
    found = reports(json.dumps(result))
    lost = {each["name"] for each in found.values() if each["status"] != "ran"}
    readers = {
        "pyproject.toml": {"ruff", "basedpyright"},
        "ruff.toml": {"ruff"},
        ".bandit": {"bandit"},
        "pyrightconfig.json": {"basedpyright"},
    }
    assert lost <= readers.get(name, set())
    assert all(found[each]["detail"] for each in lost)


@pytest.mark.parametrize("name", ["pyproject.toml", ".odavl/config.toml"])
def test_row_64_our_own_settings_that_are_no_file_are_refused_or_left(
    project: Path, home: Path, name: str
) -> None:
    (project / ".odavl").mkdir()
    os.mkfifo(project / name)
    result = subprocess.run(
        [sys.executable, "-m", "odavl", "insight", "analyze", "--detectors", "bandit"],
        cwd=project,
        env=os.environ | {"ODAVL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if name == "pyproject.toml":
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 2
        assert result.stderr.endswith("config.toml is not a regular file. Remove it.\n")


def test_row_64_what_was_not_checked_is_told_on_the_terminal(project: Path, home: Path) -> None:
    for number in range(12):
        os.mkfifo(project / f"fifo{number}.py")

    def told(*more: str) -> str:
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "odavl",
                "insight",
                "analyze",
                "--detectors",
                "ruff,bandit",
                *more,
            ],
            cwd=project,
            env=os.environ | {"ODAVL_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout

    short, long = told(), told("-v")
    assert "NOT CHECKED\n  fifo0.py: it is a FIFO (ruff, bandit)\n" in short
    assert "and 2 more (-v shows all)" in short
    assert short.count("it is a FIFO") == 10
    assert long.count("it is a FIFO") == 12


def test_row_64_the_time_out_is_an_option_a_variable_and_a_setting(
    machine: Machine, project: Path
) -> None:
    machine.puts("vulture", HANGS)
    (project / "pyproject.toml").write_text("[tool.odavl]\ndetector_timeout = 1\n")
    result = machine.run(project, "insight", "analyze", "--json", "--detectors", "vulture")
    assert reports(result.stdout)["vulture"]["detail"] == "It did not end in time."
    for wrong in ("0", "-1", "86401"):
        result = machine.run(project, "insight", "analyze", f"--timeout={wrong}")
        assert result.returncode == 2
        assert "detector_timeout must be whole seconds, 1 to 86400" in result.stderr
    environment = machine.environment(ODAVL_DETECTOR_TIMEOUT="1")
    (project / "pyproject.toml").write_text("[tool.odavl]\ndetector_timeout = 600\n")
    told = subprocess.run(
        machine.command("insight", "analyze", "--detectors", "vulture"),
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert "vulture" in told
    assert "not run: failed (It did not end in time.)" in told
