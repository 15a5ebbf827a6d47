"""The client's part alone: an analysis of many findings, from memory to the hub.

Run as a program of its own, so that its memory is its own. Prints seconds and peak MiB as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from odavl.hub.uploads import Destination, upload
from odavl.wire.analysis import ANALYSIS_DECODER, encoded_pieces
from odavl.wire.envelope import UploadMetadata


def main() -> None:
    path, upload_type, project = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    destination = Destination(
        address=os.environ["ODAVL_CLOUD_API"],
        token=os.environ["ODAVL_API_KEY"],
        organization_id=None,
        home=Path(os.environ["ODAVL_HOME"]),
    )
    metadata = UploadMetadata(project_name=project, branch="main")
    is_findings = upload_type == "analysis-results"
    results = ANALYSIS_DECODER.decode(path.read_bytes()) if is_findings else None
    start = time.perf_counter()
    # As `odavl insight` does it.
    payload = path if results is None else partial(encoded_pieces, results)
    result = upload(destination, "insight", upload_type, payload, metadata=metadata, wait=False)
    seconds = time.perf_counter() - start
    told = {"seconds": seconds, "peak": _peak(), **result.document()}
    sys.stdout.write(json.dumps(told))
    sys.exit(0 if result.success else 1)


def _peak() -> float:
    """Most that this process has held, in MiB; not getrusage, which counts the parent's at fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
