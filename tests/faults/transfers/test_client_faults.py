"""FAULTS 2, 3, 17, 18, 28: what may happen to the client and its line during a transfer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.faults.transfers.conftest import Client, Hub, kill, result_of, wait_for_share
from tests.faults.transfers.proxy import BreakingLine

pytestmark = [pytest.mark.end_to_end]
LIMIT = 64 * 1024
SCOPES = ["insight:read", "insight:write", "projects:read", "projects:write"]


def findings_file(folder: Path, name: str, count: int) -> Path:
    """A document whose chunks do not become smaller by gzip, so that sending takes a while."""
    path = folder / f"{name}.json"
    files = {
        f"src/f{number}.c": [
            {"severity": "low", "line": line, "message": os.urandom(700).hex(), "source": "lint"}
            for line in range(1, 41)
        ]
        for number in range(count // 40)
    }
    path.write_text(json.dumps({"version": 1, "diagnostics": files}, separators=(",", ":")))
    return path


def test_row_2_kill_during_an_upload_only_the_missing_chunks_are_sent_again(
    client: Client, hub: Hub, tmp_path: Path
) -> None:
    file = findings_file(tmp_path, "row2", 16_000)
    with BreakingLine(hub.process.port) as line:
        first = client.send(file, url=line.url)
        wait_for_share(first, 0.5)
        kill(first)
        before = line.sent
        second = result_of(client.send(file, url=line.url))
        again = line.sent - before
    assert second["success"], second
    hub.wait_for_runs("row2", 1)
    (run,) = hub.runs("row2")
    assert run["counts"]["total"] == 16_000
    # Hex halves by gzip. What was whole at the hub when the client died did not travel again;
    # up to four chunks were on their way.
    whole = file.stat().st_size
    assert before + again < 0.62 * whole + 4 * 5 * 1024 * 1024 * 0.6
    assert again < 0.62 * 0.5 * whole + 4 * 2 * 1024 * 1024


def test_row_3_ctrl_c_during_an_upload_queues_it_and_the_next_run_goes_on(
    client: Client, hub: Hub, tmp_path: Path
) -> None:
    file = findings_file(tmp_path, "row3", 16_000)
    interrupted = client.send(file)
    wait_for_share(interrupted, 0.3)
    interrupted.send_signal(signal.SIGINT)
    result = result_of(interrupted)
    assert (interrupted.returncode, result["state"], result["queued"]) == (3, "queued", True)
    assert hub.runs("row3") == []
    (item,) = client.queued()
    assert item["size"] == file.stat().st_size
    file.write_text("changed since")
    sent = client.run("sync", "process-queue", "--json")
    assert (sent.returncode, json.loads(sent.stdout)["succeeded"]) == (0, 1), sent
    assert client.queued() == []
    hub.wait_for_runs("row3", 1)
    assert hub.runs("row3")[0]["counts"]["total"] == 16_000


def test_row_17_a_line_that_breaks_every_64_kib(client: Client, hub: Hub, sarif: Path) -> None:
    with BreakingLine(hub.process.port, limit=LIMIT) as line:
        sent = client.run(*client.import_arguments(sarif, "row17"), url=line.url)
        assert sent.returncode == 0, sent
        hub.wait_for_runs("row17", 1)
        assert line.cuts > 10
        (run,) = hub.runs("row17")
    assert run["counts"]["total"] == 24_000


def test_row_17_a_break_costs_at_most_the_chunk_that_was_on_its_way(
    client: Client, hub: Hub, sarif: Path
) -> None:
    """Once chunks are small enough to come through, each break has at most one sent again."""
    with BreakingLine(hub.process.port) as line:
        assert client.run(*client.import_arguments(sarif, "whole"), url=line.url).returncode == 0
        whole = line.sent
    other = sarif.with_name("other.sarif")
    other.write_text(sarif.read_text().replace('"R1"', '"X1"').replace("src/f", "src/g"))
    with BreakingLine(hub.process.port, limit=LIMIT) as line:
        assert client.run(*client.import_arguments(other, "broken"), url=line.url).returncode == 0
        # What a connection carried before it broke is all that a break can cost.
        assert line.sent <= 2 * whole + line.cuts * LIMIT
    hub.wait_for_runs("broken", 1)


@pytest.mark.parametrize("lost", [1, 2])
def test_row_18_the_answer_is_lost_after_the_commit(
    client: Client, hub: Hub, sarif: Path, lost: int
) -> None:
    project = f"row18-{lost}"
    with BreakingLine(hub.process.port, lose_answers=lost) as line:
        sent = client.run(*client.import_arguments(sarif, project), url=line.url)
        assert sent.returncode == 0, sent
        assert line.cuts == lost
    hub.wait_for_runs(project, 1)
    assert len(hub.runs(project)) == 1


def test_row_28_a_key_revoked_during_an_upload_holds_it(
    client: Client, hub: Hub, tmp_path: Path
) -> None:
    file = findings_file(tmp_path, "row28", 16_000)
    status, made = hub.json("POST", "/api-keys", {"name": "short", "scopes": SCOPES})
    assert status == 201, made
    mine = Client(client.folder, Hub(hub.process, made["key"]))
    sending = mine.send(file)
    wait_for_share(sending, 0.2)
    status, _ = hub.call("DELETE", f"/api-keys/{made['id']}")
    assert status in (200, 204)
    result = result_of(sending)
    assert (sending.returncode, result["state"], result["queued"]) == (4, "held", True), result
    assert client.queued()[0]["state"] == "held"
    assert hub.runs("row28") == []
    assert client.run("sync", "process-queue").returncode == 0
    hub.wait_for_runs("row28", 1)
