"""One process of one version of the hub: ``version_process.py web HOST PORT | worker | relay``.

Which version that is, is for PYTHONPATH to say; its first line on standard output tells where its
code came from, for the test that must be sure. Where ODAVL_TEST_SECONDS_AHEAD says so, its clock is
wrong by that much: what Python code asks, `time.monotonic` apart, as on a host whose clock is.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import sysconfig
import time
from datetime import timedelta
from importlib import import_module
from types import ModuleType

_PR_SET_PDEATHSIG = 1
_AHEAD = float(os.environ.get("ODAVL_TEST_SECONDS_AHEAD", "0"))


def _set_the_clock() -> None:
    """Also in the children of granian, which import this file."""
    from django.utils import timezone  # noqa: PLC0415 - most processes have the right time

    true_time, true_now = time.time, timezone.now
    time.time = lambda: true_time() + _AHEAD
    timezone.now = lambda: true_now() + timedelta(seconds=_AHEAD)


if _AHEAD:
    _set_the_clock()
QUEUES = "interactive,default,bulk"


def main(role: str, *address: str) -> None:
    if sys.platform.startswith("linux"):
        # Not SIGKILL: granian and Celery have children of their own to end.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    import django  # noqa: PLC0415 - a child of granian imports this file, and needs nothing of it

    django.setup()
    roles = _roles()
    roles.preload()
    sys.stdout.write(f"{json.dumps(_sources())}\n")
    sys.stdout.flush()
    if role == "web":
        host, port = address
        roles.web(host, int(port))
    elif role == "worker":
        roles.worker(f"worker-{os.getpid()}", QUEUES, 1)
    else:
        roles.relay()


def _roles() -> ModuleType:
    """As this version calls them, once its settings may be read."""
    try:
        return import_module("odavl_hub.launcher.roles")
    except ModuleNotFoundError:
        return import_module("odavl_hub.supervisor.roles")


def _sources() -> list[str]:
    """The files of everything imported that is neither Python's own nor an installed package's."""
    others = tuple(
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return sorted(each for each in files - {None, __file__} if not each.startswith(others))


if __name__ == "__main__":
    main(*sys.argv[1:])
