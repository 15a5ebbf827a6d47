"""Row 65 of what must go wrong without harm: runs that arrive in the wrong order."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.client.fixtures import Odavl
from tests.faults.hub_at_work import HubAtWork
from tests.hub_process import free_port

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def address() -> str:
    """Where nobody listens yet."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def late_hub(address: str) -> Iterator[HubAtWork]:
    hub = HubAtWork(PORT=address.rpartition(":")[2])
    yield hub
    hub.close()


def sarif(*rules: str) -> str:
    found = [
        {
            "ruleId": rule,
            "message": {"text": f"about {rule}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.py"}}}],
        }
        for rule in rules
    ]
    return json.dumps(
        {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}}, "results": found}]}
    )


def open_rules(hub: HubAtWork, **query: str) -> list[str]:
    answer = hub.http.get("/insight/issues", params={"project": "shop", "state": "open", **query})
    assert answer.status_code == 200, answer.text
    return sorted(issue["rule"] for issue in answer.json()["items"])


def test_row_65_what_waited_in_a_queue_does_not_rewind_what_was_sent_since(
    odavl: Odavl, project: Path, address: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The morning's run waits on a machine without a line; the evening's comes from another."""
    (project / "in.sarif").write_text(sarif("STAYS", "REPAIRED"))
    send = ("insight", "import", "in.sarif", "--upload", "--project", "shop")
    queued = odavl(*send, ODAVL_CLOUD_API=address, ODAVL_API_KEY="odavl_none_yet")
    assert queued.returncode == 3, queued.stderr

    hub: HubAtWork = request.getfixturevalue("late_hub")
    keyed = {"ODAVL_CLOUD_API": address, "ODAVL_API_KEY": hub.key}
    (project / "in.sarif").write_text(sarif("STAYS", "BROUGHT"))
    sent = odavl(*send, **keyed, ODAVL_HOME=str(tmp_path / "another machine"))
    assert sent.returncode == 0, sent.stderr
    assert open_rules(hub) == ["BROUGHT", "STAYS"]

    emptied = odavl("sync", "process-queue", "--json", **keyed)
    assert (emptied.returncode, json.loads(emptied.stdout)["succeeded"]) == (0, 1), emptied.stderr
    assert open_rules(hub) == ["BROUGHT", "STAYS"]
    runs = hub.http.get("/insight/runs", params={"project": "shop"}).json()["items"]
    assert {run["sequence"]: run["late"] for run in runs} == {1: False, 2: True}


def analysis(hour: int, files: list[str] | None, **findings: list[str]) -> bytes:
    """Gzipped results of ``hour`` o'clock; rules by file."""
    document: dict[str, Any] = {
        "version": 1,
        "analysedAt": f"2026-01-01T{hour:02}:00:00Z",
        "scope": {"detectors": [{"name": "lint", "status": "ran"}], "files": files},
        "diagnostics": {
            f"{name}.py": [
                {"severity": "low", "message": rule, "line": hour, "source": "lint", "code": rule}
                for rule in rules
            ]
            for name, rules in findings.items()
        },
    }
    return gzip.compress(json.dumps(document).encode())


MADE = [
    analysis(9, None, a=["ONE", "TWO"], b=["THREE"]),
    analysis(12, ["a.py"], a=["TWO", "FOUR"]),
    analysis(15, None, a=["FOUR"], b=["THREE"], c=["FIVE"]),
    analysis(18, ["b.py", "c.py"], b=["SIX"]),
]
END = ["FOUR", "SIX"]


def test_row_65_every_order_of_arrival_ends_the_same(late_hub: HubAtWork) -> None:
    for number, order in enumerate(permutations(MADE)):
        branch = f"order-{number}"
        for body in order:
            assert late_hub.upload(body, branch=branch).status_code == 201
        assert open_rules(late_hub, branch=branch) == END, order
