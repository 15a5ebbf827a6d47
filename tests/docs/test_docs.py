"""What is documented exists, and what exists is documented."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from odavl.wire.errors import (
    HeldError,
    OdavlError,
    RefusedError,
    RenewableError,
    TransientError,
    UsageError,
    every_error,
)
from tests.faults.rows import MISSING, ROWS, Missing
from tests.rooms import ROOMS

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
GROUPS = {OdavlError, UsageError, TransientError, RenewableError, HeldError, RefusedError}
READERS = re.compile(
    r"""env\.(?:text|boolean|integer|words|seconds|folder)\(\s*"([A-Z0-9_]+)"|environ(?:ment)?"""
    r"""(?:\.get\(|\[)"([A-Z0-9_]+)"\s*[\])]?"""
)
OF_THE_MACHINE = {"CI", "PATH", "VIRTUAL_ENV", "ODAVL_HOME", "DJANGO_SETTINGS_MODULE"}


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def first_cells(text: str) -> set[str]:
    """The words in code of every table's first column."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_error_code_is_documented_and_every_documented_one_exists() -> None:
    codes = {error.code for error in every_error() if error not in GROUPS}
    assert first_cells(text_of("docs/errors.md")) == codes


@pytest.mark.parametrize("error", [error for error in every_error() if error not in GROUPS])
def test_an_error_is_documented_with_its_status_and_exit_code(error: type[OdavlError]) -> None:
    row = next(
        line
        for line in text_of("docs/errors.md").splitlines()
        if line.startswith(f"| `{error.code}` ")
    )
    _, _, status, again, exits, *_ = (cell.strip() for cell in row.split("|"))
    assert status == str(int(error.status))
    assert str(error.exit_code) in exits.split(", ")
    if error.code != "internal_error":
        assert again == ("yes" if error.retryable else "no")


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("*.py")
    )
    read = {first or second for first, second in READERS.findall(code)} - OF_THE_MACHINE
    documented = {name for name in first_cells(text_of("docs/settings.md")) if name.isupper()}
    assert documented == read


def test_every_decision_is_listed() -> None:
    files = {path.name for path in (DOCS / "decisions").glob("0*.md")}
    listed = set(re.findall(r"\((0\d{3}-[a-z-]+\.md)\)", text_of("docs/decisions/README.md")))
    assert listed == files


def test_every_registry_that_is_named_exists_and_every_registry_is_named() -> None:
    _, _, table = text_of("docs/architecture.md").partition("## Where do I add")
    rows = re.findall(r"^\| [^|]+ \| `([\w.]+)` \|", table.partition("\n## ")[0], re.MULTILINE)
    for name in rows:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name
    undone = {
        f"{path.relative_to(REPOSITORY).with_suffix('')}".replace("/", ".")
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("*.py")
        if re.search(r"^def un(?:register|subscribe)\(", path.read_text(), re.MULTILINE)
    }
    named = {name.rpartition(".")[0] for name in rows}
    assert undone == {name for name in named if not name.startswith("odavl.")}


def test_every_dependency_has_its_reason() -> None:
    reasons = text_of("docs/decisions/0002-dependencies.md")
    for name in ("client", "hub"):
        for line in text_of(f"requirements/{name}.in").splitlines():
            package = re.split(r"[\[>=<;\s]", line, maxsplit=1)[0]
            if package and not line.startswith(("#", "-")):
                assert package in reasons, package


def fault_tests() -> set[str]:
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "tests" / "faults").rglob("test_*.py")
    )
    return set(re.findall(r"^def (test_row_\w+)", code, re.MULTILINE))


def row_of(name: str) -> int:
    return int(name.split("_")[2])


def test_every_row_of_the_faults_has_a_test_or_a_reason() -> None:
    shown = {row_of(name) for name in fault_tests()}
    assert shown | set(MISSING) == set(ROWS)
    assert {row for row, missing in MISSING.items() if missing.what == "all of it"} == (
        set(ROWS) - shown
    )


def test_the_page_on_reliability_says_what_the_suite_prints() -> None:
    shown, _, missing = text_of("docs/reliability.md").partition("## Not shown yet")
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", shown, re.MULTILINE)
    assert {int(number): what for number, what, _ in rows} == {
        number: what for number, what in ROWS.items() if number in map(row_of, fault_tests())
    }
    for number, _, cell in rows:
        named = re.findall(r"`(test_row_\w+)`", cell)
        assert sorted(named) == sorted(t for t in fault_tests() if row_of(t) == int(number))
    reasons = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", missing, re.MULTILINE)
    assert {int(number): Missing(what, why) for number, what, why in reasons} == MISSING
