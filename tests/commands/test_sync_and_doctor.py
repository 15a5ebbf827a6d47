"""sync queue, sync process-queue, doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from odavl.wire.errors import InvalidPayload, NotAuthenticated
from tests.client.fixtures import Odavl
from tests.client.small_hub import TOKEN, SmallHub, problem

AWAY = "http://127.0.0.1:9"


def fill(odavl: Odavl, project: Path, address: str, count: int = 1) -> None:
    """Queue uploads for a hub at ``address`` with a key that it does not know."""
    sarif = '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": []}]}'
    (project / "in.sarif").write_text(sarif)
    for _ in range(count):
        odavl(
            "insight", "import", "in.sarif", "--upload",
            ODAVL_CLOUD_API=address, ODAVL_API_KEY="odavl_live_wrong",
        )  # fmt: skip


def test_an_empty_queue(odavl: Odavl, home: Path) -> None:
    assert odavl("sync", "queue").stdout == "The queue is empty.\n"
    document = json.loads(odavl("sync", "queue", "--json").stdout)
    assert (document["total"], document["oldest"], document["items"]) == (0, None, [])
    result = odavl("sync", "process-queue")
    assert (result.stdout, result.returncode) == ("Processed 0, succeeded 0, failed 0.\n", 0)
    assert odavl("sync", "queue", "--clear").returncode == 0
    assert not home.exists()


def test_the_queue_is_shown_and_cleared(odavl: Odavl, project: Path) -> None:
    fill(odavl, project, AWAY, 2)
    result = odavl("sync", "queue")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["2 uploads queued", "  insight    2"]
    assert lines[2].startswith("Oldest: 20")
    assert lines[3] == f"For:    {AWAY}"
    assert result.stderr == "Send them: odavl sync process-queue\n"
    assert odavl("sync", "queue", "-q").stderr == ""
    document = json.loads(odavl("sync", "queue", "--json").stdout)
    assert document["byProduct"] == {"insight": 2}
    assert document["oldest"] == document["items"][0]["createdAt"]
    assert odavl("sync", "queue", "-c").stderr == "Cleared 2 queued uploads.\n"
    assert odavl("sync", "queue").stdout == "The queue is empty.\n"


def test_processing_tells_what_came_of_it(odavl: Odavl, project: Path, small_hub: SmallHub) -> None:
    fill(odavl, project, small_hub.address, 3)
    assert json.loads(odavl("sync", "queue", "--json").stdout)["byState"] == {"held": 3}
    small_hub.faults.append(problem(InvalidPayload("Line 4 is wrong.")))
    settings = {"ODAVL_CLOUD_API": small_hub.address, "ODAVL_API_KEY": TOKEN}
    result = odavl("sync", "process-queue", **settings)
    assert result.stdout == "Processed 3, succeeded 2, failed 1.\n"
    assert "Line 4 is wrong." in result.stderr
    assert result.returncode == 5
    assert len(small_hub.runs) == 2
    again = odavl("sync", "process-queue", "--json", **settings)
    document = json.loads(again.stdout)
    assert (document["processed"], document["setAside"], again.returncode) == (0, 1, 0)
    [failure] = document["failures"]
    assert (failure["code"], failure["state"]) == ("invalid_payload", "refused")
    shown = odavl("sync", "queue").stdout
    assert "Refused: 1 (" in shown
    assert "refused  insight" in shown


def test_another_hubs_uploads_are_held_and_named(
    odavl: Odavl, project: Path, small_hub: SmallHub
) -> None:
    fill(odavl, project, AWAY)
    result = odavl("sync", "process-queue", ODAVL_CLOUD_API=small_hub.address, ODAVL_API_KEY=TOKEN)
    assert f"ODAVL_CLOUD_API={AWAY} odavl sync process-queue" in result.stderr
    assert result.returncode == 4
    assert small_hub.runs == []


def test_without_a_key_processing_is_held(odavl: Odavl, project: Path) -> None:
    fill(odavl, project, AWAY)
    result = odavl("sync", "process-queue", ODAVL_CLOUD_API=AWAY)
    assert "Nobody is signed in" in result.stderr
    assert result.returncode == 4


def test_damaged_items_are_named(odavl: Odavl, project: Path, home: Path) -> None:
    fill(odavl, project, AWAY, 2)
    damaged = min((home / "queue" / "items").iterdir())
    damaged.write_text("?")
    (home / "queue" / "uploads.json").write_text("?")
    result = odavl("sync", "queue")
    assert f"quarantine/{damaged.name} is damaged" in result.stderr
    assert "1 upload queued" in result.stdout


def checks(odavl: Odavl, **environ: str) -> tuple[dict[str, str], int]:
    result = odavl("doctor", "--json", **environ)
    found = json.loads(result.stdout)["checks"]
    return {check["name"]: check["status"] for check in found}, result.returncode


def test_a_doctor_without_a_hub_is_content(odavl: Odavl) -> None:
    found, code = checks(odavl)
    assert code == 0
    assert found["system"] == "ok"
    assert (found["python"], found["git"], found["ruff"]) == ("ok", "ok", "ok")
    assert (found["hub"], found["queue"]) == ("warning", "ok")
    assert "odavl login" in odavl("doctor").stdout


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"ODAVL_API_KEY": TOKEN}, "ok", 0),
        ({"ODAVL_API_KEY": "odavl_live_wrong"}, "failed", 4),
        ({}, "warning", 0),
    ],
)
def test_the_doctor_asks_the_hub(
    odavl: Odavl, small_hub: SmallHub, settings: dict[str, str], status: str, code: int
) -> None:
    found, exit_code = checks(odavl, ODAVL_CLOUD_API=small_hub.address, **settings)
    assert (found["hub"], exit_code) == (status, code)


def test_the_doctor_finds_a_hub_that_is_away(odavl: Odavl) -> None:
    found, code = checks(odavl, ODAVL_CLOUD_API=AWAY, ODAVL_API_KEY=TOKEN)
    assert (found["hub"], code) == ("failed", 3)


def test_the_doctor_sees_the_queue_and_a_wrong_configuration(odavl: Odavl, project: Path) -> None:
    fill(odavl, project, AWAY)
    assert checks(odavl)[0]["queue"] == "warning"
    (project / ".odavl" / "config.toml").write_text("nonsense = 1")
    found, code = checks(odavl)
    assert (found["configuration"], code) == ("failed", 2)


def test_a_held_upload_is_not_said_to_be_sent(
    odavl: Odavl, project: Path, small_hub: SmallHub
) -> None:
    small_hub.faults.append(problem(NotAuthenticated("Who?")))
    fill(odavl, project, small_hub.address)
    assert json.loads(odavl("sync", "queue", "--json").stdout)["total"] == 1
    assert small_hub.runs == []
