"""Which files belong to a project: what ``.gitignore`` and the excludes leave of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pathspec

from odavl.engines.insight.readable import (
    can_be_named,
    read_regular_file,
    reason_of,
    why_not_readable,
)
from odavl.engines.running.processes import Command, Processes, ProgramFailed
from odavl.wire import limits
from odavl.wire.analysis import UnreadFile
from odavl.wire.errors import UsageError

ALWAYS_EXCLUDED = frozenset({
    ".git", ".hg", ".svn", ".bzr", ".jj", ".odavl", "node_modules", "__pycache__", ".venv", "venv",
    ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    "site-packages",
})  # fmt: skip
"""Folders of version control, tools and installed packages: never a project's own source."""

GIT_TIMEOUT = 60.0
"""Seconds that Git may take to list the files; then a walk of ours does."""

_UNREADABLE_FOLDER = re.compile(
    r"^warning: could not open directory '(.+?)/?': (.+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to look at.

    ``project`` are the relative paths of all files, ``files`` those to look at, both sorted.
    ``scope`` is None for the whole project, else the paths that the run speaks for: ``files`` and
    those that are gone. ``unread`` are those that should be looked at and cannot be, with the
    reason; a folder among them ends in ``/``, and a name that is no UTF-8 is shown with escapes.
    """

    project: tuple[str, ...]
    files: tuple[str, ...]
    scope: tuple[str, ...] | None = None
    unread: tuple[UnreadFile, ...] = ()


@dataclass(slots=True)
class _Listing:
    """What was found, told to belong to the project or not yet."""

    paths: list[str]
    closed: dict[str, str]
    """Folders that could not be listed, with the reason."""


def select_files(
    root: Path,
    *,
    files: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    git_timeout: float = GIT_TIMEOUT,
) -> Selection:
    """The project's files, or those of them that ``files`` (files or folders) names.

    ``exclude`` are patterns as in a ``.gitignore``, seen from ``root``. In a Git work tree the
    files are those that Git tracks or would track, else a walk that obeys every ``.gitignore``.
    Left out everywhere: ``ALWAYS_EXCLUDED``, virtual environments, and links that lead out of the
    project or nowhere. What cannot be read or named is told as ``unread``. Raises
    :class:`UsageError` for a path outside ``root``.
    """
    listing = _listed_by_git(root, git_timeout)
    if listing is None or not listing.paths:
        listing = _walked(root)
    excluded = _spec(exclude)

    def is_wanted(path: str) -> bool:
        return not _is_excluded_by_name(path) and not excluded.match_file(path)

    unread = {f"{path}/": why for path, why in listing.closed.items() if is_wanted(f"{path}/")}
    found = []
    for path in sorted(filter(is_wanted, listing.paths)):
        why_not = why_not_readable(root, path)
        if why_not is None:
            found.append(path)
        elif why_not:
            unread[path] = why_not
    environments = _virtual_environments(root, found)
    own = [path for path in found if not path.startswith(environments)] if environments else found
    selection = Selection(tuple(own), tuple(own)) if files is None else _narrow(root, own, files)
    return replace(selection, unread=_told(root, unread, environments, files))


def relative_path(root: Path, path: str) -> str | None:
    """``path`` seen from ``root`` with ``/`` between its parts, or None if it lies elsewhere."""
    absolute = os.path.normpath(root / path)
    try:
        relative = os.path.relpath(absolute, root)
    except ValueError:  # another drive
        return None
    posix = PurePosixPath(Path(relative).as_posix())
    return None if ".." in posix.parts[:1] else str(posix)


def _narrow(root: Path, own: list[str], files: Sequence[str]) -> Selection:
    known = frozenset(own)
    chosen: set[str] = set()
    gone: set[str] = set()
    for name in files:
        path = relative_path(root, name)
        if path is None:
            raise UsageError(f"{name} is not inside the project.")
        inside = f"{path}/"
        if path == ".":
            chosen.update(known)
        elif path in known:
            chosen.add(path)
        elif os.path.isdir(root / path):  # noqa: PTH112 - which never raises
            chosen.update(each for each in own if each.startswith(inside))
        elif can_be_named(path) and _is_gone(root / path):
            gone.add(path)
    return Selection(tuple(own), tuple(sorted(chosen)), tuple(sorted(chosen | gone)))


def _is_gone(file: Path) -> bool:
    """Whether there is no such file; one that cannot be asked for may well be there."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _spec(patterns: Iterable[str]) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(patterns)


def _is_excluded_by_name(path: str) -> bool:
    return not ALWAYS_EXCLUDED.isdisjoint(path.split("/"))


def _told(
    root: Path,
    unread: dict[str, str],
    environments: tuple[str, ...],
    files: Sequence[str] | None,
) -> tuple[UnreadFile, ...]:
    """Those that this run would have looked at, with names that can be shown."""
    chosen = None if files is None else {relative_path(root, name) for name in files}
    return tuple(
        UnreadFile(path=_shown(path), reason=why)
        for path, why in sorted(unread.items())
        if not (environments and path.startswith(environments))
        and (chosen is None or any(_covers(each, path) for each in chosen))
    )


def _covers(chosen: str | None, path: str) -> bool:
    return chosen == "." or path.rstrip("/") == chosen or path.startswith(f"{chosen}/")


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")[: limits.MAX_PATH_LENGTH]


def _virtual_environments(root: Path, paths: list[str]) -> tuple[str, ...]:
    """Folders that hold a ``pyvenv.cfg``, whatever they are called."""
    return tuple(
        path.removesuffix("pyvenv.cfg")
        for path in paths
        if path.endswith("/pyvenv.cfg") and (root / path).is_file()
    )


def _listed_by_git(root: Path, timeout: float) -> _Listing | None:
    """Tracked files and untracked ones that are not ignored; None where Git does not answer."""
    # fsmonitor is a program that the repository's own configuration could name.
    git = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false")
    names = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    command = Command((*git, *names), success=frozenset({0}), environment={"LC_ALL": "C"})
    try:
        answer = Processes(root).run(command, deadline=time.monotonic() + timeout)
    except ProgramFailed:
        return None
    if answer.exit_code not in command.success:
        return None
    paths = [os.fsdecode(bytes(each)) for each in answer.stdout.split(b"\0") if each]
    closed = {folder: why.lower() for folder, why in _UNREADABLE_FOLDER.findall(answer.stderr)}
    return _Listing(list(dict.fromkeys(paths)), closed)


def _walked(root: Path) -> _Listing:
    """All files that no ``.gitignore`` on the way down excludes."""
    closed: dict[str, str] = {}

    def note(error: OSError) -> None:
        closed[Path(error.filename).relative_to(root).as_posix()] = reason_of(error)

    return _Listing(list(_walk(root, note)), closed)


def _walk(root: Path, on_error: Callable[[OSError], None]) -> Iterator[str]:
    rules: list[tuple[str, pathspec.GitIgnoreSpec]] = []
    for folder, folders, names in os.walk(root, onerror=on_error):
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        rules = [rule for rule in rules if prefix.startswith(rule[0])]
        if "pyvenv.cfg" in names and prefix:
            folders.clear()
            continue
        if ".gitignore" in names:
            rules.append((prefix, _read_rules(Path(folder) / ".gitignore")))
        folders[:] = sorted(
            name
            for name in folders
            if name not in ALWAYS_EXCLUDED and not _is_ignored(f"{prefix}{name}/", rules)
        )
        yield from (
            path
            for path in (f"{prefix}{name}" for name in sorted(names))
            if not _is_ignored(path, rules)
        )


def _read_rules(file: Path) -> pathspec.GitIgnoreSpec:
    try:
        return _spec(read_regular_file(file).decode("utf-8", "replace").splitlines())
    except OSError:
        return _spec(())


def _is_ignored(path: str, rules: list[tuple[str, pathspec.GitIgnoreSpec]]) -> bool:
    """The deepest ``.gitignore`` that has a word to say decides, as in Git."""
    for prefix, spec in reversed(rules):
        verdict = spec.check_file(path.removeprefix(prefix)).include
        if verdict is not None:
            return verdict
    return False
