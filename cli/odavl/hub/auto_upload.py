"""The uploads that follow a run: its result aloud, what lies beside it in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from odavl.hub.run_files import RunFile, RunProduct
from odavl.hub.transfer.progress import Progress
from odavl.hub.transfer.upload import Destination, UploadResult, put_off, upload
from odavl.wire.envelope import UploadMetadata
from odavl.wire.errors import HeldError, OdavlError, TransientError


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one file."""

    file: RunFile
    result: UploadResult


@dataclass(frozen=True, kw_only=True)
class ProjectName:
    """The project that uploads go to; with neither, the key's own or the default one."""

    id: str | None = None
    name: str | None = None


def upload_files(
    destination: Destination,
    product: RunProduct,
    files: Sequence[RunFile],
    *,
    project: ProjectName,
    wait: bool = True,
    on_progress: Progress | None = None,
    on_sent: Callable[[Sent], None] | None = None,
) -> list[Sent]:
    """Send ``files`` in their order; what cannot be sent now is queued.

    Once the hub is found away or holds something against the sender, the rest is queued without
    another try: none of it would fare better, and each try takes its time.

    Raises :class:`LocalStorageFailed` and :class:`UsageError` for a file that could neither be
    sent nor queued, unless it is silent.
    """
    sent: list[Sent] = []
    stopped: OdavlError | None = None
    for file in files:
        metadata = _metadata(product, file, project)
        if stopped is not None:
            result = put_off(
                destination,
                product,
                file.type,
                file.path,
                metadata=metadata,
                error=stopped,
                silent=file.silent,
                on_progress=on_progress,
            )
        else:
            result = upload(
                destination,
                product,
                file.type,
                file.path,
                metadata=metadata,
                silent=file.silent,
                wait=wait and not file.silent,
                on_progress=on_progress,
            )
        if isinstance(result.error, TransientError | HeldError):
            stopped = result.error
        sent.append(Sent(file=file, result=result))
        if on_sent is not None:
            on_sent(sent[-1])
    return sent


def exit_code(sent: Sequence[Sent]) -> int:
    """The worst of what was not silent."""
    return max((each.result.exit_code for each in sent if not each.file.silent), default=0)


def _metadata(product: RunProduct, file: RunFile, project: ProjectName) -> UploadMetadata:
    return UploadMetadata(
        project_id=project.id,
        project_name=project.name,
        timestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        file_name=file.path.name,
        run_id=file.run_id if product == "autopilot" else None,
        test_run_id=file.run_id if product == "guardian" else None,
    )
