"""What of a project can be read without harm, and reading it: nothing here waits or has no end."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from odavl.wire import limits

State = tuple[int, int, int]
"""What tells two contents of a file apart without reading it."""

_MAX_SETTINGS_SIZE = 4 * limits.MEBIBYTE
_KINDS = (
    (stat.S_ISFIFO, "it is a FIFO"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISBLK, "it is a device"),
    (stat.S_ISCHR, "it is a device"),
)


def read_regular_file(file: Path, *, limit: int = _MAX_SETTINGS_SIZE) -> bytes:
    """The content of ``file``. Never waits: for a FIFO that nobody writes to, for instance.

    Raises :class:`OSError` if it is no regular file, cannot be read or is larger than ``limit``.
    """
    with _opened(file) as opened:
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise OSError(f"{file.name} is larger than {limit // limits.MEBIBYTE} MiB")
    return content


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    with open(file, "rb", opener=_open_without_waiting) as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise OSError(f"{file.name} is no regular file")
        yield opened


def _open_without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def has_longer_line(file: Path, length: int) -> bool:
    """Whether a line of ``file`` has more than ``length`` bytes; false for what cannot be read."""
    try:
        if file.stat().st_size <= length:
            return False
        with _opened(file) as opened:
            size = 0
            # No line inside of a piece is longer than the piece.
            while piece := opened.read(length):
                first = piece.find(b"\n")
                size += len(piece) if first < 0 else first
                if size > length:
                    return True
                if first >= 0:
                    size = len(piece) - piece.rfind(b"\n") - 1
    except OSError:
        pass
    return False


def read_settings(file: Path) -> str:
    """The text of a settings file. Raises :class:`OSError` as above, or :class:`ValueError`."""
    return read_regular_file(file).decode("utf-8")


def holds_traps(root: Path, excluded: Container[str]) -> bool:
    """Whether a tool that walks ``root`` by itself could meet something that never ends.

    That is a FIFO, a device, a socket, or a link to one of these or out of the project. Folders of
    the names in ``excluded`` are not searched.
    """
    folders = [str(root)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in excluded:
                    folders.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and not _leads_inside(root, entry):
                return True
    return False


def _leads_inside(root: Path, entry: os.DirEntry[str]) -> bool:
    """Whether it is a link to a file or folder of the project, or to nothing at all."""
    if not entry.is_symlink():
        return False
    try:
        mode = entry.stat().st_mode
    except OSError:
        return True
    is_plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return is_plain and Path(entry.path).resolve().is_relative_to(root)


def why_not_readable(root: Path, path: str) -> str | None:
    """Why the file cannot be looked at: None if it can be, empty if it is none of the project's."""
    file = root / path
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            is_own = file.is_file() and file.resolve().is_relative_to(root)
            mode = file.stat().st_mode if is_own else 0
    except FileNotFoundError:
        return ""
    except OSError as error:
        return reason_of(error)
    if not stat.S_ISREG(mode):
        return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8"
    if len(path) > limits.MAX_PATH_LENGTH:
        return f"its path has more than {limits.MAX_PATH_LENGTH} characters"
    return None if _is_readable(file) else "permission denied"


def _is_readable(file: Path) -> bool:
    if os.access in os.supports_effective_ids:
        return os.access(file, os.R_OK, effective_ids=True)
    return os.access(file, os.R_OK)


def reason_of(error: OSError) -> str:
    """What the system says, as the end of a sentence."""
    return (error.strerror or str(error)).lower()


def states_of(root: Path, paths: Iterable[str]) -> dict[str, State | None]:
    """The state of each file; None for one that is gone."""
    return {path: _state(root / path) for path in paths}


def changed_since(root: Path, before: Mapping[str, State | None]) -> dict[str, str]:
    """Files that are no more what they were, and how: what is said of them may be of either."""
    changed = {}
    for path, state in before.items():
        now = _state(root / path)
        if now is None:
            changed[path] = "it went away during the analysis"
        elif now != state:
            changed[path] = "it changed during the analysis"
    return changed


def _state(file: Path) -> State | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
