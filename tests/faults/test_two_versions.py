"""Row 52 of what must go wrong without harm: two versions of the hub, at work beside each other.

The code of the version before runs as it was committed. What only one of them could do it does with
a worker of its kind alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odavl.wire.joinable import joinable_pieces, looks_joinable
from tests.autopilot.ledgers import DIFF, edit, ledger
from tests.faults.hub_at_work import cursor_on, payload
from tests.faults.versions import MAKE_KEY, Deployment, Version, deployment, has_earlier
from tests.guardian.results import results
from tests.insight.documents import document, envelope, finding

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not has_earlier(), reason="the version before is not in the history here (git fetch it)"
    ),
]
FILES = 5
PER_FILE = 2_500
LARGE = FILES * PER_FILE
"""Findings in 1.5 MiB: a payload for a job, and two chunks."""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Deployment]:
    with deployment(tmp_path) as found:
        yield found


def test_row_52_two_versions_of_the_hub_work_beside_each_other(
    both: Deployment, tmp_path: Path
) -> None:
    old, new = both.old, both.new
    key = deploy(both)
    know_different_things(both)
    one_stream_has_one_sequence(both)

    new.start("worker")
    runs_its_own_code(new)
    finished(both, large(old, "asked-of-old"), LARGE)
    finished(both, in_chunks(first=old, then=new, branch="chunks-of-old"), LARGE)
    command_lines_meet_the_other_hub(both, key, tmp_path)
    new.stop("worker")

    old.start("worker")
    runs_its_own_code(old)
    finished(both, large(new, "asked-of-new"), LARGE)
    finished(both, in_chunks(first=new, then=old, branch="chunks-of-new"), LARGE)
    unknown = what_the_old_does_not_know(both)
    old.stop("worker")

    new.start("worker")
    runs_its_own_code(new)
    every_periodic_task_runs(both)
    for job_id in unknown:
        new.wait(job_id, lambda job: job["state"] == "completed")
    assert new.get("/autopilot/runs")["total"] == new.get("/guardian/tests")["total"] == 1
    runs_and_jobs_are_the_same(both)
    nothing_went_wrong(both)


def deploy(both: Deployment) -> str:
    """The version before at work, then the migrations, then this one beside it.

    The key of an owner, made by the version before.
    """
    old, new = both.old, both.new
    old.manage("migrate", "--no-input", "-v", "0")
    key = old.program(MAKE_KEY).strip()
    old.start("web")
    old.start("relay")
    old.open(key)
    take_in(old, "ab")
    new.manage("migrate", "--no-input", "-v", "0")
    new.start("web")
    new.start("relay")
    new.open(key)
    for version in (old, new):
        runs_its_own_code(version)
        assert len(version.get("/insight/runs")["items"]) == 1
    return key


def runs_its_own_code(version: Version) -> None:
    own = f"{version.tree}/"
    for process in version.running.values():
        sources = process.sources()
        assert {f"{own}cli/odavl/__init__.py", f"{own}jobs/models.py"} <= set(sources)
        assert [each for each in sources if not each.startswith(own)] == []


def know_different_things(both: Deployment) -> None:
    assert both.old.http.get("/exports").status_code == 404
    assert both.new.http.get("/exports").status_code == 200


def one_stream_has_one_sequence(both: Deployment) -> None:
    """What is new and what is fixed is told from what the other version took in."""
    for version, names in ((both.new, "bc"), (both.old, "c"), (both.new, "cde")):
        take_in(version, names)
    for version in (both.old, both.new):
        told = [
            (run["sequence"], run["counts"]["new"], run["counts"]["fixed"], run["counts"]["total"])
            for run in reversed(version.get("/insight/runs?project=shop")["items"])
        ]
        assert told == [(1, 2, 0, 2), (2, 1, 1, 2), (3, 0, 1, 1), (4, 2, 0, 3)]


def take_in(version: Version, names: str) -> None:
    """One more run of the stream, with a finding for each letter."""
    findings = {f"{name}.py": [finding(name)] for name in names}
    metadata = {"projectName": "shop", "branch": "main"}
    version.post("/upload/insight", envelope(document(findings), metadata=metadata), 201)


def large(version: Version, branch: str) -> str:
    """The job of a payload that is sent to ``version`` in one piece."""
    metadata = {"projectName": "large", "branch": branch}
    body = envelope(gzip.decompress(payload(FILES, PER_FILE, branch)), metadata=metadata)
    return str(version.post("/upload/insight", body, 202)["jobId"])


def in_chunks(*, first: Version, then: Version, branch: str) -> str:
    """The job of a transfer that begins at ``first`` and ends at ``then``."""
    whole = gzip.decompress(payload(FILES, PER_FILE, branch))
    chunks = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
    named = [{"sha256": digest(chunk), "size": len(chunk)} for chunk in chunks]
    wanted = {
        "type": "analysis-results",
        "size": len(whole),
        "sha256": digest(whole),
        "chunks": named,
        "metadata": {"projectName": "large", "branch": branch},
    }
    missing = [chunk["sha256"] for chunk in named]
    begun = first.post("/upload/insight/init", wanted, 201)
    assert begun["missing"] == missing
    send_chunk(first, begun["uploadId"], chunks[0])
    resumed = then.post("/upload/insight/init", wanted, 201)
    assert (resumed["uploadId"], resumed["missing"]) == (begun["uploadId"], missing[1:])
    send_chunk(then, begun["uploadId"], chunks[1])
    answer = then.post("/upload/insight/finalize", {"uploadId": begun["uploadId"]}, 202)
    assert first.post("/upload/insight/finalize", {"uploadId": begun["uploadId"]}, 202) == answer
    return str(answer["jobId"])


def send_chunk(version: Version, upload_id: str, chunk: bytes) -> None:
    """In the form in which the client of that version sends it."""
    joinable = b"".join(joinable_pieces([chunk]))
    body = joinable if version.name == "new" else gzip.compress(chunk)
    assert looks_joinable(body) is (version.name == "new")
    answer = version.http.put(
        f"/upload/insight/{upload_id}/chunks/{digest(chunk)}",
        content=body,
        headers={"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"},
    )
    assert answer.status_code == 201, answer.text


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def finished(both: Deployment, job_id: str, findings: int) -> None:
    """The job is done, and so is the run that comes of it; both versions tell the same."""
    assert ended(both.old, job_id) == both.new.get(f"/jobs/{job_id}")
    for version in (both.old, both.new):
        # Of a transfer, the job that puts it together leaves the rest to another.
        for job in version.get("/sync/jobs?limit=200")["items"]:
            assert ended(version, job["id"])["state"] == "completed"
        latest = version.get("/insight/runs?project=large")["items"][0]
        assert (latest["state"], latest["counts"]["new"]) == ("completed", findings)


def ended(version: Version, job_id: str) -> dict[str, Any]:
    return version.wait(job_id, lambda job: job["finishedAt"])


def command_lines_meet_the_other_hub(both: Deployment, key: str, folder: Path) -> None:
    """Small and in one request; large and in chunks, which a job of the other version takes in."""
    for client, hub in ((both.old, both.new), (both.new, both.old)):
        where = client.program("import odavl; print(odavl.__file__)")
        assert where.strip() == f"{client.tree}/cli/odavl/__init__.py"
        for name, count, length in (("small", 1, 10), ("long", 2_000, 4_000)):
            path = folder / f"{client.name}-{name}.sarif"
            path.write_text(json.dumps(sarif(count, length)))
            client.odavl(
                hub, key, folder, "insight", "import", str(path), "--upload",
                "--project", f"{client.name}-{name}", "--branch", "main", "--quiet",
            )  # fmt: skip
            for job in hub.get("/sync/jobs?limit=200")["items"]:
                assert ended(hub, job["id"])["state"] == "completed"
            [run] = hub.get(f"/insight/runs?project={client.name}-{name}")["items"]
            assert (run["state"], run["counts"]["new"]) == ("completed", count)
    with cursor_on(both.database_url) as cursor:
        cursor.execute(
            "SELECT slug FROM uploads_transfer JOIN accounts_project "
            "ON accounts_project.id = project_id ORDER BY slug"
        )
        assert cursor.fetchall() == [("large",), ("new-long",), ("old-long",)]


def sarif(count: int, length: int) -> dict[str, Any]:
    """As many findings, each with a message of ``length`` that gzip makes little smaller."""
    source = random.Random(length)
    found = [
        {
            "ruleId": "R1",
            "message": {"text": urlsafe_b64encode(source.randbytes(length * 3 // 4)).decode()},
            "locations": [
                {"physicalLocation": {"artifactLocation": {"uri": f"src/f{number}.c"},
                                      "region": {"startLine": 1}}}
            ],
        }
        for number in range(count)
    ]  # fmt: skip
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "lint"}}, "results": found}]}


def what_the_old_does_not_know(both: Deployment) -> list[str]:
    """Jobs of types that came after it; the message of each has reached its worker."""
    new = both.new
    jobs = [str(new.post("/exports", {}, 202)["id"])]
    many = [edit(f"src/f{number}.py", diff=DIFF.ljust(4_000, "\n")) for number in range(400)]
    checks = [{"name": f"c{number}", "status": "passed"} for number in range(40_000)]
    for product, upload_type, sent in (
        ("autopilot", "ledger", ledger(edits=many)),
        ("guardian", "test-results", results(checks=checks)),
    ):
        body = envelope(sent, upload_type, metadata={"projectName": "shop"})
        jobs.append(str(new.post(f"/upload/{product}", body, 202)["jobId"]))
    # One queue, one worker: what it can do comes behind what it cannot.
    assert ended(both.old, large(new, "behind"))["state"] == "completed"
    return jobs


def every_periodic_task_runs(both: Deployment) -> None:
    with cursor_on(both.database_url) as cursor:
        cursor.execute("UPDATE jobs_periodicrun SET due_at = now() - interval '1 s' RETURNING name")
        names = {name for (name,) in cursor.fetchall()}
        assert {"uploads.clean_up", "storage.sweep", "jobs.retention"} <= names
        while due_tasks(cursor) or unfinished_system_jobs(cursor):
            assert both.new.http.get(f"{both.new.url}/healthz").status_code == 200


def due_tasks(cursor: Any) -> list[tuple[str]]:
    cursor.execute("SELECT name FROM jobs_periodicrun WHERE due_at <= now()")
    found: list[tuple[str]] = cursor.fetchall()
    return found


def unfinished_system_jobs(cursor: Any) -> list[tuple[str]]:
    """Where the version before had its relay run a task, there is none for it."""
    cursor.execute(
        "SELECT type FROM jobs_job WHERE organization_id IS NULL"
        " AND state IN ('waiting', 'active', 'delayed')"
    )
    found: list[tuple[str]] = cursor.fetchall()
    return found


def known_before(found: Any, told: Any) -> Any:
    """``found`` without the fields that ``told``, by the version before, does not have."""
    if isinstance(found, dict) and isinstance(told, dict):
        return {key: known_before(found[key], told[key]) for key in found if key in told}
    if isinstance(found, list) and isinstance(told, list) and len(found) == len(told):
        return [known_before(*pair) for pair in zip(found, told, strict=True)]
    return found


def runs_and_jobs_are_the_same(both: Deployment) -> None:
    for path in ("/sync/jobs?limit=200", "/insight/runs?limit=200", "/insight/issues?project=shop"):
        told = both.old.get(path)["items"]
        assert told == known_before(both.new.get(path)["items"], told) != []
    with cursor_on(both.database_url) as cursor:
        cursor.execute(
            "SELECT stream_id, array_agg(sequence ORDER BY sequence) FROM insight_run GROUP BY 1"
        )
        for _, sequences in cursor.fetchall():
            assert sequences == list(range(1, len(sequences) + 1))


def nothing_went_wrong(both: Deployment) -> None:
    """Neither an answer of 500 nor a task or job that raised, in any log of either version."""
    bad = re.compile(r"^.*(?:ERROR|CRITICAL|Traceback|Internal Server Error).*$", re.MULTILINE)
    assert bad.findall(both.log()) == [], both.log()[-8000:]
