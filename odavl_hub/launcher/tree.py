"""The children: started, watched, started again when they die, stopped in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from odavl_hub.launcher.forking import Process
from odavl_hub.launcher.orphan_reaper import OrphanReaper
from odavl_hub.launcher.output import Outputs, say

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_HEALTHY_SECONDS = 60
_HEALTHY_PAUSES = 10
_POLL_SECONDS = 0.02


@dataclass(slots=True)
class Child:
    """``start`` makes the process, given the descriptor of its output."""

    name: str
    start: Callable[[int | None], Process]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    last_signal: signal.Signals = signal.SIGKILL
    """What the orphan reaper sends to the group."""
    once: bool = False
    """It ends by itself, is not started again, and writes to the terminal directly."""
    process: Process | None = None
    started_at: float = 0
    pause: float = FIRST_PAUSE
    start_again_at: float | None = field(default=None)


class Tree:
    """All children in the order of their start."""

    def __init__(self, outputs: Outputs, orphan_reaper: OrphanReaper) -> None:
        self._outputs = outputs
        self._orphan_reaper = orphan_reaper
        self.children: list[Child] = []

    def add(self, child: Child) -> Child:
        """Start ``child`` and keep it running."""
        self.children.append(child)
        self._start(child)
        return child

    def supervise(self) -> None:
        """See who has died, and start again whose pause is over."""
        self._restart_orphan_reaper()
        for child in list(self.children):
            if child.process is not None and (code := child.process.poll()) is not None:
                self._record_end(child, code)
            if child.start_again_at is not None and time.monotonic() >= child.start_again_at:
                self._start(child)

    def stop(self, children: list[Child], *, at_once: Callable[[], bool]) -> None:
        """Ask ``children`` to end, wait for all of them, and kill what is left.

        ``at_once`` cuts the wait short when it turns true.
        """
        for child in children:
            self.children.remove(child)
            if child.process is not None and child.process.poll() is None:
                with suppress(ProcessLookupError):
                    # A one-shot's tools are to hear of it, too; servers tell their own workers.
                    send = os.killpg if child.once else os.kill
                    send(child.process.pid, child.stop_signal)
        for child in children:
            if child.process is not None:
                self._see_it_end(child, child.process, at_once)

    def _see_it_end(self, child: Child, process: Process, at_once: Callable[[], bool]) -> None:
        deadline = time.monotonic() + child.stop_seconds
        while process.poll() is None and time.monotonic() < deadline and not at_once():
            self._outputs.pump(_POLL_SECONDS)
        if process.poll() is None:
            say(f"hub: {child.name} did not end in time, killing it")
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            while process.poll() is None:
                self._outputs.pump(_POLL_SECONDS)
        self._end_the_group(process.pid)
        self._outputs.pump()

    def _start(self, child: Child) -> None:
        child.start_again_at = None
        child.started_at = time.monotonic()
        child.process = child.start(None if child.once else self._outputs.of(child.name))
        self._orphan_reaper.watch(child.process.pid, child.last_signal)

    def _record_end(self, child: Child, code: int) -> None:
        assert child.process is not None  # noqa: S101 - for the type checker: the caller polled it
        self._end_the_group(child.process.pid)
        child.process = None
        if child.once:
            self.children.remove(child)
            return
        lived = time.monotonic() - child.started_at
        child.pause = pause_after(child.pause, lived)
        child.start_again_at = time.monotonic() + child.pause
        say(f"hub: {child.name} ended ({_how(code)}), starting it again in {child.pause:.1f} s")

    def _end_the_group(self, group: int) -> None:
        # What a dead server's workers or a worker's tools still hold: ports, locks, memory.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self._orphan_reaper.release(group)

    def _restart_orphan_reaper(self) -> None:
        with suppress(ChildProcessError):
            if os.waitpid(self._orphan_reaper.pid, os.WNOHANG)[0]:
                self._orphan_reaper.replace()


def pause_after(pause: float, lived: float) -> float:
    """Seconds before a child is started again that lived ``lived`` after a wait of ``pause``.

    Waiting is for what dies as soon as it is started. What ran for ten times as long as it was
    waited for did start, and whoever killed it must not keep the hub waiting as well.
    """
    if lived > min(_HEALTHY_SECONDS, _HEALTHY_PAUSES * pause):
        return FIRST_PAUSE
    return min(pause * 2, LONGEST_PAUSE)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
