"""A test that has a hub and never ends; only test_watchdog.py runs it, and kills the run."""

from __future__ import annotations

import threading


def test_that_never_ends(start_hub):
    start_hub().wait_until_serving()
    threading.Event().wait()
