"""The offline queue under ``~/.odavl/queue/``: what could not be sent, whole, until it is.

::

    uploads.json        the index: {"version": 1, "items": [...]}, rebuilt from the items if damaged
    items/<id>.json     the truth: one upload each
    blobs/<id>          the snapshot of its payload, as it crosses the wire
    lock                held for every change
    sending.lock        held by the process that sends
    index.stale         there while a sender changes items; left behind, the index is rebuilt

An item is there once its file in ``items/`` is: the blob is written before it, each by temporary
file, fsync, rename and fsync of the folder. This module needs no network and imports only what
every start has or what is cheap, because ``odavl sync queue`` must answer at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from odavl.hub import private_files
from odavl.wire.errors import LocalStorageFailed, OdavlError, QueueFull

VERSION = 1
MAX_ITEMS = 10_000
MAX_BYTES = 1024**3
"""What all snapshots together may take."""

State = Literal["queued", "held", "refused"]
_PIECE = 256 * 1024
_STATES = ("queued", "held", "refused")
_ITEM_ID = re.compile(r"[0-9a-f]{32}")


class QueuedUpload(NamedTuple):
    """One upload that waits. Field names are those of the file; times are ISO 8601 in UTC.

    ``state``: ``queued`` is sent when its time comes; ``held`` waits for a person (credentials,
    quota); ``refused`` will never be taken as it is, and is kept to be looked at.
    """

    id: str
    product: str
    type: str
    filePath: str  # noqa: N815 - the documented names of the file
    metadata: dict[str, Any]
    hub: str
    idempotencyKey: str  # noqa: N815 - see above
    encoding: str
    size: int
    bodySize: int  # noqa: N815 - see above
    sha256: str
    createdAt: str  # noqa: N815 - see above
    attempts: int = 0
    lastAttemptAt: str | None = None  # noqa: N815 - see above
    nextAttemptAt: str | None = None  # noqa: N815 - see above
    lastError: dict[str, Any] | None = None  # noqa: N815 - see above
    state: State = "queued"
    organizationId: str | None = None  # noqa: N815 - see above
    version: int = VERSION


class QueueContent(NamedTuple):
    """``unreadable`` names the item files that are damaged or of a newer version."""

    items: list[QueuedUpload]
    unreadable: list[str]


_KINDS = {
    "id": str,
    "product": str,
    "type": str,
    "metadata": dict,
    "hub": str,
    "idempotencyKey": str,
    "bodySize": int,
    "attempts": int,
    "createdAt": str,
}
_FIELDS = frozenset(QueuedUpload._fields)


class UploadQueue:
    """The queue under ``home``. Looking at an absent queue creates nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "queue"
        self.index = self.folder / "uploads.json"
        self.items_folder = self.folder / "items"
        self.blobs_folder = self.folder / "blobs"
        self._stale = self.folder / "index.stale"

    def content(self) -> QueueContent:
        """All items, oldest first: from the index where it is whole, else from the items."""
        if not self._is_there():
            return QueueContent([], [])
        names = self._item_names()
        indexed = self._read_index()
        if indexed is not None and {item.id for item in indexed} == names:
            return QueueContent(indexed, [])
        with self._changing():
            return self._rebuild()

    def add(self, item: QueuedUpload, body: IO[bytes]) -> QueuedUpload:
        """Take ``item`` in with a snapshot of ``body``; when this returns, it is on the disk.

        Raises :class:`QueueFull` at the limits and :class:`LocalStorageFailed` where the disk does
        not take it; the queue is then as it was.
        """
        self._make_folders()
        with self._changing():
            known = self._known()
            if len(known.items) + len(known.unreadable) >= MAX_ITEMS:
                raise _full(f"it holds {MAX_ITEMS} uploads")
            if sum(each.bodySize for each in known.items) + item.bodySize > MAX_BYTES:
                raise _full(f"its payloads would take more than {MAX_BYTES} bytes")
            blob = self.blob_path(item)

            def write(file: IO[bytes]) -> None:
                body.seek(0)
                while piece := body.read(_PIECE):
                    file.write(piece)

            private_files.write_private(blob, write)
            try:
                self._write_item(item)
            except BaseException:
                blob.unlink(missing_ok=True)
                raise
            # The item is safe from here on: an index that cannot be written is only rebuilt later.
            with contextlib.suppress(LocalStorageFailed):
                self._write_index([*known.items, item])
        return item

    def update(self, item: QueuedUpload) -> None:
        """Replace what is known of an item, unless it was cleared in the meantime."""
        with self._changing():
            if self._item_path(item.id).exists():
                self._write_item(item)

    def remove(self, item: QueuedUpload) -> None:
        """The item first: a blob without an item is only garbage, an item without one a loss."""
        with self._changing():
            self._remove(item.id)

    def clear(self) -> int:
        """Remove everything, also what cannot be read; gives how many items there were."""
        if not self._is_there():
            return 0
        with self._changing():
            names = self._item_names()
            for name in names:
                self._remove(name)
            for leftover in (*self.items_folder.iterdir(), *self.blobs_folder.iterdir()):
                leftover.unlink(missing_ok=True)
            self._write_index([])
        return len(names)

    def blob_path(self, item: QueuedUpload) -> Path:
        return self.blobs_folder / item.id

    @contextlib.contextmanager
    def sending(self, *, wait: bool) -> Iterator[bool]:
        """Be the one process that sends; yields False where another is and ``wait`` is False."""
        if not self._is_there():
            yield True
            return
        with private_files.file_lock(self.folder / "sending.lock", wait=wait) as mine:
            if not mine:
                yield False
                return
            self._stale.touch(mode=private_files.FILE_MODE)
            try:
                yield True
            finally:
                with self._changing():
                    self._rebuild()
                    self._stale.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        if not self.items_folder.is_dir():
            return False
        self._make_folders()
        return True

    def _make_folders(self) -> None:
        for folder in (self.home, self.folder, self.items_folder, self.blobs_folder):
            private_files.ensure_folder(folder)

    def _changing(self) -> contextlib.AbstractContextManager[bool]:
        return private_files.file_lock(self.folder / "lock")

    def _item_path(self, item_id: str) -> Path:
        return self.items_folder / f"{item_id}.json"

    def _item_names(self) -> set[str]:
        return {
            name.removesuffix(".json")
            for name in os.listdir(self.items_folder)  # noqa: PTH208 - half the time of iterdir
            if name.endswith(".json") and not name.startswith(private_files.TEMPORARY_PREFIX)
        }

    def _known(self) -> QueueContent:
        """As :meth:`content`, with the lock held."""
        indexed = self._read_index()
        if indexed is not None and {item.id for item in indexed} == self._item_names():
            return QueueContent(indexed, [])
        return self._rebuild()

    def _read_index(self) -> list[QueuedUpload] | None:
        """None where the index is missing, damaged, of another version or known to be stale."""
        if self._stale.exists():
            return None
        with contextlib.suppress(ValueError, RecursionError, LocalStorageFailed, _Unreadable):
            document = json.loads(private_files.read_private(self.index) or b"")
            if isinstance(document, dict) and document.get("version") == VERSION:
                return [_item_of(entry) for entry in document.get("items", ())]
        return None

    def _rebuild(self) -> QueueContent:
        """Read every item and write the index anew; the lock is held."""
        content = QueueContent([], [])
        for name in self._item_names():
            try:
                content.items.append(self._read_item(name))
            except _Unreadable:
                content.unreadable.append(f"{name}.json")
        content.items.sort(key=lambda item: (item.createdAt, item.id))
        content.unreadable.sort()
        with contextlib.suppress(LocalStorageFailed):
            self._write_index(content.items)
            with private_files.file_lock(self.folder / "sending.lock", wait=False) as nobody_sends:
                if nobody_sends:
                    self._stale.unlink(missing_ok=True)
        self._sweep()
        return content

    def _sweep(self) -> None:
        """Remove what a killed process left half-made; with the lock held nobody is making any."""
        names = self._item_names()
        for folder in (self.folder, self.items_folder, self.blobs_folder):
            for path in folder.glob(f"{private_files.TEMPORARY_PREFIX}*"):
                path.unlink(missing_ok=True)
        for blob in self.blobs_folder.iterdir():
            if blob.name not in names:
                blob.unlink(missing_ok=True)

    def _read_item(self, name: str) -> QueuedUpload:
        try:
            content = private_files.read_private(self._item_path(name))
            item = _item_of(json.loads(content or b""))
        except (ValueError, RecursionError, LocalStorageFailed) as error:
            raise _Unreadable from error
        if item.id != name or not _ITEM_ID.fullmatch(name):
            raise _Unreadable
        return item

    def _write_item(self, item: QueuedUpload) -> None:
        content = json.dumps(item._asdict(), indent=2).encode()
        private_files.write_private_bytes(self._item_path(item.id), content)

    def _write_index(self, items: list[QueuedUpload]) -> None:
        document = {"version": VERSION, "items": [item._asdict() for item in items]}
        private_files.write_private_bytes(self.index, json.dumps(document).encode())

    def _remove(self, item_id: str) -> None:
        try:
            self._item_path(item_id).unlink(missing_ok=True)
            (self.blobs_folder / item_id).unlink(missing_ok=True)
            private_files.sync_folder(self.items_folder)
        except OSError as error:
            raise LocalStorageFailed(
                f"The queued upload {item_id} cannot be removed: {error.strerror}."
            ) from error


class _Unreadable(Exception):
    """An item that is damaged, or written by a newer version."""


def new_item_id() -> str:
    return uuid.uuid4().hex


def timestamp(moment: datetime | None = None) -> str:
    """ISO 8601 in UTC with microseconds, so that texts sort as times do."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_failure(
    item: QueuedUpload, error: OdavlError, *, next_attempt_at: datetime | None
) -> QueuedUpload:
    """``item`` after a try that failed. What is held consumes no attempt."""
    state = state_of(error)
    return item._replace(
        state=state,
        attempts=item.attempts + (state != "held"),
        lastAttemptAt=timestamp(),
        nextAttemptAt=timestamp(next_attempt_at) if next_attempt_at else None,
        lastError={
            "code": error.code,
            "detail": error.detail,
            "retryable": error.retryable,
            "retryAfter": error.retry_after,
        },
    )


def state_of(error: OdavlError) -> State:
    """Where an upload goes that failed with ``error``."""
    if error.retryable:
        return "queued"
    return "held" if error.exit_code == 4 else "refused"  # noqa: PLR2004 - HeldError's exit code


def _item_of(entry: object) -> QueuedUpload:
    if not isinstance(entry, dict) or entry.get("version") != VERSION:
        raise _Unreadable
    kinds_fit = all(isinstance(entry.get(key), kind) for key, kind in _KINDS.items())
    if not kinds_fit or entry.get("state") not in _STATES:
        raise _Unreadable
    try:
        return QueuedUpload(**{key: entry[key] for key in entry.keys() & _FIELDS})
    except TypeError as error:
        raise _Unreadable from error


def _full(why: str) -> QueueFull:
    return QueueFull(
        f"The offline queue is full: {why}.",
        hint="Send it (odavl sync process-queue) or clear it (odavl sync queue --clear).",
    )
