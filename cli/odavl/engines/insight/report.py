"""The document that a run leaves in the project."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
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
    descriptor, name = tempfile.mkstemp(prefix=".export-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(_indented_pieces(results))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def _indented_pieces(results: AnalysisResults) -> Iterator[bytes]:
    """The document, file by file: a large one, indented, is larger than its findings in memory."""
    frame = _indented(msgspec.structs.replace(results, diagnostics={}))
    head, _, rest = frame.partition(b'"diagnostics": {}')
    yield head + b'"diagnostics": {'
    separator = b"\n"
    for path, diagnostics in results.diagnostics.items():
        # Formatted where it stands, so that it is indented as deep; then without its surroundings.
        inside = _indented({"diagnostics": {path: diagnostics}})
        yield separator + inside[len(_OPENING) : -len(_CLOSING)]
        separator = b",\n"
    yield (b"\n  }" if results.diagnostics else b"}") + rest + b"\n"


def _indented(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


_OPENING = b'{\n  "diagnostics": {\n'
_CLOSING = b"\n  }\n}"
