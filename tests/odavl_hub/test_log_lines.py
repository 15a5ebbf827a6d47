"""Signed addresses and keys never stand whole in what the hub writes to its logs."""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from odavl_hub.log_lines import RedactingFormatter, redacted
from storage.objects.tickets import Sealer, Ticket
from tests.cast import Api, Person
from tests.hub_process import REPOSITORY, free_port

TICKET = Sealer("of this test").seal(Ticket("get", "incoming/a/b", 2**33))
SIGNATURE = TICKET.partition(".")[2]
KEY = "odavl_key_" + "Ab3" * 12


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (f"Forbidden: /api/v1/storage/signed/{TICKET}", "Forbidden: /api/v1/storage/signed/"),
        (f'"PUT /api/v1/storage/signed/{TICKET} HTTP/1.1" 403', 'HTTP/1.1" 403'),
        (f"GET /api/v1/storage/signed/{TICKET.replace('.', '%2E')}?a=b", "?a=b"),
        (f"https://s3/b/k?X-Amz-Expires=60&X-Amz-Signature={SIGNATURE}&a=b", "X-Amz-Expires=60"),
        (f"Credential=x, SignedHeaders=host, Signature={SIGNATURE}", "SignedHeaders=host"),
        (f"https://a.blob/c/k?se=2027&sig={SIGNATURE}&sp=r", "&sp=r"),
        (f"Authorization: Bearer {KEY}", "Bearer odavl_key_"),
        (f"Not Found: /en/accounts/password/reset/key/1-{SIGNATURE}/", "password/reset/key/"),
        (f"'GET /ar/accounts/password/reset/key/1-{SIGNATURE}/?next=/' 429", "?next=/"),
        (f"Forbidden: /en/accounts/confirm-email/Mg:1x:{SIGNATURE}/", "/confirm-email/"),
        (f"Cookie: a=b; sessionid={SIGNATURE}; theme=dark", "theme=dark"),
        (f"{{'Cookie': 'odavl_device={SIGNATURE}'}}", "odavl_device="),
    ],
)
def test_what_lets_somebody_in_is_left_out(line: str, kept: str) -> None:
    told = redacted(line)
    assert SIGNATURE not in told
    assert KEY not in told
    assert kept in told
    assert "…" in told


@pytest.mark.parametrize(
    "line", ["GET /api/v1/storage/files 200", "frame.errors", "assigned=1 design=2", ""]
)
def test_everything_else_is_left_as_it_is(line: str) -> None:
    assert redacted(line) == line


def test_tracebacks_are_redacted_too() -> None:
    error = ValueError(f"/api/v1/storage/signed/{TICKET}")
    fault = (type(error), error, None)
    record = logging.LogRecord("a", logging.ERROR, "", 1, "%s", ("oh",), fault)
    written = RedactingFormatter().format(record)
    assert "ValueError" in written
    assert SIGNATURE not in written


def test_neither_log_nor_answer_holds_the_ticket_of_a_request(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the logging that a hub has, from a request that is refused."""
    log = StringIO()
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            monkeypatch.setattr(handler, "stream", log)
    body = {"fileName": "a.txt", "contentType": "text/plain", "size": 3}
    announced = alice.api.send("POST", "/storage/upload-url", body).json()
    path = urlsplit(announced["uploadUrl"]).path
    signature = path.rpartition(".")[2]
    answers = [
        Api(None).put(path, b"four", content_type="text/plain"),
        Api(None).get(path),
        Api(None).get(f"{path}/beyond"),
        Api(None).put(f"{path[:-1]}{'A' if path[-1] != 'A' else 'B'}", b"abc"),
    ]
    assert [answer.status_code for answer in answers] == [413, 403, 404, 403]
    written = log.getvalue()
    assert written.count("/api/v1/storage/signed/") >= len(answers)
    assert signature[:-1] not in written
    assert all(signature[:-1] not in answer.content.decode() for answer in answers)


@pytest.mark.end_to_end
def test_the_access_log_of_a_web_process_holds_no_ticket(tmp_path: Path) -> None:
    """Where an operator turns it on, which the hub does not."""
    port = free_port()
    environment = os.environ | {
        "GRANIAN_LOG_ACCESS_ENABLED": "true",
        "PORT": str(port),
        "WEB_WORKERS": "1",
        "ODAVL_DATA": str(tmp_path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    server = subprocess.Popen(
        ["deploy/serve", "web"],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _until(server, "Started worker")
        url = f"http://127.0.0.1:{port}/api/v1/storage/signed/{TICKET}"
        retrying = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=retrying, trust_env=False, timeout=300) as client:
            assert client.get(url).status_code == 403
        written = _until(server, '"GET /api/v1/storage/signed/')
    finally:
        server.terminate()
        server.communicate(timeout=300)
    assert "Forbidden: /api/v1/storage/signed/" in written
    assert SIGNATURE not in written


def _until(server: subprocess.Popen[bytes], word: str) -> str:
    """Its output until ``word`` stands in it."""
    assert server.stdout is not None
    written = ""
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        while word not in written:
            assert selector.select(60), written
            block = os.read(server.stdout.fileno(), 65536)
            assert block, written
            written += block.decode()
    return written
