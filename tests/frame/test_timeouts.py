"""No connection waits, works or idles without a bound, and what ends by one is told as passing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connection, transaction

from frame.database.errors import is_transient
from frame.database.timeouts import ProcessKind, serve_as, serving_as
from frame.errors import error_for, problem_response
from odavl_hub import env
from tests.cast import Person
from tests.hub_process import REPOSITORY
from tests.insight.documents import document, finding, send

NAMES = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
KINDS = [kind.value for kind in ProcessKind]


def seconds_of(connected: Any) -> tuple[int, ...]:
    with connected.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM current_setting(name)::interval)::int"
            " FROM unnest(%s) AS name",
            [list(NAMES)],
        )
        return tuple(value for (value,) in cursor.fetchall())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.django_db(transaction=True)
def test_a_connection_has_the_time_outs_of_its_process(kind: str) -> None:
    connection.close()
    with serving_as(ProcessKind(kind)):
        assert seconds_of(connection) == settings.DATABASE_TIMEOUTS[kind]
        assert all(settings.DATABASE_TIMEOUTS[kind])
    assert seconds_of(connection) == settings.DATABASE_TIMEOUTS["command"]


@pytest.mark.django_db(transaction=True)
def test_what_a_transaction_set_for_itself_ends_with_it() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 1")
    assert seconds_of(connection) == settings.DATABASE_TIMEOUTS["command"]


SHOW = """
import sys, django
django.setup()
{start}
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT current_setting('statement_timeout')")
    print(cursor.fetchone()[0])
"""
STARTS = {
    "web": "import odavl_hub.asgi",
    "worker": (
        "from odavl_hub.celery import app; app.Worker(pool_cls='solo', queues='none', quiet=True)"
    ),
    "command": "",
    "migration": """
from django.core.management import call_command
from django.db.migrations.executor import MigrationExecutor
def show(self, *_, **__):
    with self.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        print(cursor.fetchone()[0])
    sys.exit(0)
MigrationExecutor.migration_plan = show
call_command("migrate")
""",
    "relay": """
from django.core.management import call_command
from django.db import connection
from jobs import relay
def show():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        print(cursor.fetchone()[0], flush=True)
    sys.exit(0)
relay.relay_once = show
call_command("relay")
""",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.django_db(transaction=True)
def test_every_process_says_what_it_is(kind: str, tmp_path: Path) -> None:
    """Each as it is started in production: only the name of its bound is another."""
    address = urlsplit(os.environ["DATABASE_URL"])
    names = {each: f"7,{100 + number},9" for number, each in enumerate(KINDS)}
    environment = {f"DATABASE_TIMEOUTS_{each.upper()}": value for each, value in names.items()}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW.format(start=STARTS[kind])],
        cwd=REPOSITORY,
        env={
            **os.environ,
            **environment,
            "DJANGO_SETTINGS_MODULE": "odavl_hub.settings",
            "DATABASE_URL": address._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
            "ODAVL_DATA": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    wanted = 100 + KINDS.index(kind)
    assert shown.stdout.split()[-1] in {f"{wanted}s", f"{wanted // 60}min"}


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        ("statement_timeout", "SELECT pg_sleep(600)"),
        ("lock_timeout", "SELECT pg_advisory_xact_lock(2757)"),
        ("idle_in_transaction_session_timeout", "SELECT 1"),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_what_would_hang_ends_and_is_told_as_passing(
    setting: str, statement: str, other_session: Any
) -> None:
    with other_session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(2757)")
    connection.close()
    with pytest.raises((DatabaseError, InterfaceError)) as caught:
        hang(setting, statement, other_session)
    assert is_transient(caught.value)
    answer = problem_response(error_for(caught.value))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    connection.close()
    with connection.cursor() as cursor:  # and the next request is served as before
        cursor.execute("SELECT 1")


@transaction.atomic
def hang(setting: str, statement: str, other_session: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        cursor.execute(f"SET {setting} = '100ms'")
        if setting.startswith("idle"):
            until_gone(other_session, pid)
        cursor.execute(statement)


def until_gone(session: Any, pid: int) -> None:
    with session.cursor() as cursor:
        found = True
        while found:
            cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid])
            found = bool(cursor.rowcount)


@pytest.fixture
def other_session(db: None) -> Any:
    """A connection of its own beside the test's."""
    session = connection.copy()
    session.connect()
    raw = session.connection
    yield raw
    session.close()


@pytest.mark.django_db(transaction=True)
def test_a_request_that_meets_a_lock_is_asked_to_come_again(
    alice: Person, other_session: Any
) -> None:
    """Whatever it waits for: here a whole table."""
    send(alice.api, document({"a.py": [finding("one")]}))
    with other_session.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE insight_run IN ACCESS EXCLUSIVE MODE")
    settings_of_web = settings.DATABASE_TIMEOUTS["web"]
    serve_as(ProcessKind.WEB)
    try:
        assert seconds_of(connection) == settings_of_web
        answer = send(alice.api, document({"a.py": [finding("two")]}))
        page = alice.page()
        page.raise_request_exception = False
        shown = page.get("/en/acme/projects/website/runs/")
    finally:
        serve_as(ProcessKind.COMMAND)
        with other_session.cursor() as cursor:
            cursor.execute("ROLLBACK")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert (answer["Retry-After"], shown.status_code, shown["Retry-After"]) == ("5", 503, "5")
    assert send(alice.api, document({"a.py": [finding("two")]})).status_code == 201


@pytest.mark.parametrize("value", ["", "1,2", "1,2,3,4", "a,b,c", "1,-2,3", "1.5,2,3"])
def test_time_outs_that_cannot_be_are_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_TIMEOUTS_WEB", value)
    with pytest.raises(ImproperlyConfigured, match="DATABASE_TIMEOUTS_WEB"):
        env.seconds("DATABASE_TIMEOUTS_WEB", (2, 30, 60))
