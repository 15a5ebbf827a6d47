"""The offline queue under ``~/.odavl/queue/``: what could not be sent, whole, until it is.

::

    uploads.json        the index: {"version": 1, "items": [...]}, rebuilt from the items if damaged
    items/<id>.json     the truth: one upload each; those in state "refused" are its dead letters
    blobs/<id>          the snapshot of its payload, as it crosses the wire
    quarantine/         items that are damaged, with their snapshots: set aside, never removed
    lock                held for every change
    sending.lock        held by the process that sends
    index.stale         there while a sender changes items; left behind, the index is rebuilt

An item is there once its file in ``items/`` is: the blob is written before it, each by temporary
file, fsync, rename and fsync of the folder. An item that a newer version wrote is left alone. This
module needs no network and imports only what every start has or what is cheap, because
``odavl sync queue`` must answer at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from odavl.hub import private_files
from odavl.hub.queue.items import (
    VERSION,
    DamagedItem,
    NewerItem,
    QueuedUpload,
    item_in,
    item_of,
)
from odavl.wire.errors import LocalStorageFailed, QueueFull

MAX_ITEMS = 10_000
MAX_BYTES = 1024**3
"""What all snapshots together may take."""

_PIECE = 256 * 1024
_SNAPSHOT = ".snapshot"
"""What the name of a damaged item's blob ends with in quarantine."""
_OUR_OWN_TROUBLE = frozenset({errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a file that cannot be opened is not to blame for."""


class QueueContent(NamedTuple):
    """``newer`` names item files of a newer version, ``quarantined`` those that are damaged."""

    items: list[QueuedUpload]
    newer: list[str]
    quarantined: list[str]


class UploadQueue:
    """The queue under ``home``. Looking at an absent queue creates nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "queue"
        self.index = self.folder / "uploads.json"
        self.items_folder = self.folder / "items"
        self.blobs_folder = self.folder / "blobs"
        self.quarantine = self.folder / "quarantine"
        self._stale = self.folder / "index.stale"

    def content(self) -> QueueContent:
        """All items, oldest first: from the index where it is whole, else from the items."""
        if not self._is_there():
            return QueueContent([], [], [])
        found = self._indexed()
        if found is not None:
            return found
        with self._changing():
            return self._rebuild()

    def add(self, item: QueuedUpload, body: IO[bytes]) -> QueuedUpload:
        """Take ``item`` in with a snapshot of ``body``; when this returns, it is on the disk.

        Raises :class:`QueueFull` at the limits and :class:`LocalStorageFailed` where the disk does
        not take it; the queue is then as it was.
        """
        self._make_folders()
        with self._changing():
            known = self._indexed() or self._rebuild()
            self._check_limits(known, item)
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
                self._write_index(known._replace(items=[*known.items, item]))
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

    def change(self, items: Iterable[QueuedUpload]) -> None:
        """As :meth:`update` for several that nobody is sending; the index tells it at once."""
        if not self._is_there():
            return
        with self._changing():
            private_files.touch(self._stale)
            for item in items:
                if self._item_path(item.id).exists():
                    self._write_item(item)
            self._rebuild()

    def drop(self, items: Iterable[QueuedUpload]) -> None:
        """As :meth:`remove` for several."""
        if not self._is_there():
            return
        with self._changing():
            for item in items:
                self._remove(item.id)
            self._rebuild()

    def clear(self) -> int:
        """Remove everything, also what is damaged or newer; gives how many items there were."""
        if not self._is_there():
            return 0
        with self._changing():
            names = self._item_names()
            for name in names:
                self._remove(name)
            count = len(names) + len(self._quarantined())
            for folder in (self.items_folder, self.blobs_folder, self.quarantine):
                private_files.empty_folder(folder)
            self._write_index(QueueContent([], [], []))
        return count

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
            private_files.touch(self._stale)
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
        """Of all items, whatever is in them; what others could read is theirs no more."""
        names = set()
        with os.scandir(self.items_folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith(
                    private_files.TEMPORARY_PREFIX
                ):
                    names.add(entry.name.removesuffix(".json"))
                    private_files.tighten(entry)
        return names

    def _quarantined(self) -> list[str]:
        try:
            names = os.listdir(self.quarantine)  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.endswith(_SNAPSHOT))

    def _indexed(self) -> QueueContent | None:
        """What the index tells, None where it is missing, damaged, stale or of another version."""
        if self._stale.exists():
            return None
        with contextlib.suppress(
            ValueError,
            TypeError,
            KeyError,
            RecursionError,
            LocalStorageFailed,
            DamagedItem,
            NewerItem,
        ):
            document = json.loads(private_files.read_private(self.index) or b"")
            if isinstance(document, dict) and document.get("version") == VERSION:
                items = [item_of(entry) for entry in document["items"]]
                newer = [str(name) for name in document.get("newer", ())]
                names = {item.id for item in items}.union(n.removesuffix(".json") for n in newer)
                if names == self._item_names():
                    return QueueContent(items, newer, self._quarantined())
        return None

    def _rebuild(self) -> QueueContent:
        """Read every item, set the damaged aside and write the index anew; the lock is held."""
        items: list[QueuedUpload] = []
        newer: list[str] = []
        for name in self._item_names():
            try:
                items.append(
                    item_in(name, private_files.read_private(self._item_path(name)) or b"")
                )
            except NewerItem:
                newer.append(f"{name}.json")
            except DamagedItem:
                self._set_aside(name)
            except LocalStorageFailed as error:
                if getattr(error.__cause__, "errno", None) in _OUR_OWN_TROUBLE:
                    raise
                self._set_aside(name)
        items.sort(key=lambda item: (item.createdAt, item.id))
        content = QueueContent(items, sorted(newer), self._quarantined())
        with contextlib.suppress(LocalStorageFailed):
            self._write_index(content)
            with private_files.file_lock(self.folder / "sending.lock", wait=False) as nobody_sends:
                if nobody_sends:
                    self._stale.unlink(missing_ok=True)
        self._sweep(content)
        return content

    def _set_aside(self, name: str) -> None:
        """The snapshot first: one that is left behind without an item would be swept away."""
        private_files.ensure_folder(self.quarantine)
        for path, kept in (
            (self.blobs_folder / name, f"{name}{_SNAPSHOT}"),
            (self._item_path(name), f"{name}.json"),
        ):
            with contextlib.suppress(FileNotFoundError):
                path.rename(self.quarantine / kept)
        private_files.sync_folder(self.quarantine)
        private_files.sync_folder(self.items_folder)

    def _sweep(self, content: QueueContent) -> None:
        """Remove what a killed process left half-made; with the lock held nobody is making any."""
        for folder in (self.folder, self.items_folder, self.blobs_folder):
            for path in folder.glob(f"{private_files.TEMPORARY_PREFIX}*"):
                path.unlink(missing_ok=True)
        if content.newer:
            return  # how a newer version names its snapshots, we cannot know
        names = {item.id for item in content.items}
        for blob in self.blobs_folder.iterdir():
            if blob.name not in names and not blob.is_dir():
                blob.unlink(missing_ok=True)

    def _check_limits(self, known: QueueContent, item: QueuedUpload) -> None:
        if len(known.items) + len(known.newer) + len(known.quarantined) >= MAX_ITEMS:
            raise _full(f"it holds {MAX_ITEMS} uploads")
        taken = sum(each.bodySize for each in known.items)
        if known.quarantined:
            taken += sum(path.lstat().st_size for path in self.quarantine.iterdir())
        if taken + item.bodySize > MAX_BYTES:
            raise _full(f"its payloads would take more than {MAX_BYTES} bytes")

    def _write_item(self, item: QueuedUpload) -> None:
        content = json.dumps(item._asdict(), indent=2).encode()
        private_files.write_private_bytes(self._item_path(item.id), content)

    def _write_index(self, content: QueueContent) -> None:
        document = {
            "version": VERSION,
            "items": [item._asdict() for item in content.items],
            "newer": content.newer,
        }
        private_files.write_private_bytes(self.index, json.dumps(document).encode())

    def _remove(self, item_id: str) -> None:
        try:
            private_files.discard(self._item_path(item_id))
            private_files.discard(self.blobs_folder / item_id)
            private_files.sync_folder(self.items_folder)
        except OSError as error:
            raise LocalStorageFailed(
                f"The queued upload {item_id} cannot be removed: {error.strerror}."
            ) from error


def _full(why: str) -> QueueFull:
    return QueueFull(
        f"The offline queue is full: {why}.",
        hint="Send it (odavl sync process-queue) or clear it (odavl sync queue --clear).",
    )
