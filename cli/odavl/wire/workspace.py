"""``.odavl/`` between machines: manifests of files by content, in numbered revisions.

A file is named by its path below ``.odavl/`` and by the SHA-256 of its bytes. Up to
:data:`~odavl.wire.limits.CHUNK_SIZE` it is one chunk, itself; a larger one lists its chunks. Both
sides hold every manifest against the same rules (:func:`check_manifest`): neither trusts the paths
of the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.account import Name, Time
from odavl.wire.errors import FieldError, InvalidPayload, PayloadTooLarge
from odavl.wire.transfer import Chunk, Sha256, Size

STAY_HERE = frozenset({"project.json", "sync-state.json", "credentials.json", "credentials.key"})
"""What is a machine's own: its tie to a hub, what it synchronised last, and anything secret."""

CONFLICT_MARK = re.compile(r"\.conflict-[A-Za-z0-9-]{1,40}-r[0-9]{1,10}(?=\.[^.]*$|$)")
"""In the name of a copy that lies beside the file it contradicts; such copies do not travel."""

_MOST_ERRORS = 20
_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
Revision = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class WorkspaceFile(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    path: str
    sha256: Sha256
    size: Size
    chunks: tuple[Chunk, ...] = ()
    """In order; none where the file is one chunk, or empty."""

    def pieces(self) -> tuple[Chunk, ...]:
        """The chunks that hold its bytes, in order."""
        if self.chunks or not self.size:
            return self.chunks
        return (Chunk(self.sha256, self.size),)


class RevisionSummary(msgspec.Struct, kw_only=True, rename="camel"):
    """One state of a workspace; revision 0 is the empty one before the first push."""

    project_id: str
    revision: Revision
    id: str = ""
    machine: str = ""
    """The name of the machine that pushed it, as that machine gave it."""
    pushed_by: str = ""
    """A person's e-mail address, else the name of the API key."""
    pushed_at: Time | None = None
    file_count: int = 0
    size: Size = 0


class WorkspaceRevision(RevisionSummary, kw_only=True, rename="camel"):
    """``GET /api/v1/sync/workspace/{project}``: the newest revision with its files."""

    files: list[WorkspaceFile] = []


class RevisionPage(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The revisions that are kept, newest first; ``next`` is a cursor."""

    items: list[RevisionSummary]
    total: int | None = None
    next: str | None = None


class NewRevision(msgspec.Struct, kw_only=True, rename="camel"):
    """``POST /api/v1/sync/workspace/{project}/revisions``: all files that there are from now on.

    409 where the newest revision is not ``base_revision`` any more.
    """

    base_revision: Revision
    machine: Name
    files: list[WorkspaceFile]


class ChunksOffered(msgspec.Struct, kw_only=True, rename="camel"):
    """``POST /api/v1/sync/workspace/{project}/missing``: what a push is about to refer to."""

    chunks: list[Chunk]


class ChunksWanted(msgspec.Struct, kw_only=True, rename="camel"):
    """``missing`` names each chunk that the workspace lacks once, in order; the others are held."""

    missing: list[str]
    held_until: Time


def path_problem(path: str) -> str | None:
    """Why ``path`` may not travel, None where it may.

    What begins with a dot is hidden or temporary, and stays; so ``.`` and ``..`` are out, too.
    """
    if len(path) > limits.MAX_WORKSPACE_PATH_LENGTH:
        return f"longer than {limits.MAX_WORKSPACE_PATH_LENGTH} characters"
    steps = path.split("/")
    if len(steps) > limits.MAX_WORKSPACE_DEPTH:
        return f"deeper than {limits.MAX_WORKSPACE_DEPTH} folders"
    if same_name(path) in STAY_HERE:
        return "belongs to one machine"
    return next((found for step in steps if (found := _name_problem(step))), None)


def check_manifest(files: Sequence[WorkspaceFile]) -> None:
    """Raises :class:`PayloadTooLarge` or, pointing at the places, :class:`InvalidPayload`."""
    if len(files) > limits.MAX_WORKSPACE_FILES:
        raise PayloadTooLarge(f"A workspace may have {limits.MAX_WORKSPACE_FILES} files.")
    if sum(file.size for file in files) > limits.MAX_WORKSPACE_SIZE:
        raise PayloadTooLarge(f"A workspace may have {limits.MAX_WORKSPACE_SIZE} bytes.")
    errors = tuple(_limited(_problems(files)))
    if errors:
        raise InvalidPayload(
            "The manifest names files that cannot be: "
            + "; ".join(f"{error.pointer} {error.detail}" for error in errors[:3]),
            errors=errors,
        )


def same_name(path: str) -> str:
    """Equal for paths that some file system takes for one: other case, other composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class Names:
    """Paths that can lie beside each other on every file system."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}

    def add(self, path: str) -> bool:
        """Take ``path``; False, and not taken, where it clashes with one that came before.

        That is the same name in other letters, or a file where a folder is.
        """
        name = same_name(path)
        above = {same_name(folder): folder for folder in _above(path)}
        if name in self._files or name in self._folders or self._files & above.keys():
            return False
        if any(self._folders.get(name, spelt) != spelt for name, spelt in above.items()):
            return False
        self._files.add(name)
        self._folders.update(above)
        return True


def clashes(paths: Iterable[str]) -> set[str]:
    """All of ``paths`` that clash with another one of them; they are those of one folder."""
    known = list(paths)
    spellings: dict[str, set[str]] = {}
    for path in known:
        for step in (path, *_above(path)):
            spellings.setdefault(same_name(step), set()).add(step)
    several = {name for name, spelt in spellings.items() if len(spelt) > 1}
    return {
        path for path in known if any(same_name(step) in several for step in (path, *_above(path)))
    }


def _above(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def _name_problem(name: str) -> str | None:
    rules = (
        (not name, "has an empty step"),
        (name.startswith("."), "begins with a dot"),
        (
            len(name.encode(errors="replace")) > limits.MAX_WORKSPACE_NAME_BYTES,
            "has too long a name",
        ),
        (
            any(unicodedata.category(character) in _INVISIBLE for character in name),
            "has a character that cannot be seen",
        ),
        (
            _FORBIDDEN.search(name) or name.endswith((".", " ")) or _DEVICE.fullmatch(name),
            "has a name that not every file system takes",
        ),
        (CONFLICT_MARK.search(name), "is a conflict's copy"),
    )
    return next((text for broken, text in rules if broken), None)


def _problems(files: Sequence[WorkspaceFile]) -> Iterator[FieldError]:
    names = Names()
    for number, file in enumerate(files):
        pointer = f"/files/{number}"
        problem = path_problem(file.path)
        if problem is not None:
            yield FieldError(f"{pointer}/path", "invalid", problem)
        elif not names.add(file.path):
            yield FieldError(f"{pointer}/path", "clash", "clashes with a name before it")
        yield from _size_problems(pointer, file)


def _size_problems(pointer: str, file: WorkspaceFile) -> Iterator[FieldError]:
    if file.size > limits.MAX_WORKSPACE_FILE_SIZE:
        yield FieldError(f"{pointer}/size", "too_large", "is larger than a file may be")
    elif sum(chunk.size for chunk in file.pieces()) != file.size:
        yield FieldError(f"{pointer}/chunks", "invalid", "have not the size of the file")
    elif any(chunk.size > limits.CHUNK_SIZE for chunk in file.pieces()):
        yield FieldError(f"{pointer}/chunks", "too_large", "are larger than a chunk may be")


def _limited(errors: Iterator[FieldError]) -> Iterator[FieldError]:
    for _, error in zip(range(_MOST_ERRORS), errors, strict=False):
        yield error
