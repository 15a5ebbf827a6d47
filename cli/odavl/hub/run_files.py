"""Which of the files under ``.odavl/`` belong to a run, and what each is uploaded as.

::

    autopilot   ledger/run-<runId>.json                      the result
                undo/latest.json, recipes-trust.json,
                history.json                                 silent
    guardian    guardian/test-<testRunId>.json               the result
                guardian/screenshots/<testRunId>/*.png|jpg,
                guardian/lighthouse-<testRunId>.json,
                guardian/accessibility-<testRunId>.json      silent

What is silent says nothing on success, is queued on failure and never fails the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from odavl.wire.envelope import UPLOAD_TYPES
from odavl.wire.errors import UsageError

RunProduct = Literal["autopilot", "guardian"]
PICTURES = (".png", ".jpg", ".jpeg")
_LEDGERS = "ledger/run-*.json"
_TESTS = "guardian/test-*.json"
_BESIDE_A_LEDGER = {
    "undo/latest.json": "snapshot",
    "recipes-trust.json": "recipe-trust",
    "history.json": "run-history",
}
_BESIDE_A_TEST = {"lighthouse": "lighthouse-report", "accessibility": "accessibility-report"}


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """One file to upload. ``run_id`` names the run or test it belongs to, None where none is."""

    path: Path
    type: str
    run_id: str | None
    silent: bool


def run_ids(folder: Path, product: RunProduct) -> list[str]:
    """The runs whose results lie under ``folder`` (``.odavl``), the newest last."""
    pattern = _LEDGERS if product == "autopilot" else _TESTS
    found = sorted(own_files(folder, folder.glob(pattern)), key=_age)
    return [path.stem.partition("-")[2] for path in found]


def files_of_run(folder: Path, product: RunProduct, run_id: str) -> list[RunFile]:
    """What there is of the run, its result first; empty where even that is not there."""
    find = _of_ledger if product == "autopilot" else _of_test
    found = list(find(folder, run_id))
    return found if found and not found[0].silent else []


def files_of_all_runs(folder: Path, product: RunProduct) -> list[RunFile]:
    """As :func:`files_of_run` for every run, oldest first; what all share comes once, last."""
    found: dict[Path, RunFile] = {}
    for run_id in run_ids(folder, product):
        for file in files_of_run(folder, product, run_id):
            found.pop(file.path, None)
            found[file.path] = file
    return list(found.values())


def named_file(product: RunProduct, path: Path, *, run_id: str | None = None) -> RunFile:
    """A file that a person names, as what its name says. Raises :class:`UsageError`."""
    for upload_type, test in _NAMES[product].items():
        if test(path):
            return RunFile(
                path=path, type=upload_type, run_id=run_id or _named_run(path), silent=False
            )
    raise UsageError(
        f"{path} is named like nothing that {product} uploads.",
        hint=f"Say what it is: --type {'|'.join(UPLOAD_TYPES[product])}",
    )


def _of_ledger(folder: Path, run_id: str) -> Iterator[RunFile]:
    for path in own_files(folder, [folder / "ledger" / f"run-{run_id}.json"]):
        yield RunFile(path=path, type="ledger", run_id=run_id, silent=False)
    for name, upload_type in _BESIDE_A_LEDGER.items():
        for path in own_files(folder, [folder / name]):
            yield RunFile(path=path, type=upload_type, run_id=run_id, silent=True)


def _of_test(folder: Path, run_id: str) -> Iterator[RunFile]:
    own = folder / "guardian"
    for path in own_files(folder, [own / f"test-{run_id}.json"]):
        yield RunFile(path=path, type="test-results", run_id=run_id, silent=False)
    pictures = (own / "screenshots" / run_id).glob("*")
    for path in sorted(own_files(folder, (path for path in pictures if _is_picture(path)))):
        yield RunFile(path=path, type="screenshot", run_id=run_id, silent=True)
    for name, upload_type in _BESIDE_A_TEST.items():
        for path in own_files(folder, [own / f"{name}-{run_id}.json"]):
            yield RunFile(path=path, type=upload_type, run_id=run_id, silent=True)


def own_files(folder: Path, paths: Iterator[Path] | list[Path]) -> Iterator[Path]:
    """Those that are files inside of ``folder``: a link in a foreign project leads nowhere else."""
    root = folder.resolve()
    for path in paths:
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _age(path: Path) -> tuple[float, str]:
    return path.stat().st_mtime, path.name


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _named_run(path: Path) -> str | None:
    if _is_picture(path):
        absolute = path.absolute()
        return absolute.parent.name if absolute.parent.parent.name == "screenshots" else None
    kind, dash, run_id = path.stem.partition("-")
    return run_id if dash and kind in {"run", "test", *_BESIDE_A_TEST} else None


def _starts(prefix: str) -> Callable[[Path], bool]:
    return lambda path: path.name.startswith(prefix) and path.suffix == ".json"


_NAMES: dict[RunProduct, dict[str, Callable[[Path], bool]]] = {
    "autopilot": {
        "ledger": _starts("run-"),
        "recipe-trust": lambda path: path.name == "recipes-trust.json",
        "run-history": lambda path: path.name == "history.json",
        "snapshot": lambda path: (
            path.name == "latest.json" or path.absolute().parent.name == "undo"
        ),
    },
    "guardian": {
        "test-results": _starts("test-"),
        "lighthouse-report": _starts("lighthouse-"),
        "accessibility-report": _starts("accessibility-"),
        "screenshot": _is_picture,
    },
}
