"""Rows 19 and 22 of what must go wrong without harm: what stands between client and hub."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.client.fixtures import Odavl, Result
from tests.client.small_hub import TOKEN, Fault, Reply, SmallHub, answer, html

FINDINGS = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "lint"}},
            "results": [
                {
                    "message": {"text": "wrong"},
                    "locations": [
                        {"physicalLocation": {"artifactLocation": {"uri": "a.c"},
                                              "region": {"startLine": 1}}}
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture
def sarif(project: Path) -> Path:
    path = project / "in.sarif"
    path.write_text(json.dumps(FINDINGS))
    return path


def upload(odavl: Odavl, address: str, **environment: str) -> Result:
    return odavl(
        "insight", "import", "in.sarif", "--upload", "--project", "shop",
        ODAVL_CLOUD_API=address, ODAVL_API_KEY=TOKEN, **environment,
    )  # fmt: skip


def is_kept(odavl: Odavl, result: Result) -> None:
    """It was not told to be stored, and waits in the queue."""
    assert result.returncode == 3, (result.stdout, result.stderr)
    said = result.stdout + result.stderr
    assert "Traceback" not in said
    assert "/runs/" not in said
    listed = json.loads(odavl("sync", "queue", "--json").stdout)
    assert listed["total"] == 1, listed


# ── 19 ───────────────────────────────────────────────────────────────────────

PORTAL = b"<html><body>Sign in to our network</body></html>"


@pytest.mark.parametrize(
    "fault",
    [
        html(502),
        html(200),
        html(511),
        html(403),
        answer(Reply(200, b'{"status":"ok"}', {"Content-Type": "application/json"})),
        answer(Reply(201, PORTAL, {"Content-Type": "application/json"})),
        answer(Reply(200, b"", {"Content-Type": "application/json"})),
        answer(Reply(204)),
        answer(Reply(302, headers={"Location": "http://portal.example/"})),
    ],
    ids=["502", "portal", "511", "403", "other-json", "lie", "empty", "204", "redirect"],
)
def test_row_19_what_a_proxy_or_a_portal_answers_is_never_taken_for_stored(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, fault: Fault
) -> None:
    small_hub.faults.extend([fault] * 3)
    is_kept(odavl, upload(odavl, small_hub.address))
    assert small_hub.runs == []
    small_hub.faults.clear()
    sent = odavl(
        "sync", "process-queue", "--json",
        ODAVL_CLOUD_API=small_hub.address, ODAVL_API_KEY=TOKEN,
    )  # fmt: skip
    assert (sent.returncode, len(small_hub.runs)) == (0, 1), sent.stderr


def test_row_19_a_passing_502_is_tried_again_within_the_command(
    odavl: Odavl, sarif: Path, small_hub: SmallHub
) -> None:
    small_hub.faults.append(html(502))
    sent = upload(odavl, small_hub.address)
    assert (sent.returncode, len(small_hub.runs)) == (0, 1), sent.stderr


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Connections are taken, and nothing ever comes back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_row_19_a_black_hole_ends_in_time_and_the_item_is_kept(
    odavl: Odavl, sarif: Path, black_hole: str
) -> None:
    is_kept(odavl, upload(odavl, black_hole, ODAVL_TIMEOUT="3"))


# ── 22 ───────────────────────────────────────────────────────────────────────


class SecureFront:
    """Takes TLS connections with its certificate and carries them to a hub behind it."""

    def __init__(self, behind: str, certificate: Path) -> None:
        self._port = int(behind.rpartition(":")[2])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.taken = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(line,), daemon=True).start()

    def _carry(self, line: socket.socket) -> None:
        with (
            line,
            suppress(OSError),
            self._context.wrap_socket(line, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self._port)) as hub,
        ):
            self.taken += 1
            threading.Thread(target=_pump, args=(hub, client), daemon=True).start()
            _pump(client, hub)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def certificate(folder: Path, *, host: str = "127.0.0.1", days: int = 1) -> Path:
    """Key and certificate in one file, signed by itself; ``days`` below 0 for one that is over."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    now = datetime.now(UTC)
    is_address = host[0].isdigit()
    names = x509.IPAddress(ip_address(host)) if is_address else x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "front.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


CERTIFICATES = {
    "expired": ("127.0.0.1", -1, True),
    "other-name": ("hub.example.com", 1, True),
    "unknown-issuer": ("127.0.0.1", 1, False),
}


def upload_through(
    odavl: Odavl, hub: SmallHub, folder: Path, kind: tuple[str, int, bool]
) -> Result:
    """An upload through a front whose certificate has this host, these days, and is trusted."""
    host, days, is_trusted = kind
    pem = certificate(folder, host=host, days=days)
    front = SecureFront(hub.address, pem)
    try:
        trust = {"SSL_CERT_FILE": str(pem)} if is_trusted else {}
        return upload(odavl, front.address, **trust)
    finally:
        front.close()


@pytest.mark.parametrize("kind", CERTIFICATES.values(), ids=CERTIFICATES)
def test_row_22_a_wrong_certificate_is_refused_and_the_item_kept(
    odavl: Odavl, sarif: Path, small_hub: SmallHub, kind: tuple[str, int, bool]
) -> None:
    is_kept(odavl, upload_through(odavl, small_hub, sarif.parent.parent, kind))
    assert small_hub.seen == []


def test_row_22_the_right_certificate_is_taken(
    odavl: Odavl, sarif: Path, small_hub: SmallHub
) -> None:
    sent = upload_through(odavl, small_hub, sarif.parent.parent, ("127.0.0.1", 1, True))
    assert (sent.returncode, len(small_hub.runs)) == (0, 1), sent.stderr
