"""FAULTS 21, 23 to 27 and 40: what clients may send, and what may happen to the hub meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
import pytest

from odavl.wire.encoding import sha256_hex
from tests.faults.transfers.conftest import Hub
from tests.transfers.manifests import cut, manifest

pytestmark = [pytest.mark.end_to_end]
RAW = {"Content-Type": "application/octet-stream"}


def payload(count: int = 400) -> bytes:
    found = [{"severity": "low", "line": n + 1, "message": os.urandom(20).hex()}
             for n in range(count)]  # fmt: skip
    return json.dumps({"version": 1, "diagnostics": {"a.c": found}}).encode()


class Sent:
    """A transfer of ``body`` into ``project``, with all chunks there but ``without``."""

    def __init__(
        self,
        hub: Hub,
        project: str,
        body: bytes,
        *,
        size: int = 8_000,
        without: int = 0,
        **fields: Any,
    ) -> None:
        self.hub, self.body, self.chunks = hub, body, cut(body, size)
        fields.setdefault("metadata", {"projectName": project, "branch": "main"})
        self.announced = manifest(body, self.chunks, **fields)
        status, told = hub.json("POST", "/upload/insight/init", self.announced)
        assert status == 201, told
        self.upload_id = told["uploadId"]
        for chunk in self.chunks[: len(self.chunks) - without]:
            assert self.put(chunk)[0] in (200, 201)

    def put(self, chunk: bytes, name: str | None = None) -> tuple[int, Any]:
        path = f"/upload/insight/{self.upload_id}/chunks/{name or sha256_hex(chunk)}"
        return self.hub.call("PUT", path, chunk, **RAW)

    def finalize(self) -> tuple[int, Any]:
        return self.hub.json("POST", "/upload/insight/finalize", {"uploadId": self.upload_id})

    def status(self) -> tuple[int, Any]:
        return self.hub.call("GET", f"/upload/insight/{self.upload_id}")

    def patient_finalize(self) -> tuple[int, Any]:
        """As a client does: again until there is an answer of the hub's own."""
        deadline = time.monotonic() + 600
        while True:
            try:
                status, answer = self.finalize()
            except OSError:
                status, answer = 0, None
            if status in (200, 201, 202):
                return status, answer
            assert status in (0, 409, 503), (status, answer)
            assert time.monotonic() < deadline


# ── 21 ───────────────────────────────────────────────────────────────────────


def spoken(hub: Hub, head: str, body: bytes) -> int:
    """The status that the hub answers to raw bytes."""
    with socket.create_connection(("127.0.0.1", hub.process.port), timeout=300) as line:
        request = (
            f"{head}\r\nHost: 127.0.0.1:{hub.process.port}\r\nAuthorization: Bearer {hub.key}\r\n"
            "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
        )
        line.sendall(request.encode() + body)
        with http.client.HTTPResponse(line) as answer:
            answer.begin()
            return answer.status


def test_row_21_wrong_missing_and_chunked_lengths_are_bounded_and_answered(hub: Hub) -> None:
    body = payload()
    sent = Sent(hub, "row21", body, without=1)
    last = sent.chunks[-1]
    path = f"PUT /api/v1/upload/insight/{sent.upload_id}/chunks/{sha256_hex(last)} HTTP/1.1"
    assert 400 <= spoken(hub, path, b"") < 500
    assert 400 <= spoken(hub, f"{path}\r\nContent-Length: {len(last) - 9}", last) < 500
    assert 400 <= spoken(hub, f"{path}\r\nContent-Length: abc", last) < 500
    assert 400 <= spoken(hub, f"{path}\r\nContent-Length: -1", last) < 500
    assert spoken(hub, f"{path}\r\nContent-Length: 99999999999", last) == 413
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last)
    assert 200 <= spoken(hub, f"{path}\r\nTransfer-Encoding: chunked", chunked) < 500
    assert sent.put(last)[0] in (200, 201)
    assert sent.finalize()[0] == 201


# ── 23 ───────────────────────────────────────────────────────────────────────


def test_row_23_a_wrong_chunk_is_refused_and_a_wrong_whole_fails_with_a_reason(hub: Hub) -> None:
    sent = Sent(hub, "row23", payload(), without=1)
    last = sent.chunks[-1]
    status, problem = sent.put(last[::-1], sha256_hex(last))
    assert (status, problem["code"]) == (422, "digest_mismatch")
    assert sent.status()[1]["missing"] == [sha256_hex(last)]

    wrong = Sent(hub, "row23", payload(20_000), size=500_000, sha256="0" * 64)
    status, told = wrong.finalize()
    assert status == 202
    deadline = time.monotonic() + 600
    while (found := wrong.status()[1])["state"] not in ("failed", "completed"):
        assert time.monotonic() < deadline, found
    assert (found["state"], found["problem"]["code"]) == ("failed", "digest_mismatch")
    assert hub.runs("row23") == []
    assert wrong.finalize() == (202, told)


# ── 24 ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("distinct", [True, False])
def test_row_24_a_manifest_of_a_million_chunks(hub: Hub, distinct: bool) -> None:
    entries = ",".join(
        f'{{"sha256":"{number if distinct else 0:064x}","size":1}}' for number in range(1_000_000)
    )
    head = json.dumps(manifest(b"", []))[:-1]
    body = f'{head},"chunks":[{entries}]}}'.encode()
    before = [each.memory_info().rss for each in hub.process.tree()]
    try:
        status, _ = hub.call(
            "POST", "/upload/insight/init", body, **{"Content-Type": "application/json"}
        )
    except OSError:
        status = 413  # told while we were still sending, and the line closed
    assert status == 413
    after = [each.memory_info().rss for each in hub.process.tree()]
    assert sum(after) - sum(before) < 64 * 1024 * 1024


# ── 25, 26 ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [400, 20_000], ids=["inline", "job"])
def test_row_25_duplicate_and_concurrent_finalize_make_one_run(hub: Hub, count: int) -> None:
    project = f"row25-{count}"
    sent = Sent(hub, project, payload(count), size=200_000)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sent.finalize(), range(16)))
    assert {status for status, _ in answers} <= {201, 202}, answers
    assert len({json.dumps(answer, sort_keys=True) for _, answer in answers}) == 1
    hub.wait_for_runs(project, 1)
    assert len(hub.runs(project)) == 1
    assert sent.finalize() == answers[0]


def test_row_26_finalize_with_chunks_missing_and_a_chunk_after_it(hub: Hub) -> None:
    sent = Sent(hub, "row26", payload(), without=2)
    status, problem = sent.finalize()
    missing = [sha256_hex(chunk) for chunk in sent.chunks[-2:]]
    assert (status, problem["code"], problem["missing"]) == (409, "chunks_missing", missing)
    for chunk in sent.chunks[-2:]:
        sent.put(chunk)
    assert sent.finalize()[0] == 201
    status, problem = sent.put(sent.chunks[0])
    assert (status, problem["code"]) == (409, "conflict")


# ── 27 ───────────────────────────────────────────────────────────────────────


def test_row_27_another_organizations_transfer_is_as_one_that_never_was(
    hub: Hub, stranger: Hub
) -> None:
    body = payload(4_000)
    mine = Sent(hub, "row27", body, size=300_000)
    theirs = f"/upload/insight/{mine.upload_id}"
    never = "/upload/insight/00000000-0000-4000-8000-000000000000"
    took: dict[str, list[float]] = {theirs: [], never: []}
    for _ in range(30):
        for path in (theirs, never):
            started = time.perf_counter()
            status, problem = stranger.call("GET", path)
            took[path].append(time.perf_counter() - started)
            assert (status, problem["code"]) == (404, "not_found")
    # Of each the fastest: what else the machine does only ever adds.
    assert min(took[theirs]) < 2 * min(took[never]) + 0.01
    assert min(took[never]) < 2 * min(took[theirs]) + 0.01
    # What Acme has is not known to anybody else: the same manifest is missing whole.
    status, told = stranger.json("POST", "/upload/insight/init", mine.announced)
    assert (status, len(told["missing"])) == (201, len(mine.chunks))
    assert told["uploadId"] != mine.upload_id
    assert stranger.call("DELETE", theirs)[0] == 404
    assert mine.status()[0] == 200


# ── 40 ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [3_000, 20_000], ids=["inline", "job"])
def test_row_40_the_web_process_is_killed_at_each_step_of_finalize(hub: Hub, count: int) -> None:
    """Killed after ever longer pauses, from before the request is read to after its answer."""
    project = f"row40-{count}"
    pauses = [0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2]
    uploads = [Sent(hub, project, payload(count), size=100_000) for _ in pauses]
    for sent, pause in zip(uploads, pauses, strict=True):
        outcome: list[Any] = []
        asking = threading.Thread(target=lambda s=sent, o=outcome: o.append(s.patient_finalize()))
        asking.start()
        threading.Event().wait(pause)
        killed = hub.web_processes()
        assert killed
        for process in killed:
            kill_process(process)
        asking.join(300)
        assert outcome, "no answer"
        assert sent.patient_finalize() == outcome[0]
    hub.wait_for_runs(project, len(pauses))
    runs = hub.runs(project)
    assert len(runs) == len(pauses)
    assert sorted(run["payload"] for run in (run_detail(hub, run) for run in runs)) == sorted(
        sha256_hex(sent.body) for sent in uploads
    )


def run_detail(hub: Hub, run: dict[str, Any]) -> dict[str, Any]:
    status, found = hub.call("GET", f"/insight/runs/{run['id']}")
    assert status == 200
    return {"payload": found["payload"]["sha256"]}


def kill_process(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
