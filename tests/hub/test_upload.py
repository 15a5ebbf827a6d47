from __future__ import annotations

import gzip
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from odavl.hub.queue.sending import process_queue
from odavl.hub.queue.store import UploadQueue
from odavl.hub.transfer.encoding import Pieces, opened
from odavl.hub.transport import HubClient
from odavl.hub.uploads import Destination, UploadResult, upload
from odavl.wire.envelope import UploadMetadata, UploadOptions, UploadStatus
from odavl.wire.errors import (
    HubUnreachable,
    InvalidPayload,
    LocalStorageFailed,
    NotAuthenticated,
    NotTheHub,
    QuotaExceeded,
    RateLimited,
    UsageError,
)
from odavl.wire.transfer import TransferRequest
from tests.client.small_hub import TOKEN, SmallHub, cut, html, lose_answer, problem

SMALL = b'{"diagnostics": {}}'
METADATA = UploadMetadata(project_name="shop", branch="main")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jitter of the backoff, which may be anything down to nothing, is nothing."""
    monkeypatch.setattr("odavl.hub.retry.random.uniform", lambda low, _high: low)


def send(
    hub: SmallHub | str, home: Path, payload: bytes | Path | Pieces = SMALL, **settings: object
) -> UploadResult:
    address = hub if isinstance(hub, str) else hub.address
    token = settings.pop("token", TOKEN)
    destination = Destination(
        address=address,
        token=token,
        organization_id="org-1",
        home=home,
    )
    upload_type = str(settings.pop("upload_type", "analysis-results"))
    known = {"metadata": METADATA, **settings}
    return upload(destination, "insight", upload_type, payload, **known)


def waiting(home: Path) -> list[str]:
    return [item.state for item in UploadQueue(home).content().items]


def large() -> bytes:
    """More than an envelope takes, after gzip."""
    return os.urandom(700_000)


def test_a_small_payload_travels_in_an_envelope(small_hub: SmallHub, home: Path) -> None:
    result = send(small_hub, home)
    assert (result.state, result.run_id, result.exit_code) == ("stored", "run-1", 0)
    assert result.url == f"{small_hub.address}/en/acme/insight/runs/1"
    [run] = small_hub.runs
    assert (run.type, run.payload, run.metadata) == ("analysis-results", SMALL, METADATA)
    assert small_hub.uploads_seen()[0].headers["content-type"] == "application/json"
    assert not (home / "queue").exists()


def test_a_large_payload_travels_raw(small_hub: SmallHub, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(large())
    shares: list[float] = []
    result = send(small_hub, home, file, on_progress=lambda _what, share: shares.append(share))
    assert result.state == "stored"
    assert small_hub.runs[0].payload == file.read_bytes()
    assert small_hub.runs[0].metadata == METADATA
    headers = small_hub.uploads_seen()[0].headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-encoding"] == "gzip"
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_the_hubs_options_are_obeyed(small_hub: SmallHub, home: Path) -> None:
    small_hub.options = UploadOptions(max_envelope_size=10, encodings=("identity",))
    assert send(small_hub, home).state == "stored"
    headers = small_hub.uploads_seen()[0].headers
    assert headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in headers
    small_hub.options = UploadOptions(max_upload_size=1000)
    refused = send(small_hub, home, large())
    assert (refused.state, refused.exit_code, refused.queued) == ("refused", 5, False)
    assert len(small_hub.runs) == 1


@pytest.mark.parametrize("chunk_size", [0, -1, 3, 1023])
def test_options_that_no_hub_gives_queue_it(
    small_hub: SmallHub, home: Path, chunk_size: int
) -> None:
    small_hub.options = UploadOptions(chunk_size=chunk_size)
    result = send(small_hub, home, large())
    assert isinstance(result.error, NotTheHub)
    assert (result.state, result.exit_code, waiting(home)) == ("queued", 3, ["queued"])


def test_screenshots_are_not_gzipped(small_hub: SmallHub, home: Path) -> None:
    send(small_hub, home, large(), upload_type="screenshot")
    assert "content-encoding" not in small_hub.uploads_seen()[0].headers


@pytest.mark.parametrize("payload", [SMALL, None])
def test_an_answer_that_is_lost_makes_no_second_run(
    small_hub: SmallHub, home: Path, payload: bytes | None
) -> None:
    small_hub.faults.append(lose_answer)
    result = send(small_hub, home, payload or large())
    assert (result.state, result.run_id) == ("stored", "run-1")
    assert len(small_hub.uploads_seen()) == 2
    assert len(small_hub.runs) == 1


def test_a_cut_connection_is_tried_again_from_the_start(small_hub: SmallHub, home: Path) -> None:
    small_hub.faults.extend([cut, cut])
    payload = large()
    assert send(small_hub, home, payload).state == "stored"
    assert small_hub.runs[0].payload == payload


def test_work_that_goes_on_is_watched_to_its_end(small_hub: SmallHub, home: Path) -> None:
    small_hub.takes_later = True
    for progress in (0, 40):
        small_hub.statuses.append(
            UploadStatus(upload_id="upload-1", state="processing", progress=progress)
        )
    small_hub.statuses.append(
        UploadStatus(
            upload_id="upload-1", state="completed", progress=100, run_id="run-9", url="http://x/9"
        )
    )
    result = send(small_hub, home)
    assert (result.state, result.run_id, result.url) == ("stored", "run-9", "http://x/9")


def test_without_waiting_it_says_that_work_goes_on(small_hub: SmallHub, home: Path) -> None:
    small_hub.takes_later = True
    result = send(small_hub, home, wait=False)
    assert (result.state, result.success, result.url) == ("processing", True, None)


def test_work_that_failed_is_refused(small_hub: SmallHub, home: Path) -> None:
    small_hub.takes_later = True
    told = {
        "type": "urn:odavl:problem:invalid_payload",
        "title": "No",
        "status": 422,
        "detail": "Line 4.",
        "code": "invalid_payload",
        "retryable": False,
    }
    small_hub.statuses.append(
        UploadStatus(upload_id="upload-1", state="failed", progress=3, problem=told)
    )
    result = send(small_hub, home)
    assert (result.state, result.exit_code) == ("refused", 5)
    assert isinstance(result.error, InvalidPayload)


def test_a_hub_that_is_away_queues(home: Path) -> None:
    result = send("http://127.0.0.1:9", home)
    assert isinstance(result.error, HubUnreachable)
    assert (result.state, result.queued, result.exit_code) == ("queued", True, 3)
    [item] = UploadQueue(home).content().items
    assert (item.hub, item.organizationId, item.attempts) == ("http://127.0.0.1:9", "org-1", 1)
    assert item.lastError is not None
    assert item.lastError["code"] == "hub_unreachable"


def test_a_captive_portal_queues(small_hub: SmallHub, home: Path) -> None:
    small_hub.faults.extend([html(200)] * 3)
    result = send(small_hub, home)
    assert isinstance(result.error, NotTheHub)
    assert (result.success, result.queued) == (False, True)


@pytest.mark.parametrize("error", [QuotaExceeded("Ten of ten."), NotAuthenticated("Who?")])
def test_what_waits_for_a_person_is_held_without_an_attempt(
    small_hub: SmallHub, home: Path, error: QuotaExceeded | NotAuthenticated
) -> None:
    small_hub.faults.append(problem(error))
    result = send(small_hub, home)
    assert (result.state, result.queued, result.exit_code) == ("held", True, 4)
    [item] = UploadQueue(home).content().items
    assert (item.state, item.attempts) == ("held", 0)


def test_nobody_signed_in_is_held(small_hub: SmallHub, home: Path) -> None:
    assert send(small_hub, home, token=None).state == "held"
    assert waiting(home) == ["held"]
    assert small_hub.seen == []


def test_a_refusal_is_told_and_not_queued(small_hub: SmallHub, home: Path) -> None:
    small_hub.faults.append(problem(InvalidPayload("No.")))
    result = send(small_hub, home)
    assert (result.state, result.queued, result.exit_code) == ("refused", False, 5)
    assert waiting(home) == []


def test_a_silent_refusal_is_kept(small_hub: SmallHub, home: Path) -> None:
    small_hub.faults.append(problem(InvalidPayload("No.")))
    send(small_hub, home, silent=True)
    assert waiting(home) == ["refused"]


def test_what_is_queued_does_not_stand_before_it(small_hub: SmallHub, home: Path) -> None:
    small_hub.faults.extend([problem(RateLimited())] * 3)
    assert send(small_hub, home, b'{"diagnostics": {}, "version": 1}').queued
    assert send(small_hub, home).state == "stored"
    assert [len(run.payload) for run in small_hub.runs] == [len(SMALL)]
    assert waiting(home) == ["queued"]


def test_a_source_changed_after_queueing_is_sent_as_it_was(
    small_hub: SmallHub, home: Path, tmp_path: Path
) -> None:
    source = tmp_path / "results.json"
    source.write_bytes(SMALL)
    small_hub.faults.extend([cut] * 3)
    assert send(small_hub, home, source).queued
    source.write_bytes(b"changed")
    source.unlink()
    with HubClient(small_hub.address, token=TOKEN) as client:
        process_queue(UploadQueue(home), client, rounds=1)
    assert [run.payload for run in small_hub.runs] == [SMALL]


def test_only_regular_files_are_taken(small_hub: SmallHub, home: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(UsageError):
            send(small_hub, home, path)
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises((UsageError, LocalStorageFailed)):
            send(small_hub, home, path)
    assert small_hub.seen == []


def test_ctrl_c_during_the_upload_queues(small_hub: SmallHub, home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from odavl.hub.uploads import *;"
        "from odavl.wire.envelope import UploadMetadata;"
        "d = Destination(address=sys.argv[1], token=sys.argv[2], organization_id=None,"
        " home=Path(sys.argv[3]));"
        "r = upload(d, 'insight', 'analysis-results', b'{}', metadata=UploadMetadata());"
        "print(r.state, r.queued); sys.exit(r.exit_code)"
    )
    process: list[subprocess.Popen[str]] = []

    def interrupt(_handler: object) -> bool:
        process[0].send_signal(signal.SIGINT)
        process[0].wait(300)
        return True

    small_hub.faults.append(interrupt)
    arguments = [sys.executable, "-c", program, small_hub.address, TOKEN, str(home)]
    process.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
    output, _ = process[0].communicate(timeout=300)
    assert (output.strip(), process[0].returncode) == ("queued True", 3)
    assert waiting(home) == ["queued"]


def test_queueing_of_a_large_file_can_be_followed(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    file.write_bytes(b"x" * 6 * 1024**2)
    told: list[tuple[str, float]] = []
    result = send("http://127.0.0.1:9", home, file, on_progress=lambda *each: told.append(each))
    assert result.queued
    assert list(dict.fromkeys(what for what, _ in told)) == ["compressing"]
    assert [share for what, share in told if what == "compressing"][-1] == 1


@pytest.mark.parametrize("count", [1, 1_000, 7_000])
def test_a_document_given_in_pieces_is_queued_whole(home: Path, count: int) -> None:
    """Small or large: what had been made of it when the hub was found away is made again."""
    piece = b"x" * 1_024

    def document() -> Iterator[bytes]:
        return (piece for _ in range(count))

    result = send("http://127.0.0.1:9", home, document)
    assert (result.state, result.queued) == ("queued", True)
    queue = UploadQueue(home)
    [item] = queue.content().items
    assert item.size == count * len(piece)
    assert gzip.decompress(queue.blob_path(item).read_bytes()) == piece * count


def test_a_snapshot_that_is_damaged_is_announced_as_what_it_was(
    small_hub: SmallHub, home: Path, tmp_path: Path
) -> None:
    """So that the hub finds out; under its own name it would be taken for what was sent."""
    file = tmp_path / "page.png"
    file.write_bytes(os.urandom(6 * 1024**2))
    destination = Destination(
        address=small_hub.address, token=None, organization_id=None, home=home
    )
    upload(destination, "insight", "screenshot", file, metadata=METADATA)
    queue = UploadQueue(home)
    [item] = queue.content().items
    with queue.blob_path(item).open("r+b") as blob:
        blob.write(b"damaged")
    small_hub.faults.append(problem(InvalidPayload("Enough seen.")))
    with HubClient(small_hub.address, token=TOKEN) as client:
        process_queue(queue, client, rounds=1)
    [announced] = [each for each in small_hub.seen if each.path.endswith("/init")]
    request = msgspec.json.decode(announced.body, type=TransferRequest)
    assert request.sha256 == item.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_document_is_whole_however_often_it_was_begun() -> None:
    made = []

    def document() -> Iterator[bytes]:
        made.append(1)
        yield from (b"%09d" % number for number in range(1_000_000))

    with opened(document, "analysis-results") as payload:
        assert len(made) == 1
        walk = payload.pieces()
        assert next(walk) == b"000000000"
        walk.close()
        assert b"".join(payload.pieces()) == b"".join(document())
        assert payload.name() == hashlib.sha256(b"".join(document())).hexdigest()


@pytest.mark.parametrize("trouble", ["queue full", "no file", "fifo"])
def test_a_silent_upload_fails_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    file = tmp_path / "signatures.json"
    if trouble == "fifo":
        os.mkfifo(file)
    elif trouble == "queue full":
        file.write_bytes(SMALL)
        monkeypatch.setattr("odavl.hub.queue.store.MAX_BYTES", 1)
    result = send("http://127.0.0.1:9", home, file, silent=True)
    assert (result.success, result.queued) == (False, False)
    assert isinstance(result.error, LocalStorageFailed | UsageError)
    with pytest.raises((LocalStorageFailed, UsageError)):
        send("http://127.0.0.1:9", home, file)


def test_the_example_in_the_readme_works(
    small_hub: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[2] / "cli" / "README.md"
    example = re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "results.json").write_bytes(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shown: list[tuple[str, float]] = []

    class Bar:
        def update(self, *told: object) -> None:
            shown.append(told)

    names = {"key": TOKEN, "bar": Bar()}
    exec(example[1].replace("https://hub.example.com", small_hub.address), names)
    assert names["result"].state == "stored"
    assert small_hub.runs[0].payload == SMALL
