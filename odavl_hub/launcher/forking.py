"""Our own processes, forked from the supervisor with all that it has imported."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Protocol

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_MANY_FILES = 1 << 20


class Process(Protocol):
    """What the supervisor needs of a child, forked or executed (:class:`subprocess.Popen`)."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...


class ForkedProcess:
    """A forked child; the part of :class:`subprocess.Popen` that the supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        if self._exit_code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._exit_code = 255
            else:
                self._exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self._exit_code


def fork(target: Callable[[], None], output: int | None, name: str) -> ForkedProcess:
    """Run ``target`` in a child with a session of its own; its output goes to ``output``.

    On Linux, ``ps`` and ``top`` show it and its own children as ``name`` (15 bytes of it).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return ForkedProcess(pid)
    exit_code = 1
    try:
        _become_a_child(parent, output)
        _be_called(name)
        target()
        exit_code = 0
    except SystemExit as ending:
        exit_code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child ends here whatever it was, and tells
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _open_files_limit() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MANY_FILES if limit == resource.RLIM_INFINITY else limit


def _become_a_child(parent: int, output: int | None) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    # The orphan reaper's pipe among them: while a child held it, it would never break.
    os.closerange(3, _open_files_limit())
    _die_with(parent)
    # Our children's children (granian's and Celery's workers) are forks, too.
    global _own_pid  # noqa: PLW0603 - what a fork's child must know of its parent
    _own_pid = os.getpid()
    os.register_at_fork(after_in_child=_follow_the_parent)


def _be_called(name: str) -> None:
    # All forks of one supervisor have its command line: without this nobody can tell them apart.
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


_own_pid = 0


def _follow_the_parent() -> None:
    global _own_pid
    parent, _own_pid = _own_pid, os.getpid()
    _die_with(parent)


def _die_with(parent: int) -> None:
    """Have the kernel kill us when ``parent`` is gone (Linux; elsewhere the orphan reaper does)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
