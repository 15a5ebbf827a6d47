"""Copies of the working tree: the tree itself is never changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "odavl-mutants-"
# Built, not kept, and read by tests only.
_LINKED = (
    ".venv",
    "node_modules",
    "staticfiles",
    "odavl_hub/static/vendor",
    "tests/storage/servers/node_modules",
)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that goes when we end; those of runs that were killed go now."""
    home = Path(tempfile.gettempdir())
    for left in home.glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_tree(root: Path, target: Path) -> Path:
    """What Git knows or would take of ``root``, with the catalogues; what is built is linked."""
    command = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    names = [name for name in listed.split("\0") if name]
    names += [path.relative_to(root).as_posix() for path in root.glob("**/LC_MESSAGES/*.mo")]
    for name in names:
        source = root / name
        if source.is_file() and not source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for name in _LINKED:
        if (root / name).exists() and not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).symlink_to((root / name).resolve())
    return target


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
