"""``/api/health``, ``/readyz`` and ``/healthz``, with services that are there and that are not."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder

from frame.rate_limits import redis_py_url
from jobs import services
from jobs.models import Job
from odavl import __version__
from odavl.wire.api_keys import new_api_key
from odavl_hub import health
from tests.cast import Api, Person
from tests.problems import problem


@pytest.fixture(autouse=True)
def _ask_anew(monkeypatch):
    monkeypatch.setattr(health, "_all_applied", threading.Event())


@pytest.fixture
def database_gone(monkeypatch, db):
    """No PostgreSQL listens where the settings point."""
    connection.close()
    away = {**connections["default"].settings_dict, "HOST": "/nonexistent", "PORT": "1"}
    monkeypatch.setattr(connections["default"], "settings_dict", away)


def test_a_hub_in_health_says_so(anonymous: Api):
    answer = anonymous.get("/api/health")
    document = answer.json()
    assert answer.status_code == 200
    assert document["status"] == "ok", document
    assert document["version"] == __version__
    for part in ("database", "migrations", "redis", "storage", "jobs"):
        assert document[part]["status"] == "ok", document
    assert answer["Cache-Control"] == "no-store"


def test_jobs_that_wait_for_what_is_away_degrade_and_are_told(anonymous: Api, alice: Person):
    for awaited in ("store", "database", "turn", ""):
        job = services.enqueue(
            organization=alice.organization, job_type="insight.ingest", payload={}
        )
        since = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)
        Job.across_organizations.filter(pk=job.pk).update(
            state="delayed", waiting_for=awaited, waiting_since=since if awaited else None
        )
    found = anonymous.get("/api/health").json()
    assert (found["status"], found["jobs"]["detail"]) == (
        "degraded",
        (
            "jobs wait for the database since 2026-11-29T12:00:05Z,"
            " for the object store since 2026-11-29T12:00:05Z"
        ),
    )
    Job.across_organizations.update(state="completed")  # as by a version that knows no waiting
    assert anonymous.get("/api/health").json()["status"] == "ok"


def test_health_needs_no_key_and_minds_no_wrong_one(db):
    assert Api("nonsense").get("/api/health").status_code == 200


def test_without_redis_the_hub_is_degraded_yet_ready(anonymous: Api, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = anonymous.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["redis"]["status"] == "down"
    assert "127.0.0.1" not in answer.content.decode()
    assert anonymous.get("/readyz").status_code == 200


def test_a_folder_that_cannot_be_written_degrades(anonymous: Api, settings, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    assert anonymous.get("/api/health").json()["storage"]["detail"] == "not writable"


def last_migration_of(room: str) -> str:
    return (Path(room) / "migrations" / "max_migration.txt").read_text().strip()


def test_a_migration_that_is_missing_makes_it_unready(anonymous: Api):
    MigrationRecorder(connection).record_unapplied("accounts", last_migration_of("accounts"))
    answer = anonymous.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["migrations"]["detail"] == "1 migrations are not applied"
    assert anonymous.get("/api/health").status_code == 503


@pytest.mark.django_db(transaction=True)
def test_without_a_database_only_the_process_is_alive(database_gone):
    api = Api(None)
    assert api.get("/healthz").json() == {"status": "ok"}
    ready = api.get("/readyz")
    assert ready.status_code == 503
    assert ready["Content-Type"] == "application/json"
    document = api.get("/api/health").json()
    assert document["status"] == document["database"]["status"] == "down"


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_api_asks_to_come_back(database_gone):
    answer = Api(new_api_key()).send("GET", "/projects")
    problem(answer, 503, "service_unavailable")
    assert answer["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
def test_without_a_database_a_page_asks_to_come_back(database_gone):
    api = Api(None)
    api.cookies["sessionid"] = "s" * 32
    answer = api.get("/en/acme/")
    assert answer.status_code == 503
    assert answer["Content-Type"].startswith("text/html")
    assert answer["Retry-After"] == "5"


def test_liveness_asks_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert Api(None).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("celerys", "ours"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis+socket:///run/r.sock?virtual_host=3", "unix:///run/r.sock?db=3"),
        ("redis+socket:///run/r.sock", "unix:///run/r.sock?db=0"),
    ],
)
def test_celerys_spelling_of_a_socket_is_understood(celerys, ours):
    assert redis_py_url(celerys) == ours
