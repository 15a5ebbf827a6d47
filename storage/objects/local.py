"""The local disk as an object store that survives a power cut.

Objects are written by temporary file, fsync, rename and fsync of the folder: a crash in the middle
leaves no half object under a final name. Signed addresses lead to the hub itself
(``storage.signed``), which writes through :meth:`LocalStore.put` and :meth:`LocalStore.put_part`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path

from odavl.wire.errors import ServiceUnavailable, StorageFull
from storage.objects.interface import (
    MARKS,
    PAGE_SIZE,
    PIECE_SIZE,
    Listed,
    Listing,
    ObjectFacts,
    ObjectMissing,
    Part,
    SignedRequest,
    Staged,
    Unfinished,
    UploadTerms,
    check_key,
)
from storage.objects.tickets import Sealer, Ticket

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_TEMPORARY = ".temporary"
_MULTIPART = ".multipart"
"""Both begin with a dot, which no key does, as do the marks."""


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """``address`` is that of the hub's page for tickets, up to the ticket itself."""

    folder: Path
    address: str
    secret: str


class LocalStore:
    name = "local"
    is_near = True
    binds = frozenset({"size", "type", "digest"})

    def __init__(self, options: LocalOptions) -> None:
        self.root = options.folder
        self.sealer = Sealer(options.secret)
        self._address = options.address

    def put(self, key: str, pieces: Iterable[bytes], *, content_type: str = "") -> int:
        del content_type  # The row in the database has it; a disk keeps none.
        return self._write(self.path_of(key), pieces)

    def stage(self, pieces: Iterable[bytes]) -> AbstractContextManager[Staged]:
        return self._staged(pieces)

    def pieces(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self.path_of(key)
        if not path.is_file():
            raise ObjectMissing(key)
        return _read(path, start, length)

    def facts(self, key: str) -> ObjectFacts:
        with _explained():
            try:
                return ObjectFacts(self.path_of(key).stat().st_size)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ObjectMissing(key) from error

    def size(self, key: str) -> int:
        return self.facts(key).size

    def exists(self, key: str) -> bool:
        with _explained():
            return self.path_of(key).is_file()

    def delete(self, key: str) -> None:
        with _explained():
            self.path_of(key).unlink(missing_ok=True)

    def move(self, source: str, target: str) -> None:
        goal = self.path_of(target)
        with _explained():
            _make_folder(goal.parent)
            try:
                self.path_of(source).replace(goal)
            except FileNotFoundError as error:
                if goal.is_file():
                    return
                raise ObjectMissing(source) from error
            _sync_folder(goal.parent)

    def listing(self, *, prefix: str = "", cursor: str = "", at_most: int = PAGE_SIZE) -> Listing:
        """In the order of the paths; the cursor is the last key."""
        behind = tuple(check_key(cursor).split("/")) if cursor else ()
        found: list[Listed] = []
        with _explained():
            for key in _keys(self.root, prefix, behind):
                if len(found) == at_most:
                    return Listing(found, next=found[-1].key)
                # Whoever deletes it at this moment may: then there is nothing to list.
                with suppress(FileNotFoundError):
                    found.append(_listed_object(key, self.root / key))
        return Listing(found)

    def sign_upload(self, key: str, terms: UploadTerms, *, seconds: int) -> SignedRequest:
        ticket = Ticket(
            "put", check_key(key), _end(seconds), terms.size, terms.content_type, terms.sha256
        )
        return self._signed("PUT", ticket, {"Content-Type": terms.content_type})

    def sign_download(
        self, key: str, *, file_name: str, content_type: str, seconds: int
    ) -> SignedRequest:
        ticket = Ticket(
            "get",
            check_key(key),
            _end(seconds),
            content_type=content_type,
            file_name=file_name,
        )
        return self._signed("GET", ticket, {})

    def start_multipart(self, key: str, *, content_type: str) -> str:
        del content_type
        check_key(key)
        upload_id = os.urandom(16).hex()
        with _explained():
            _make_folder(self._parts_folder(upload_id))
        return upload_id

    def sign_part(
        self, key: str, upload_id: str, number: int, *, size: int, seconds: int
    ) -> SignedRequest:
        ticket = Ticket(
            "part", check_key(key), _end(seconds), size, upload_id=upload_id, number=number
        )
        return self._signed("PUT", ticket, {})

    def put_part(self, upload_id: str, number: int, pieces: Iterable[bytes]) -> int:
        """Write one part; :class:`ObjectMissing` where the upload is completed or aborted."""
        folder = self._parts_folder(upload_id)
        if not folder.is_dir():
            raise ObjectMissing(upload_id)
        return self._write(folder / f"{number:05}", pieces)

    def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        folder = self._parts_folder(upload_id)
        with _explained():
            try:
                files = sorted(folder.iterdir())
            except FileNotFoundError as error:
                raise ObjectMissing(key) from error
            return [Part(int(file.name), file.stat().st_size) for file in files]

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        folder = self._parts_folder(upload_id)
        paths = [folder / f"{part.number:05}" for part in parts]
        try:
            self._write(self.path_of(key), _joined(paths))
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error
        self.abort_multipart(key, upload_id)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        del key
        shutil.rmtree(self._parts_folder(upload_id), ignore_errors=True)

    def unfinished(self) -> Iterator[Unfinished]:
        """Its folder's time is that of the last part, which is later than the beginning."""
        for folder in _listed(self.root / _MULTIPART):
            with suppress(FileNotFoundError):
                yield Unfinished(folder.name, "", _moment(folder.stat().st_mtime))

    def mark(self, name: str) -> None:
        self._write(self.root / MARKS / name, ())

    def has_mark(self, name: str) -> bool:
        with _explained():
            return (self.root / MARKS / name).is_file()

    def probe(self) -> None:
        folder = self.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ServiceUnavailable("not writable")

    def forget_leftovers(self, *, older_than: float) -> int:
        """Remove what crashes left half written more than ``older_than`` seconds ago; how much."""
        limit = time.time() - older_than
        count = 0
        for leftover in _listed(self.root / _TEMPORARY):
            if leftover.stat().st_mtime < limit:
                leftover.unlink(missing_ok=True)
                count += 1
        return count

    def _write(self, target: Path, pieces: Iterable[bytes]) -> int:
        with self._staged(pieces) as staged:
            staged.publish_at(target)
            return staged.size

    @contextmanager
    def _staged(self, pieces: Iterable[bytes]) -> Iterator[_StagedFile]:
        temporary = self.root / _TEMPORARY / os.urandom(12).hex()
        try:
            with _explained():
                _make_folder(temporary.parent)
                file = temporary.open("xb")
            with file:
                size = _filled(file, pieces)
            yield _StagedFile(self, temporary, size)
        finally:
            temporary.unlink(missing_ok=True)

    def path_of(self, key: str) -> Path:
        return self.root / check_key(key)

    def _parts_folder(self, upload_id: str) -> Path:
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise ObjectMissing(upload_id)
        return self.root / _MULTIPART / upload_id

    def _signed(self, method: str, ticket: Ticket, headers: dict[str, str]) -> SignedRequest:
        return SignedRequest(
            url=f"{self._address}{self.sealer.seal(ticket)}",
            method=method,
            expires_at=datetime.fromtimestamp(ticket.expires, UTC),
            headers=headers,
        )


def _filled(file: BufferedWriter, pieces: Iterable[bytes]) -> int:
    """Write ``pieces`` to the disk; their size. What their source raises is not the disk's."""
    with _explained():
        os.fchmod(file.fileno(), 0o600)
    size = 0
    for piece in pieces:
        with _explained():
            size += file.write(piece)
    with _explained():
        file.flush()
        os.fsync(file.fileno())
    return size


@dataclass(slots=True)
class _StagedFile:
    """On the disk already, under a name that nobody reads."""

    store: LocalStore
    temporary: Path
    size: int

    def publish(self, key: str, *, content_type: str = "") -> None:
        del content_type  # As in :meth:`LocalStore.put`.
        self.publish_at(self.store.path_of(key))

    def publish_at(self, target: Path) -> None:
        with _explained():
            _make_folder(target.parent)
            self.temporary.replace(target)
            _sync_folder(target.parent)


@contextmanager
def _explained() -> Iterator[None]:
    """The disk's faults as the hub's; a file that is missing stays one."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The hub's disk is full; nothing was stored.") from error
        raise ServiceUnavailable("The hub's disk does not take or give the object.") from error


def _read(path: Path, start: int, length: int | None) -> Iterator[bytes]:
    left = length
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(PIECE_SIZE if left is None else min(PIECE_SIZE, left)):
            if left is not None:
                left -= len(piece)
            yield piece


def _joined(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(PIECE_SIZE):
                yield piece


def _keys(folder: Path, prefix: str, behind: tuple[str, ...], above: str = "") -> Iterator[str]:
    """The keys of files below ``folder`` that begin with ``prefix``, in the order of their paths.

    Those up to and including the path ``behind`` are left out, without a look into their folders.
    """
    try:
        with os.scandir(folder) as entries:
            here = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    first, deeper = (behind[0], behind[1:]) if behind else ("", ())
    for name, is_folder in here:
        key = f"{above}{name}"
        if name.startswith(".") or name < first or not _may_hold(key, prefix):
            continue
        if is_folder:
            yield from _keys(folder / name, prefix, deeper if name == first else (), f"{key}/")
        elif (name != first or deeper) and key.startswith(prefix):
            yield key


def _may_hold(key: str, prefix: str) -> bool:
    return key.startswith(prefix) or prefix.startswith(key)


def _listed_object(key: str, path: Path) -> Listed:
    facts = path.stat()
    return Listed(key, facts.st_size, _moment(facts.st_mtime))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _end(seconds: int) -> int:
    return int(time.time()) + seconds


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
