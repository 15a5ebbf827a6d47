"""The surroundings of programs: nothing leads to code of the project, no secret is in them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_DROPPED_PREFIXES = (
    "ODAVL_", "PYTHON", "RUFF_", "MYPY", "PYRIGHT_", "NODE_", "NPM_", "npm_", "ESLINT_", "TS_",
    "GIT_", "LD_", "DYLD_", "COVERAGE_",
)  # fmt: skip
"""Variables that point a tool at other code, other settings or another output; and our own keys."""

_FIXED = {
    # A `json.py` in the project must not be what a tool imports.
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "NO_COLOR": "1",
    # A repository's own settings can name programs that every `git` command starts.
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY"
    r"|SECRET_KEY|CREDENTIALS?)(?:_|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
"""An address with a password in it, such as that of a database."""


def clean_environment(root: Path) -> dict[str, str]:
    """The surroundings in which programs run: nothing in them leads to code of the project.

    Nor do they hold what a person or CI keeps there for others (tokens, passwords): a program that
    reads a stranger's files has no use for it.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED_PREFIXES)
        and name != "FORCE_COLOR"
        and not _is_secret(name, value)
    }
    return {**kept, **_FIXED, "PATH": os.pathsep.join(safe_path(root))}


def _is_secret(name: str, value: str) -> bool:
    return _SECRET_NAME.search(name) is not None or _SECRET_VALUE.search(value) is not None


def safe_path(root: Path) -> list[str]:
    """``PATH`` without folders of the project: a tool found there would be the project's code.

    If ODAVL itself runs from the project's tree, that code is trusted already, and stays.
    """
    entries = [each for each in os.environ.get("PATH", os.defpath).split(os.pathsep) if each]
    return [each for each in entries if Path(each).is_absolute() and is_trusted(Path(each), root)]


def is_trusted(place: Path, root: Path) -> bool:
    """Whether a program at ``place`` is none of the project's, or we run from the project too."""
    if Path(sys.prefix).resolve().is_relative_to(root):
        return True
    return not place.resolve().is_relative_to(root)
