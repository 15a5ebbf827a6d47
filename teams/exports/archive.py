"""The archive of an export: one NDJSON file for each table, and a manifest that tells of them.

Rows are read through a cursor, a few thousand at a time, and written into a compressed file on
the disk, so that an export of any size takes the same memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec
from django.utils import timezone

from accounts.exports import Table, tables
from accounts.models import Organization, Project
from accounts.rendering import iso
from odavl import __version__
from odavl.wire import exports as wire

VERSION = 1
_ROWS_AT_ONCE = 1_000
_ALL = 100


@dataclass(slots=True)
class _Progress:
    """``note`` is called with percent, and may raise to stop the work."""

    total: int
    note: Callable[[int], None]
    done: int = 0

    def advance(self, rows: int) -> None:
        self.done += rows
        self.note(_ALL * self.done // max(self.total, 1))


def write_archive(
    file: IO[bytes],
    *,
    organization: Organization,
    project: Project | None,
    note: Callable[[int], None],
) -> wire.ExportManifest:
    """Write the archive into ``file``; ``note`` is told the percentage, often.

    What is in it is the data of one moment where the caller's transaction sees one.
    """
    wanted = [
        (table, table.rows(organization, project))
        for table in tables(of_project=project is not None)
    ]
    progress = _Progress(sum(rows.count() for _, rows in wanted), note)
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        files = [_write_table(archive, table, rows, progress) for table, rows in wanted]
        manifest = wire.ExportManifest(
            version=VERSION,
            hub_version=__version__,
            organization_id=str(organization.pk),
            organization=organization.name,
            project_id=str(project.pk) if project else None,
            project=project.name if project else None,
            created_at=str(iso(timezone.now())),
            files=files,
        )
        document = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        archive.writestr(_member("manifest.json"), document + b"\n")
    return manifest


def _write_table(
    archive: ZipFile, table: Table, rows: Any, progress: _Progress
) -> wire.ExportedFile:
    name = f"{table.name}.ndjson"
    digest, count, size = hashlib.sha256(), 0, 0
    encoder = msgspec.json.Encoder()
    # Its size is not known before: zip64 from the start, or the file could not pass 2 GiB.
    with archive.open(_member(name), "w", force_zip64=True) as member:
        held = bytearray()
        for row in rows.iterator(chunk_size=_ROWS_AT_ONCE):
            held += encoder.encode(table.show(row)) + b"\n"
            count += 1
            if count % _ROWS_AT_ONCE == 0:
                progress.advance(_ROWS_AT_ONCE)
                size += _passed_on(held, member, digest.update)
        progress.advance(count % _ROWS_AT_ONCE)
        size += _passed_on(held, member, digest.update)
    return wire.ExportedFile(name=name, rows=count, bytes=size, sha256=digest.hexdigest())


def _passed_on(held: bytearray, member: IO[bytes], update: Callable[[bytes], None]) -> int:
    data = bytes(held)
    held.clear()
    member.write(data)
    update(data)
    return len(data)


def _member(name: str) -> ZipInfo:
    info = ZipInfo(name, date_time=timezone.now().timetuple()[:6])
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info
