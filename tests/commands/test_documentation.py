"""The client's README names every command, setting, variable and exit code, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from odavl.main import cli
from odavl.project.config import ENVIRONMENT, KEYS
from odavl.wire.errors import every_error

README = (Path(__file__).parents[2] / "cli" / "README.md").read_text()


def commands(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    rows = re.findall(r"^\| `(odavl [a-z -]+?)(?: \[?[A-Z]+…?\]?)?` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(commands(cli, "odavl"))


def test_every_setting_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (?:`([A-Z_]+)`)? *\|", README, re.MULTILINE)
    assert [name for name, _ in rows] == list(KEYS)
    assert {name: variable for name, variable in rows if variable} == ENVIRONMENT


def test_every_exit_code_is_documented() -> None:
    rows = {int(code) for code in re.findall(r"^\| ([0-9]) \|", README, re.MULTILINE)}
    assert rows == {0, 1} | {error.exit_code for error in every_error()}
