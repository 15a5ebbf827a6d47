"""Whatever becomes of several queued uploads in one run: what is told, kept, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from odavl.hub.queue.items import QueuedUpload
from odavl.hub.queue.sending import process_queue
from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import ONCE
from odavl.hub.run_files import RunFile
from odavl.hub.transport import HubClient, digest_of_key
from odavl.hub.uploads import Destination, ProjectName, UploadResult, upload, upload_files
from odavl.hub.uploads import exit_code as exit_code_of
from odavl.main import run
from odavl.wire.envelope import UploadMetadata
from odavl.wire.errors import (
    ChunksMissing,
    InvalidPayload,
    KeyRevoked,
    MissingScope,
    PayloadTooLarge,
    QuotaExceeded,
    RateLimited,
    ServerFault,
    StorageFull,
)
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, Fault, SmallHub, cut, html, lose_answer, problem


@dataclass(frozen=True)
class Outcome:
    """``stops``: what comes after it would meet the same, and is not tried."""

    fault: Fault | None
    code: int
    state: str
    stops: bool = False


OUTCOMES: dict[str, Outcome] = {
    "stored": Outcome(None, 0, ""),
    "refused": Outcome(problem(InvalidPayload("No.")), 5, "refused"),
    "too large": Outcome(problem(PayloadTooLarge("No.")), 5, "refused"),
    "quota": Outcome(problem(QuotaExceeded("Ten of ten.")), 4, "held"),
    "scope": Outcome(problem(MissingScope("insight:write")), 4, "held"),
    "revoked": Outcome(problem(KeyRevoked("Gone.")), 4, "held", stops=True),
    "away": Outcome(cut, 3, "queued", stops=True),
    "answer lost": Outcome(lose_answer, 3, "queued", stops=True),
    "portal": Outcome(html(200), 3, "queued", stops=True),
    "asked to wait": Outcome(problem(RateLimited(), Retry_After="3600"), 3, "queued", stops=True),
    "fault": Outcome(problem(ServerFault()), 3, "queued"),
    "disk full": Outcome(problem(StorageFull("No room.")), 3, "queued"),
    "dropped": Outcome(problem(ChunksMissing("Which?")), 3, "queued"),
}


@dataclass
class Line:
    """Uploads of kinds of their own, so that what holds one does not hold the next."""

    hub: SmallHub
    home: Path

    def put(self, count: int) -> list[QueuedUpload]:
        return [
            enqueue(
                self.home,
                self.hub.address,
                b"payload %d" % number,
                metadata={"projectName": f"p{number}"},
            )
            for number in range(count)
        ]

    def states(self) -> dict[str, str]:
        return {each.id: each.state for each in UploadQueue(self.home).content().items}


def expected(names: Sequence[str]) -> list[Outcome]:
    """What becomes of each: after what stops, the same as that."""
    found: list[Outcome] = []
    stopped: Outcome | None = None
    for name in names:
        outcome = stopped or OUTCOMES[name]
        found.append(outcome)
        if outcome.stops:
            stopped = outcome
    return found


def faults_of(outcomes: Sequence[Outcome]) -> Iterator[Fault]:
    for outcome in outcomes:
        yield outcome.fault or (lambda _handler: False)


@pytest.fixture
def line(small_hub: SmallHub, home: Path) -> Line:
    return Line(small_hub, home)


@pytest.mark.parametrize("names", list(product(OUTCOMES, repeat=2)), ids="-".join)
def test_every_pair_ends_with_the_gravest_code(line: Line, names: tuple[str, ...]) -> None:
    check(line, names)


@pytest.mark.parametrize("first", ["stored", "refused", "quota", "fault", "away"])
def test_every_triple_ends_with_the_gravest_code(tmp_path: Path, first: str) -> None:
    for others in product(["stored", "refused", "quota", "fault", "away"], repeat=2):
        with closing(SmallHub()) as hub:
            check(Line(hub, tmp_path / "-".join(others)), (first, *others))


def check(line: Line, names: tuple[str, ...]) -> None:
    items = line.put(len(names))
    outcomes = expected(names)
    line.hub.faults.extend(faults_of(outcomes))
    with HubClient(line.hub.address, token=TOKEN, policy=ONCE) as client:
        report = process_queue(UploadQueue(line.home), client, rounds=1)
    failed = [each for each in outcomes if each.code]
    assert report.exit_code == max(each.code for each in outcomes)
    assert (report.succeeded, report.failed) == (len(outcomes) - len(failed), len(failed))
    assert sorted(each.error.exit_code for each in report.failures) == sorted(
        each.code for each in failed
    )
    left = line.states()
    for item, outcome in zip(items, outcomes, strict=True):
        if not outcome.code:
            assert item.id not in left
    tried = 1 + next((at for at, each in enumerate(outcomes) if each.stops), len(outcomes) - 1)
    for item, outcome in list(zip(items, outcomes, strict=True))[:tried]:
        if outcome.code:
            assert left[item.id] == outcome.state, outcome
    assert all(left[each.id] == "queued" for each in items[tried:])
    assert len(line.hub.uploads_seen()) == tried


@pytest.mark.parametrize("names", list(product(["stored", "refused", "away", "quota"], repeat=2)))
def test_the_command_ends_with_that_code_and_tells_the_same(
    line: Line,
    names: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line.put(2)
    outcomes = expected(names)
    line.hub.faults.extend([*faults_of(outcomes)])
    # Those that come again would be tried again within the command: the hub stays as it is.
    line.hub.faults.extend([cut] * 9)
    monkeypatch.setattr("odavl.hub.queue.sending.PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr("odavl.hub.queue.sending.full_jitter", lambda _seconds: 0.0)
    sign_in_by_environment(monkeypatch, line.hub.address, line.home)
    code = run(["sync", "process-queue", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == max(each.code for each in outcomes)
    assert (told["processed"], told["succeeded"]) == (2, sum(not each.code for each in outcomes))
    assert {each["state"] for each in told["failures"]} <= {"queued", "held", "refused"}


def sign_in_by_environment(monkeypatch: pytest.MonkeyPatch, address: str, home: Path) -> None:
    monkeypatch.setenv("ODAVL_CLOUD_API", address)
    monkeypatch.setenv("ODAVL_API_KEY", TOKEN)
    monkeypatch.setenv("ODAVL_HOME", str(home))
    for name in ("ODAVL_ORGANIZATION_ID", "ODAVL_PROJECT_ID", "CI"):
        monkeypatch.delenv(name, raising=False)
    home.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(home.parent)


def test_poison_does_not_stand_before_what_came_later(line: Line) -> None:
    """Refused, tried again by a person, and taken: three steps, with a new request key."""
    [item, *_] = line.put(3)
    line.hub.faults.append(problem(InvalidPayload("No.")))
    queue = UploadQueue(line.home)
    with HubClient(line.hub.address, token=TOKEN, policy=ONCE) as client:
        assert process_queue(queue, client, rounds=1).exit_code == 5
        assert line.states() == {item.id: "refused"}
        again = process_queue(queue, client, rounds=1)
        assert (again.processed, again.exit_code, len(again.set_aside)) == (0, 0, 1)
        refused = queue.content().items[0]
        queue.change([refused._replace(state="queued", idempotencyKey="another")])
        assert process_queue(queue, client, rounds=1).succeeded == 1
    assert line.states() == {}
    assert [each.payload for each in line.hub.runs] == [b"payload 1", b"payload 2", b"payload 0"]


def test_several_failures_at_once_come_again_and_the_rest_is_settled(line: Line) -> None:
    """Of four, two fail in passing, one is refused, one held: the second round has the two."""
    items = line.put(4)
    names = ("fault", "refused", "fault", "quota")
    line.hub.faults.extend(faults_of([OUTCOMES[name] for name in names]))
    pauses: list[float] = []
    with HubClient(line.hub.address, token=TOKEN, policy=ONCE) as client:
        report = process_queue(UploadQueue(line.home), client, rounds=3, sleep=pauses.append)
    assert [each.payload for each in line.hub.runs] == [b"payload 0", b"payload 2"]
    assert line.states() == {items[1].id: "refused", items[3].id: "held"}
    assert (report.succeeded, report.failed, report.exit_code, len(pauses)) == (2, 2, 5, 1)


@pytest.mark.parametrize(("queued_with", "sent"), [(TOKEN, 1), (f"{TOKEN[:-1]}9", 0)])
def test_what_a_key_queued_is_sent_with_that_key_alone(
    line: Line, queued_with: str, sent: int
) -> None:
    """Where nobody knows whose it is, another key may be another organization's."""
    enqueue(line.home, line.hub.address, keyDigest=digest_of_key(queued_with))
    with HubClient(line.hub.address, token=TOKEN, policy=ONCE) as client:
        report = process_queue(UploadQueue(line.home), client, rounds=1)
    assert (report.succeeded, len(line.hub.uploads_seen()), len(line.states())) == (
        sent, sent, 1 - sent,
    )  # fmt: skip
    assert report.exit_code == (0 if sent else 4)


RUN_OUTCOMES = {name: OUTCOMES[name] for name in ("stored", "refused", "quota", "fault", "away")}


@pytest.mark.parametrize("names", list(product(RUN_OUTCOMES, repeat=2)), ids="-".join)
def test_the_files_of_a_run_end_with_the_gravest_code(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    """What passes or is held stops the rest: that is queued without a try, with the same code."""
    monkeypatch.setattr("odavl.hub.retry.full_jitter", lambda _seconds: 0.0)
    files = []
    for number in range(2):
        path = tmp_path / f"run-{number}.json"
        path.write_bytes(b"%d" % number)
        files.append(RunFile(path=path, type="ledger", run_id=str(number), silent=False))
    first, second = (RUN_OUTCOMES[name] for name in names)
    for outcome in (first, second):
        attempts = 3 if outcome.code == 3 else 1
        line.hub.faults.extend([*faults_of([outcome])] * attempts)
    sent = upload_files(
        destination(line), "autopilot", files, project=ProjectName(name="shop"), wait=False
    )
    results = [each.result for each in sent]
    assert results[0].exit_code == first.code
    stops = first.code in {3, 4}
    assert results[1].exit_code == (first if stops else second).code
    assert exit_code_of(sent) == max(first.code, results[1].exit_code)
    waiting = {each.metadata["runId"] for each in UploadQueue(line.home).content().items}
    assert waiting == {str(at) for at, each in enumerate(results) if each.queued}
    assert [each.queued for each in results] == [each.exit_code in {3, 4} for each in results]


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize("silent", [False, True])
def test_what_an_upload_says_is_what_happened(
    line: Line, monkeypatch: pytest.MonkeyPatch, name: str, silent: bool
) -> None:
    """Stored, or in the queue, or refused aloud: there is no fourth."""
    monkeypatch.setattr("odavl.hub.retry.full_jitter", lambda _seconds: 0.0)
    outcome = OUTCOMES[name]
    line.hub.faults.extend([*faults_of([outcome])] * (3 if outcome.code == 3 else 1))
    result = send(line, silent=silent)
    assert (result.exit_code, result.success) == (outcome.code, not outcome.code)
    kept = list(line.states().values())
    refused_aloud = outcome.state == "refused" and not silent
    assert kept == ([outcome.state] if outcome.state and not refused_aloud else [])
    assert result.queued == bool(kept)
    assert result.document()["state"] == (outcome.state or "stored")
    assert result.retryable == (outcome.code == 3)
    if kept:
        [item] = UploadQueue(line.home).content().items
        assert (item.organizationId, item.projectId) == ("org-1", "project-1")
        assert item.keyDigest is None
        assert item.attempts == (outcome.state != "held")


def send(line: Line, *, silent: bool) -> UploadResult:
    return upload(
        destination(line), "insight", "sarif", b"{}", metadata=UploadMetadata(), silent=silent
    )


def destination(line: Line) -> Destination:
    return Destination(
        address=line.hub.address,
        token=TOKEN,
        organization_id="org-1",
        project_id="project-1",
        home=line.home,
    )
