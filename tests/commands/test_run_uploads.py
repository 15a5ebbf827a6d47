"""``odavl autopilot upload`` and ``odavl guardian upload``: which files, as what, said how."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from odavl.wire.errors import Duplicate, QuotaExceeded, ServiceUnavailable
from tests.client.fixtures import Odavl
from tests.client.small_hub import TOKEN, SmallHub, problem
from tests.guardian.results import jpeg, png

LEDGER = b'{"runId": "new", "startedAt": "2026-01-02T03:04:05Z"}'
FILES: dict[str, dict[str, bytes]] = {
    "autopilot": {
        "ledger/run-old.json": b'{"runId": "old"}',
        "ledger/run-new.json": LEDGER,
        "undo/s1.json": b"{}",
        "undo/latest.json": b'{"snapshotId": "s1"}',
        "recipes-trust.json": b'{"recipes": []}',
        "history.json": b'{"runs": []}',
    },
    "guardian": {
        "guardian/test-old.json": b'{"testRunId": "old"}',
        "guardian/test-new.json": b'{"testRunId": "new"}',
        "guardian/screenshots/new/home.png": png(),
        "guardian/screenshots/new/b.JPG": jpeg(),
        "guardian/screenshots/new/notes.txt": b"not a picture",
        "guardian/screenshots/old/home.png": png(shade=7),
        "guardian/lighthouse-new.json": b'{"categories": {}}',
        "guardian/accessibility-old.json": b'{"score": 1}',
    },
}
OF_THE_NEWEST = {
    "autopilot": ["ledger", "snapshot", "recipe-trust", "run-history"],
    "guardian": ["test-results", "screenshot", "screenshot", "lighthouse-report"],
}
OF_ALL = {
    "autopilot": {"ledger": 2, "snapshot": 1, "recipe-trust": 1, "run-history": 1},
    "guardian": {
        "test-results": 2, "screenshot": 3, "lighthouse-report": 1, "accessibility-report": 1,
    },
}  # fmt: skip
PRODUCTS = sorted(FILES)


@pytest.fixture(autouse=True)
def under_odavl(project: Path) -> None:
    """What two runs of each product left behind; the one called ``new`` is the newer."""
    for files in FILES.values():
        for name, body in files.items():
            path = project / ".odavl" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            age = 1_000 if "old" in name else 2_000
            os.utime(path, (age, age))


def at(hub: SmallHub) -> dict[str, str]:
    return {"ODAVL_CLOUD_API": hub.address, "ODAVL_API_KEY": TOKEN}


def types(hub: SmallHub) -> list[str]:
    return [run.type for run in hub.runs]


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_newest_run_goes_with_what_lies_beside_it(
    odavl: Odavl, small_hub: SmallHub, product: str
) -> None:
    result = odavl(product, "upload", "--project", "shop", **at(small_hub))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Uploaded: ")
    assert result.stdout.count("\n") == 1
    assert types(small_hub) == OF_THE_NEWEST[product]
    for run in small_hub.runs:
        named = run.metadata.run_id if product == "autopilot" else run.metadata.test_run_id
        assert (named, run.metadata.project_name) == ("new", "shop")


def test_pictures_travel_as_they_are(odavl: Odavl, small_hub: SmallHub) -> None:
    odavl("guardian", "upload", **at(small_hub))
    pictures = [run for run in small_hub.runs if run.type == "screenshot"]
    assert [(run.metadata.file_name, run.payload) for run in pictures] == [
        ("b.JPG", jpeg()),
        ("home.png", png()),
    ]
    sent = [json.loads(seen.body) for seen in small_hub.seen if seen.method == "POST"]
    packed = {each["type"]: each.get("compressed", False) for each in sent}
    assert packed == {"test-results": True, "screenshot": False, "lighthouse-report": True}


@pytest.mark.parametrize("product", PRODUCTS)
def test_all_of_them(odavl: Odavl, small_hub: SmallHub, product: str) -> None:
    result = odavl(product, "upload", "--all", **at(small_hub))
    assert result.returncode == 0
    assert Counter(types(small_hub)) == OF_ALL[product]
    assert small_hub.runs[0].metadata.file_name in {"run-old.json", "test-old.json"}
    assert result.stdout.count("Uploaded: ") == 2


def test_one_of_them(odavl: Odavl, small_hub: SmallHub) -> None:
    odavl("guardian", "upload", "--run", "old", **at(small_hub))
    assert types(small_hub) == ["test-results", "screenshot", "accessibility-report"]


@pytest.mark.parametrize(
    ("product", "name", "becomes"),
    [
        ("autopilot", "ledger/run-old.json", ("ledger", "old")),
        ("autopilot", "undo/s1.json", ("snapshot", None)),
        ("autopilot", "recipes-trust.json", ("recipe-trust", None)),
        ("autopilot", "history.json", ("run-history", None)),
        ("guardian", "guardian/test-old.json", ("test-results", "old")),
        ("guardian", "guardian/lighthouse-new.json", ("lighthouse-report", "new")),
        ("guardian", "guardian/accessibility-old.json", ("accessibility-report", "old")),
        ("guardian", "guardian/screenshots/old/home.png", ("screenshot", "old")),
    ],
)
def test_a_named_file_is_what_its_name_says(
    odavl: Odavl, small_hub: SmallHub, product: str, name: str, becomes: tuple[str, str | None]
) -> None:
    result = odavl(product, "upload", f".odavl/{name}", **at(small_hub))
    assert result.returncode == 0, result.stderr
    [run] = small_hub.runs
    assert (run.type, run.metadata.run_id or run.metadata.test_run_id) == becomes
    assert result.stdout.startswith("Uploaded: ")


def test_a_file_of_another_name_needs_its_type(
    odavl: Odavl, project: Path, small_hub: SmallHub
) -> None:
    (project / "x.json").write_bytes(LEDGER)
    told = odavl("autopilot", "upload", "x.json", **at(small_hub))
    assert told.returncode == 2
    assert "--type ledger|snapshot|recipe-trust|run-history" in told.stderr
    options = ("--type", "ledger", "--run", "new")
    assert odavl("autopilot", "upload", "x.json", *options, **at(small_hub)).returncode == 0
    assert (types(small_hub), small_hub.runs[0].metadata.run_id) == (["ledger"], "new")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--run", "gone"), "there is no .odavl/ledger/run-gone.json"),
        (("absent.json",), "absent.json does not exist."),
        (("--type", "ledger"), "--type says what FILE is, and none is named."),
        (("--type", "screenshot"), "'screenshot' is not one of"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(
    odavl: Odavl, small_hub: SmallHub, arguments: tuple[str, ...], told: str
) -> None:
    result = odavl("autopilot", "upload", *arguments, **at(small_hub))
    assert result.returncode == 2
    assert told in result.stderr
    assert small_hub.runs == []


def test_a_link_that_leads_out_of_the_project_is_not_followed(
    odavl: Odavl, project: Path, small_hub: SmallHub
) -> None:
    secret = project.parent / "secret.png"
    secret.write_bytes(png(shade=99))
    (project / ".odavl/guardian/screenshots/new/link.png").symlink_to(secret)
    latest = project / ".odavl/undo/latest.json"
    latest.unlink()
    latest.symlink_to("s1.json")
    odavl("guardian", "upload", **at(small_hub))
    odavl("autopilot", "upload", **at(small_hub))
    assert {run.metadata.file_name for run in small_hub.runs if run.type == "screenshot"} == {
        "home.png", "b.JPG",
    }  # fmt: skip
    assert "snapshot" in types(small_hub)


# ── Silence ──────────────────────────────────────────────────────────────────


def test_what_is_silent_never_fails_the_run(odavl: Odavl, small_hub: SmallHub) -> None:
    small_hub.faults.extend([lambda _handler: False, problem(Duplicate("There is another."))])
    result = odavl("autopilot", "upload", **at(small_hub))
    assert (result.returncode, result.stderr) == (0, "")
    assert types(small_hub) == ["ledger", "recipe-trust", "run-history"]
    waiting = json.loads(odavl("sync", "queue", "--json").stdout)
    assert [item["type"] for item in waiting["items"]] == ["snapshot"]


def test_a_refused_result_fails_the_run_and_is_not_queued(
    odavl: Odavl, small_hub: SmallHub
) -> None:
    small_hub.faults.append(problem(Duplicate("There is another.")))
    result = odavl("autopilot", "upload", **at(small_hub))
    assert result.returncode == 5
    assert "the hub refuses it: There is another." in result.stderr
    assert json.loads(odavl("sync", "queue", "--json").stdout)["total"] == 0


def test_a_spent_quota_holds_all_of_it_after_one_try(odavl: Odavl, small_hub: SmallHub) -> None:
    small_hub.faults.append(problem(QuotaExceeded("The quota is spent.")))
    result = odavl("guardian", "upload", **at(small_hub))
    assert result.returncode == 4
    uploads = [seen for seen in small_hub.seen if seen.method == "POST"]
    assert len(uploads) == 1
    waiting = json.loads(odavl("sync", "queue", "--json").stdout)
    assert waiting["byProduct"] == {"guardian": 4}


def test_a_hub_that_is_away_is_not_asked_again_for_each_file(
    odavl: Odavl, small_hub: SmallHub
) -> None:
    small_hub.faults.extend([problem(ServiceUnavailable("The database is away."))] * 3)
    result = odavl("guardian", "upload", **at(small_hub))
    assert result.returncode == 3
    assert result.stderr.count("queued") == 1
    waiting = json.loads(odavl("sync", "queue", "--json").stdout)
    assert [item["type"] for item in waiting["items"]] == OF_THE_NEWEST["guardian"]
    sent = odavl("sync", "process-queue", **at(small_hub))
    assert sent.returncode == 0, sent.stderr
    assert sorted(types(small_hub)) == sorted(OF_THE_NEWEST["guardian"])


def test_machines_are_told_of_each_file(odavl: Odavl, small_hub: SmallHub) -> None:
    result = odavl("autopilot", "upload", "--json", **at(small_hub))
    document = json.loads(result.stdout)
    assert document["product"] == "autopilot"
    told = [(item["type"], item["silent"], item["state"]) for item in document["items"]]
    assert told == [
        ("ledger", False, "stored"),
        ("snapshot", True, "stored"),
        ("recipe-trust", True, "stored"),
        ("run-history", True, "stored"),
    ]


def test_without_a_hub_nothing_is_sent_or_queued(odavl: Odavl) -> None:
    result = odavl("guardian", "upload")
    assert result.returncode == 4
    assert "odavl login" in result.stderr
    assert json.loads(odavl("sync", "queue", "--json").stdout)["total"] == 0
