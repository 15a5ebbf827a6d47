"""How a service is started: under which account, and so that it never outlives its parent."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from odavl_hub.embedded.errors import EmbeddedServiceError

_SCRIPT = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Account:
    """Who a program runs as.

    ``method`` is one of launch.py's: same, plain, path-access, namespace.
    """

    method: str
    uid: int
    gid: int

    @property
    def owner_uid(self) -> int:
        """The uid that the program's files have outside of the program."""
        return os.geteuid() if self.method in {"same", "namespace"} else self.uid

    @property
    def owner_gid(self) -> int:
        return os.getegid() if self.method in {"same", "namespace"} else self.gid


def own_account() -> Account:
    return Account("same", os.geteuid(), os.getegid())


def launch(
    command: list[str],
    *,
    account: Account,
    death_signal: signal.Signals,
    output: int | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own; ``death_signal`` reaches it when we die."""
    return subprocess.Popen(
        _wrapped(command, account, death_signal),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if environment is None else dict(environment),
        start_new_session=True,
        cwd="/",
    )


def run(command: list[str], *, account: Account) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end and give back what it printed."""
    return subprocess.run(
        _wrapped(command, account, signal.SIGKILL),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def unprivileged_account(executable: Path, folder: Path) -> Account:
    """An account other than root which can run ``executable`` and use ``folder``.

    For everybody but root that is oneself. ``folder`` must exist; root gives it to the account.
    Raises :class:`EmbeddedServiceError` where the machine allows none of the ways.
    """
    if os.geteuid() != 0:
        return own_account()
    entry = _service_entry()
    for method in ("plain", "path-access", "namespace"):
        account = Account(method, entry.pw_uid, entry.pw_gid)
        if _works(account, executable, folder):
            return account
    raise EmbeddedServiceError(
        "PostgreSQL refuses to run as root, and this machine does not let root become "
        f"'{entry.pw_name}': start the hub as another user, or set DATABASE_URL."
    )


def give_to(account: Account, folder: Path) -> None:
    """Make ``folder`` and all in it the account's, where it is not (a moved or restored one)."""
    if folder.stat().st_uid == account.owner_uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.owner_uid, account.owner_gid, follow_symlinks=False)


def _service_entry() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServiceError(
        "PostgreSQL refuses to run as root and there is no account 'nobody': "
        "start the hub as another user, or set DATABASE_URL."
    )


def _works(account: Account, executable: Path, folder: Path) -> bool:
    try:
        os.chown(folder, account.owner_uid, account.owner_gid)
    except OSError:
        return False
    probe = folder / ".probe"
    touch = shutil.which("touch") or "/bin/touch"
    try:
        return all(
            run(command, account=account).returncode == 0
            for command in ([str(executable), "--version"], [touch, str(probe)])
        )
    finally:
        probe.unlink(missing_ok=True)


def _wrapped(command: list[str], account: Account, death_signal: signal.Signals) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", str(_SCRIPT)),
        *("--parent", str(os.getpid()), "--death-signal", str(int(death_signal))),
        *("--account", account.method, "--uid", str(account.uid), "--gid", str(account.gid)),
        "--",
        *command,
    ]
