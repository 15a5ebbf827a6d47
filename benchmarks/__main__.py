"""``python -m benchmarks [NAME…]``: all of it, or the named parts."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import ingest, reading, scale, small_uploads, starting, transfers
from benchmarks.hub import running_hub
from benchmarks.table import Table

PARTS = {
    "starting": starting.run,
    "ingest": ingest.run,
    "small": small_uploads.run,
    "reading": reading.run,
    "scale": scale.run,
    "transfers": transfers.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help="which parts; all by default"
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        default=Path(tempfile.gettempdir()) / "odavl-benchmarks",
        help="where the input is kept between runs",
    )
    options = parser.parse_args()
    options.corpus.mkdir(parents=True, exist_ok=True)
    table = Table()
    with (
        tempfile.TemporaryDirectory(prefix="odavl-bench-", ignore_cleanup_errors=True) as folder,
        running_hub(Path(folder) / "hub") as hub,
    ):
        for name in options.parts or PARTS:
            sys.stderr.write(f"{name}\n")
            PARTS[name](table, hub, options.corpus)
    sys.stdout.write(f"{table}\n")
    return 0 if all(row.met for row in table.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
