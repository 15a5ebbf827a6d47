"""Which files belong to a project: what ``.gitignore`` and the excludes leave of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pathspec

from odavl.engines.insight.processes import clean_environment
from odavl.wire.errors import UsageError

ALWAYS_EXCLUDED = frozenset({
    ".git", ".hg", ".svn", ".bzr", ".jj", ".odavl", "node_modules", "__pycache__", ".venv", "venv",
    ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    "site-packages",
})  # fmt: skip
"""Folders of version control, tools and installed packages: never a project's own source."""

_GIT_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Selection:
    """What to look at.

    ``project`` are the relative paths of all files, ``files`` those to look at, both sorted.
    ``scope`` is None for the whole project, else the paths that the run speaks for: ``files`` and
    those that are gone.
    """

    project: tuple[str, ...]
    files: tuple[str, ...]
    scope: tuple[str, ...] | None = None


def select_files(
    root: Path, *, files: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> Selection:
    """The project's files, or those of them that ``files`` (files or folders) names.

    ``exclude`` are patterns as in a ``.gitignore``, seen from ``root``. In a Git work tree the
    files are those that Git tracks or would track, else a walk that obeys every ``.gitignore``.
    Left out everywhere: ``ALWAYS_EXCLUDED``, virtual environments, links that lead out of the
    project, and names that are no UTF-8. Raises :class:`UsageError` for a path outside ``root``.
    """
    excluded = _spec(exclude)
    found = sorted(
        path
        for path in _listed_by_git(root) or _walk(root)
        if not _is_excluded_by_name(path)
        and not excluded.match_file(path)
        and _is_own_file(root, path)
    )
    environments = _virtual_environments(root, found)
    own = [path for path in found if not path.startswith(environments)] if environments else found
    return Selection(tuple(own), tuple(own)) if files is None else _narrow(root, own, files)


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
        elif (root / path).is_dir():
            chosen.update(each for each in own if each.startswith(inside))
        elif not (root / path).exists():
            gone.add(path)
    return Selection(tuple(own), tuple(sorted(chosen)), tuple(sorted(chosen | gone)))


def _spec(patterns: Iterable[str]) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(patterns)


def _is_excluded_by_name(path: str) -> bool:
    return not ALWAYS_EXCLUDED.isdisjoint(path.split("/"))


def _is_own_file(root: Path, path: str) -> bool:
    file = root / path
    try:
        path.encode()
        if file.is_symlink():
            return file.is_file() and file.resolve().is_relative_to(root)
        return file.is_file()
    except (OSError, UnicodeEncodeError):
        return False


def _virtual_environments(root: Path, paths: list[str]) -> tuple[str, ...]:
    """Folders that hold a ``pyvenv.cfg``, whatever they are called."""
    return tuple(
        path.removesuffix("pyvenv.cfg")
        for path in paths
        if path.endswith("/pyvenv.cfg") and (root / path).is_file()
    )


def _listed_by_git(root: Path) -> list[str]:
    """Tracked files and untracked ones that are not ignored; none where Git does not answer."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(
            command,
            cwd=root,
            env=clean_environment(root),
            capture_output=True,
            timeout=_GIT_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    return [os.fsdecode(each) for each in dict.fromkeys(answer.stdout.split(b"\0")) if each]


def _walk(root: Path) -> Iterator[str]:
    """All files that no ``.gitignore`` on the way down excludes."""
    rules: list[tuple[str, pathspec.GitIgnoreSpec]] = []
    for folder, folders, names in os.walk(root):
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
        return _spec(file.read_text("utf-8", "replace").splitlines())
    except OSError:
        return _spec(())


def _is_ignored(path: str, rules: list[tuple[str, pathspec.GitIgnoreSpec]]) -> bool:
    """The deepest ``.gitignore`` that has a word to say decides, as in Git."""
    for prefix, spec in reversed(rules):
        verdict = spec.check_file(path.removeprefix(prefix)).include
        if verdict is not None:
            return verdict
    return False
