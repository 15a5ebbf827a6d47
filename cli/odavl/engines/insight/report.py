"""The document that a run leaves in the project."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from odavl.wire.analysis import AnalysisResults

EXPORT_PATH = Path(".odavl") / "problems-panel-export.json"


def write_export(root: Path, results: AnalysisResults) -> Path:
    """Write the wire's document, indented for people, to ``EXPORT_PATH`` under ``root``.

    A reader finds the whole old file or the whole new one. Raises :class:`OSError`.
    """
    target = root / EXPORT_PATH
    target.parent.mkdir(parents=True, exist_ok=True)
    document = msgspec.json.format(msgspec.json.encode(results), indent=2)
    descriptor, name = tempfile.mkstemp(prefix=".export-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(document + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target
