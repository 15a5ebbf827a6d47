"""The reference of raw chunks: a WSGI application that writes each body to a file, and no more.

Served by the same server with as many processes and threads as the hub, so that the difference is
what the hub does: who, may they, digest, form, fsync, database, and a bound for slow clients. Under
``/kept`` it hashes and syncs the body, too, which is what nobody who keeps a chunk can leave out.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

_PIECE_SIZE = 256 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Write the body to a new file below ``BARE_FOLDER``."""
    path = Path(os.environ["BARE_FOLDER"]) / os.urandom(12).hex()
    keeps = environ["PATH_INFO"] == "/kept"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while piece := environ["wsgi.input"].read(_PIECE_SIZE):
            file.write(piece)
            if keeps:
                digest.update(piece)
        if keeps:
            file.flush()
            os.fsync(file.fileno())
    start_response("201 Created", [("Content-Length", "2")])
    return [b"{}"]


def main() -> None:
    """Serve on the port of the first argument until SIGTERM."""
    MPServer(
        "benchmarks.bare_server:application",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        workers=min(2, os.cpu_count() or 1),
        blocking_threads=4,
        websockets=False,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    main()
