"""How the command line starts, fails and stops, whatever the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from odavl import __version__
from odavl.commands.autopilot import COMMANDS as AUTOPILOT_COMMANDS
from odavl.commands.guardian import COMMANDS as GUARDIAN_COMMANDS
from odavl.commands.insight import COMMANDS as INSIGHT_COMMANDS
from odavl.main import COMMANDS
from tests.client.fixtures import Odavl, command, command_environment, on_a_terminal

HEAVY = {
    "asyncio", "cryptography", "dataclasses", "email", "hashlib", "httpx", "importlib.metadata",
    "json", "logging", "msgspec", "odavl.hub", "odavl.project", "pathlib", "rich", "socket", "ssl",
    "subprocess", "tempfile", "tomllib", "urllib.parse", "isal", "zlib_ng",
}  # fmt: skip
"""What `--version` and `--help` must not import."""

NEEDED_BY_THE_QUEUE = {
    "dataclasses",
    "json",
    "odavl.hub",
    "odavl.project",
    "pathlib",
    "urllib.parse",
}

MEASURE = """
import json, sys
import click
sys.stdout = open("/dev/null", "w")
click.Group("x", {"y": click.Command("y", help="A text.")}).main(["--help"], standalone_mode=False)
before = set(sys.modules)
from odavl.main import run
code = run(sys.argv[1:])
sys.stdout = sys.__stdout__
print(json.dumps([code, sorted(set(sys.modules) - before)]))
"""


def imported(home: Path, *arguments: str) -> set[str]:
    """What a command line imports besides Click, after it ended well."""
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments],
        env=command_environment(home),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    code, modules = json.loads(result.stdout)
    assert code == 0
    return set(modules) - {"json", "json.decoder", "json.encoder", "json.scanner", "_json"}


def test_the_start_stays_within_its_budget(home: Path) -> None:
    own = {"odavl", "odavl.main", "odavl.commands", "odavl.commands.lazy",
           "odavl.commands.session", "odavl.commands.terminal"}  # fmt: skip
    for arguments in ("--version", "--help"):
        modules = imported(home, arguments)
        assert modules & HEAVY == set()
        assert {name for name in modules if name.startswith("odavl")} == own
        # `math` is built in, and comes with Python 3.13's own modules.
        assert modules <= own | {"__future__", "math", "signal"}


def test_the_queue_is_shown_without_network_or_secrets(home: Path) -> None:
    modules = imported(home, "sync", "queue")
    assert modules & (HEAVY - NEEDED_BY_THE_QUEUE) == set()
    assert len(modules) <= 40


def test_the_version(odavl: Odavl) -> None:
    result = odavl("--version")
    assert (result.stdout, result.stderr, result.returncode) == (f"odavl {__version__}\n", "", 0)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["insight"], ["keys", "-h"], ["sync"]])
def test_help_is_no_error(odavl: Odavl, arguments: list[str]) -> None:
    result = odavl(*arguments)
    assert result.stdout.startswith("Usage: odavl")
    assert result.returncode == 0


def test_every_command_has_help_and_can_be_loaded() -> None:
    for commands in (COMMANDS, INSIGHT_COMMANDS, AUTOPILOT_COMMANDS, GUARDIAN_COMMANDS):
        for name, lazy in commands.items():
            loaded = lazy.load()
            assert loaded.name == name
            assert lazy.help.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["frobnicate"], "Error: No such command 'frobnicate'. See: odavl --help\n"),
        (["sync", "queue", "--no"], "See: odavl sync queue --help\n"),
        (["insight", "analyze", "absent"], "'absent' does not exist."),
        (["insight", "analyze", "--detectors", "nix"], "Error: Unknown detector: nix."),
        (["insight", "analyze", "--fail-on", "awful"], "See: odavl insight analyze --help\n"),
        (["keys", "create"], "Missing argument 'NAME'."),
        (["keys", "create", "x", "--expires-in", "soon"], "such as 90d"),
    ],
)
def test_wrong_usage_is_one_line_and_2(odavl: Odavl, arguments: list[str], told: str) -> None:
    result = odavl(*arguments)
    assert told in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert (result.stdout, result.returncode) == ("", 2)


@pytest.mark.parametrize("arguments", [["--json", "nix"], ["keys", "create", "--json"]])
def test_with_json_errors_are_problem_documents(odavl: Odavl, arguments: list[str]) -> None:
    result = odavl(*arguments)
    document = json.loads(result.stdout)
    assert document["type"] == "urn:odavl:problem:usage_error"
    assert document["code"] == "usage_error"
    assert (document["retryable"], document["exitCode"], result.returncode) == (False, 2, 2)
    assert result.stderr.count("\n") == 1


def test_a_wrong_configuration_is_told(odavl: Odavl, project: Path) -> None:
    (project / ".odavl").mkdir()
    (project / ".odavl" / "config.toml").write_text("colour = 1\n")
    result = odavl("whoami")
    assert "config.toml: colour is not a setting" in result.stderr
    assert result.returncode == 2


def test_a_home_that_cannot_be_used_is_told(odavl: Odavl, home: Path) -> None:
    home.write_text("a file")
    result = odavl("login", "--token", "-", "--hub", "http://127.0.0.1:9", stdin="odavl_abcdefgh")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.returncode in {2, 3}


def test_a_defect_is_one_line_and_with_v_a_traceback(home: Path, project: Path) -> None:
    program = (
        "import sys; import odavl.commands.doctor as d;"
        "d._python = lambda session: 1 / 0;"
        "from odavl.main import run; sys.exit(run(sys.argv[1:]))"
    )
    for arguments in (["doctor"], ["doctor", "-v"]):
        result = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=project,
            env=command_environment(home),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert "Error: A defect in odavl: ZeroDivisionError" in result.stderr
        assert result.returncode == 2
        assert ("Traceback" in result.stderr) == ("-v" in arguments)


def test_a_reader_that_goes_away_is_no_error(home: Path, project: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        command("--help"),
        stdout=writing,
        stderr=subprocess.PIPE,
        env=command_environment(home),
        cwd=project,
        check=False,
        timeout=300,
    )
    os.close(writing)
    assert (result.stderr, result.returncode) == (b"", 141)


def test_colour_is_for_terminals_and_no_color_ends_it(
    home: Path, project: Path, odavl: Odavl
) -> None:
    arguments = ["insight", "analyze", "--detectors", "ruff"]
    assert "\x1b[" in on_a_terminal(arguments, home, project)
    plain = on_a_terminal(arguments, home, project, NO_COLOR="1")
    assert "\x1b[" not in plain
    assert "LOW (2)" in plain
    assert "\x1b[" not in odavl(*arguments).stdout


def test_what_could_deceive_a_terminal_is_escaped(home: Path, project: Path) -> None:
    (project / "evil\x1b[2J\u202egpj.py").write_text("import os\n")
    seen = on_a_terminal(["insight", "analyze", "--detectors", "ruff"], home, project, NO_COLOR="1")
    assert "\x1b" not in seen
    assert "\u202e" not in seen
    assert "evil\\x1b[2J\\u202egpj.py" in seen


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(odavl: Odavl, shell: str) -> None:
    result = odavl("completion", shell)
    assert "_ODAVL_COMPLETE" in result.stdout
    assert result.returncode == 0


def test_completion_completes(odavl: Odavl) -> None:
    result = odavl(_ODAVL_COMPLETE="bash_complete", COMP_WORDS="odavl ins", COMP_CWORD="1")
    assert result.stdout == "plain,insight\n"


ON_ANOTHER_SYSTEM = """
import sys
from odavl.main import main
sys.platform, *sys.argv = sys.argv[1:]
main()
"""


@pytest.mark.parametrize("system", ["win32", "cygwin"])
@pytest.mark.parametrize("arguments", [["whoami"], ["doctor", "--json"], ["--version"]])
def test_on_windows_it_says_where_it_runs(home: Path, system: str, arguments: list[str]) -> None:
    """As far as can be shown here: what it does once it sees the system's name."""
    result = subprocess.run(
        [sys.executable, "-c", ON_ANOTHER_SYSTEM, system, "odavl", *arguments],
        env=command_environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "Error: odavl runs on Linux and macOS, not on Windows itself. Run it in the Windows "
        "Subsystem for Linux: wsl --install, then install odavl there.\n"
    )
    assert not home.exists()
