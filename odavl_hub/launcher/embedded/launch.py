"""Starts one program so that it dies with its parent and, if told so, without root's rights.

Run as a script by :mod:`odavl_hub.launcher.embedded.service_process` with ``python -I -S``: only
the standard library, because it stands between every start and the service. PostgreSQL refuses to
run as root. Rather than making a system user and opening every folder above the data to the world,
it runs under an account that exists on every machine, with nothing of root's left; its working
folder, entered before the account is changed, is what it reaches whatever lies above.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
EXIT_CANNOT_START = 126


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def drop_to_account(uid: int, gid: int) -> None:
    """Become ``uid`` for good: the kernel takes root's capabilities along."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def enter_user_namespace(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Stay root to the outside but be ``uid`` to the program: for roots that may not setuid."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _checked(libc.unshare(CLONE_NEWUSER), "unshare the user namespace")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside_uid} 1"),
        ("gid_map", f"{gid} {outside_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 15 ms at each start
            file.write(line)


def die_with_parent(libc: ctypes.CDLL, parent: int, death_signal: int) -> None:
    """Have the kernel send ``death_signal`` when the parent is gone (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    _checked(libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0), "set the death signal")
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--account", choices=["same", "dropped", "namespace"])
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if options.account == "namespace":
            enter_user_namespace(libc, options.uid, options.gid)
        elif options.account == "dropped":
            drop_to_account(options.uid, options.gid)
        # After the account: the kernel forgets the death signal when credentials change.
        die_with_parent(libc, options.parent, options.death_signal)
        os.execv(options.command[0], options.command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"{options.command[0]} could not be started: {error}\n")
        sys.exit(EXIT_CANNOT_START)


if __name__ == "__main__":
    main()
