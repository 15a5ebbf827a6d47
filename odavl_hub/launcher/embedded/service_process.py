"""How a service is started: under which account, and so that it never outlives its parent."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from odavl_hub.launcher.errors import EmbeddedServiceError

_SCRIPT = Path(__file__).with_name("launch.py")
_ENVIRONMENT = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR"}
)
"""What a service is told of our environment. The rest is the hub's: its secrets, and settings
such as PGPORT that would mean something else to the service."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a program runs as.

    ``method`` is one of launch.py's: same, dropped, namespace.
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
    folder: Path,
    death_signal: signal.Signals,
    output: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``folder`` and a session of its own.

    ``death_signal`` reaches it when we die. Of our environment it sees what every program needs.
    """
    return subprocess.Popen(
        _wrapped(command, account, death_signal),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=_environment(),
        start_new_session=True,
        cwd=folder,
    )


def run(command: list[str], *, account: Account, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder`` to its end and give back what it printed."""
    return subprocess.run(
        _wrapped(command, account, signal.SIGKILL),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env=_environment(),
        cwd=folder,
    )


def unprivileged_accounts() -> Iterable[Account]:
    """Those that may run PostgreSQL, to be tried in this order: never root.

    For everybody but root that is oneself; in a namespace where the machine has no name for one,
    as in containers that run under any number: initdb asks for it. Raises
    :class:`EmbeddedServiceError` where there is no account to become.
    """
    if os.geteuid() != 0 and _has_a_name(os.geteuid()):
        return [own_account()]
    entry = _service_entry()
    if os.geteuid() != 0:
        return [Account("namespace", entry.pw_uid, entry.pw_gid)]
    return [Account(method, entry.pw_uid, entry.pw_gid) for method in ("dropped", "namespace")]


def works(account: Account, *, executable: Path, folder: Path) -> bool:
    """Whether ``account`` can run ``executable`` and write into ``folder``, which it is given."""
    try:
        os.chown(folder, account.owner_uid, account.owner_gid)
    except OSError:
        return False
    probe = folder / ".probe"
    commands = (
        [str(executable), "--version"],
        # PostgreSQL asks for this before it starts, and with the real user's rights.
        [shutil.which("test") or "/usr/bin/test", "-r", str(executable)],
        [shutil.which("touch") or "/usr/bin/touch", probe.name],
    )
    try:
        return all(
            run(command, account=account, folder=folder).returncode == 0 for command in commands
        )
    finally:
        probe.unlink(missing_ok=True)


def give_to(account: Account, folder: Path) -> None:
    """Make ``folder`` and all in it the account's, where it is not (a moved or restored one)."""
    if folder.stat().st_uid == account.owner_uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.owner_uid, account.owner_gid, follow_symlinks=False)


def _has_a_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _service_entry() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedServiceError(
        "PostgreSQL needs an account other than root, and there is no 'nobody': "
        "start the hub as another user, or set DATABASE_URL."
    )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}


def _wrapped(command: list[str], account: Account, death_signal: signal.Signals) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", str(_SCRIPT)),
        *("--parent", str(os.getpid()), "--death-signal", str(int(death_signal))),
        *("--account", account.method, "--uid", str(account.uid), "--gid", str(account.gid)),
        "--",
        *command,
    ]
