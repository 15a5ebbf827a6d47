"""Without a hub three products' runs queue; once there is one, one command brings all, once."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.autopilot.ledgers import ledger
from tests.client.fixtures import Odavl, command, command_environment
from tests.faults.hub_at_work import HubAtWork
from tests.guardian.results import jpeg, png, results
from tests.hub_process import free_port

pytestmark = [pytest.mark.end_to_end]
SARIF = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "lint"}},
            "results": [
                {
                    "ruleId": "R1",
                    "message": {"text": "wrong"},
                    "locations": [
                        {"physicalLocation": {"artifactLocation": {"uri": "bad.py"},
                                              "region": {"startLine": 1}}}
                    ],
                }
            ],
        }
    ],
}  # fmt: skip
FILES: dict[str, bytes] = {
    "ledger/run-run-1.json": json.dumps(ledger()).encode(),
    "undo/latest.json": b'{"snapshotId": "s", "runId": "run-1", "files": {"src/app.py": "x"}}',
    "recipes-trust.json": b'{"recipes": [{"recipe": "unused-import", "trust": 0.75}]}',
    "history.json": b'{"runs": [{"runId": "run-1", "startedAt": "2026-01-02T03:04:05Z"}]}',
    "guardian/test-test-1.json": json.dumps(results(screenshots=["home.png", "b.jpg"])).encode(),
    "guardian/lighthouse-test-1.json": b'{"categories": {"seo": {"score": 0.5}}}',
    "guardian/accessibility-test-1.json": b'{"score": 91.5}',
    "guardian/screenshots/test-1/home.png": png(40, 30),
    "guardian/screenshots/test-1/b.jpg": jpeg(40, 30),
}
"""By their place under ``.odavl``; with Insight's run that is ten uploads."""

UPLOADS = len(FILES) + 1


@pytest.fixture
def address() -> str:
    """Where nobody listens yet."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def queued(odavl: Odavl, project: Path, address: str) -> None:
    """One run of each product, waiting for the hub at ``address``."""
    (project / "in.sarif").write_text(json.dumps(SARIF))
    for name, body in FILES.items():
        path = project / ".odavl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    for arguments in (
        ("insight", "import", "in.sarif", "--upload"),
        ("autopilot", "upload"),
        ("guardian", "upload"),
    ):
        done = odavl(
            *arguments, "--project", "shop",
            ODAVL_CLOUD_API=address, ODAVL_API_KEY="odavl_none_yet",
        )  # fmt: skip
        assert done.returncode == 3, (arguments, done.stderr)
        assert "queued" in done.stderr
    waiting = json.loads(odavl("sync", "queue", "--json").stdout)
    assert waiting["byProduct"] == {"insight": 1, "autopilot": 4, "guardian": 5}
    assert waiting["total"] == UPLOADS


@pytest.fixture
def hub(queued: None, address: str) -> Iterator[HubAtWork]:
    """Started only now that everything waits for it."""
    started = HubAtWork(PORT=address.rpartition(":")[2])
    yield started
    started.close()


def of_hub(hub: HubAtWork, path: str) -> Any:
    answer = hub.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def sha256(name: str) -> str:
    return hashlib.sha256(FILES[name]).hexdigest()


def has_everything_once(hub: HubAtWork) -> None:
    assert len(of_hub(hub, "/insight/runs")["items"]) == 1
    [issue] = of_hub(hub, "/insight/issues?project=shop")["items"]
    assert (issue["detector"], issue["path"]) == ("lint", "bad.py")

    [cycle] = of_hub(hub, "/autopilot/runs?project=shop")["items"]
    detail = of_hub(hub, f"/autopilot/runs/{cycle['id']}")
    assert detail["payload"]["sha256"] == sha256("ledger/run-run-1.json")
    assert [edit["verdict"] for edit in detail["edits"]] == ["kept", "reverted"]
    beside = of_hub(hub, "/autopilot/documents?project=shop")["items"]
    assert {each["type"]: each["payload"]["sha256"] for each in beside} == {
        "recipe-trust": sha256("recipes-trust.json"),
        "run-history": sha256("history.json"),
        "snapshot": sha256("undo/latest.json"),
    }
    assert {each["runId"] for each in beside} == {"run-1"}
    assert of_hub(hub, "/autopilot/trust?project=shop")["items"][0]["trust"] == 0.75

    [test] = of_hub(hub, "/guardian/tests?project=shop")["items"]
    found = of_hub(hub, f"/guardian/tests/{test['id']}")
    assert found["payload"]["sha256"] == sha256("guardian/test-test-1.json")
    assert {each["name"]: each["sha256"] for each in found["screenshots"]} == {
        "home.png": sha256("guardian/screenshots/test-1/home.png"),
        "b.jpg": sha256("guardian/screenshots/test-1/b.jpg"),
    }
    assert found["missingScreenshots"] == []
    assert {each["type"]: each["payload"]["sha256"] for each in found["reports"]} == {
        "lighthouse-report": sha256("guardian/lighthouse-test-1.json"),
        "accessibility-report": sha256("guardian/accessibility-test-1.json"),
    }
    picture = hub.http.get(found["screenshots"][1]["downloadUrl"].partition("/api/v1")[2])
    assert picture.content == FILES["guardian/screenshots/test-1/home.png"]

    with hub.database() as cursor:
        cursor.execute("SELECT product, count(*) FROM uploads_upload GROUP BY product")
        assert dict(cursor.fetchall()) == {"insight": 1, "autopilot": 4, "guardian": 5}


def test_three_products_wait_for_a_hub_and_arrive_once(
    hub: HubAtWork, odavl: Odavl, home: Path, project: Path, address: str
) -> None:
    keyed = {"ODAVL_CLOUD_API": address, "ODAVL_API_KEY": hub.key}
    both = [
        subprocess.Popen(
            command("sync", "process-queue", "--json"),
            cwd=project,
            env=command_environment(home, **keyed),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(json.loads(out)["succeeded"] for out, _ in told) == UPLOADS
    has_everything_once(hub)

    again = odavl("sync", "process-queue", "--json", **keyed)
    assert (again.returncode, json.loads(again.stdout)["processed"]) == (0, 0)
    for arguments in (("autopilot", "upload"), ("guardian", "upload")):
        done = odavl(*arguments, "--project", "shop", "--json", **keyed)
        assert done.returncode == 0, done.stderr
        assert {item["state"] for item in json.loads(done.stdout)["items"]} == {"stored"}
    assert of_hub(hub, "/autopilot/runs")["total"] == of_hub(hub, "/guardian/tests")["total"] == 1
    assert of_hub(hub, "/guardian/screenshots")["total"] == 2
