"""Tries `make run` as a stranger would: in a fresh clone, below a folder closed to everybody else.

In the path are a space and letters that are no ASCII. The hub starts, analyses itself and uploads,
ends by SIGTERM, and starts again (as root on Linux: without a network). Further arguments are given
to pytest in that clone, with its own Python.

    scripts/try_fresh.py [--python PATH] [PYTEST_ARGUMENT …]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 1800
STOP_SECONDS = 120
WITHOUT_NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="the interpreter; else the one that make takes")
    options, pytest_arguments = parser.parse_known_args()
    closed = Path(tempfile.mkdtemp(prefix="odavl-fresh-"))  # of mode 0700
    tree = closed / "a path \N{LATIN SMALL LETTER U WITH DIAERESIS}" / "odavl"
    try:
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(tree)], check=True)
        chosen = [f"PYTHON={options.python}"] if options.python else []
        serve(tree, ["make", *chosen, "run"], until=r"Uploaded: http")
        without_network = WITHOUT_NETWORK if can_do_without_network() else []
        serve(tree, [*without_network, "make", "run"], until=r"Sign in as ")
        if pytest_arguments:
            command = [str(tree / ".venv/bin/python"), "-m", "pytest", *pytest_arguments]
            return subprocess.run(command, cwd=tree, env=environment(), check=False).returncode
    finally:
        shutil.rmtree(closed, ignore_errors=True)
    return 0


def serve(tree: Path, command: list[str], *, until: str) -> None:
    """Run ``command`` until it says ``until``, then have it end."""
    print(f"try_fresh: {' '.join(command)}", flush=True)
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment() | {"PORT": str(free_port()), "ODAVL_HOME": str(tree.parent / "home")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker
    late = threading.Timer(START_SECONDS, os.killpg, [process.pid, signal.SIGTERM])
    late.start()
    said = []
    for line in process.stdout:
        said.append(line)
        if re.search(until, line):
            break
    late.cancel()
    # `make` passes no signal on; its group is what a terminal or a service manager ends.
    os.killpg(process.pid, signal.SIGTERM)
    rest, _ = process.communicate(timeout=STOP_SECONDS)
    if not re.search(until, "".join(said)):
        raise SystemExit(f"try_fresh: it never said {until!r}:\n{''.join(said)}{rest}")


def environment() -> dict[str, str]:
    """Ours, less what would lead the clone to our own tree, hub and servers."""
    foreign = ("ODAVL_", "DATABASE_URL", "REDIS_URL", "VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def can_do_without_network() -> bool:
    try:
        command = [*WITHOUT_NETWORK, "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
