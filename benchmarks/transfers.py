"""Uploads in chunks: their rate and memory on both sides, and what crosses the wire again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchmarks.corpus import Corpus
from benchmarks.hub import REPOSITORY, RunningHub, clean_environment, compressed, served
from benchmarks.ingest import peak_of_workers
from benchmarks.table import Figure, Row, Table, measure
from odavl.wire import limits

CLIENTS = 8
CHUNKS = 12
"""Of each client in each run: 480 MiB in all."""
FILE_SIZE = 256 * limits.MEBIBYTE


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    with tempfile.TemporaryDirectory(prefix="odavl-bench-") as name:
        folder = Path(name)
        _bare_folder(folder).mkdir()
        environment = {"BARE_FOLDER": str(_bare_folder(folder))}
        with served("benchmarks.bare_server", environment) as bare:
            _raw_chunks(table, hub, bare, folder, corpus)
            _client(table, hub, bare, corpus, folder)
        _file(table, hub, folder, corpus)


def _raw_chunks(table: Table, hub: RunningHub, bare: str, folder: Path, corpus: Corpus) -> None:
    _warm(folder, corpus)
    ours: list[float] = []
    writing: list[float] = []
    keeping: list[float] = []
    peaks: list[float] = []
    # Side by side, so that what else the machine does falls on all of them.
    for _ in range(corpus.runs + 1):
        writing.append(_bare_rate(bare, "/", folder))
        keeping.append(_bare_rate(bare, "/kept", folder))
        peaks.append(peak_of_workers(hub, lambda: ours.append(_hub_rate(hub))))
    rate = Figure(tuple(ours[1:]), "MiB/s")
    name = f"raw chunks, {CLIENTS} clients, beside a server that"
    kept = Figure(tuple(keeping[1:]), "MiB/s")
    table.add_ratio(f"{name} hashes, writes, syncs", rate, kept, 0.6, at_least=True)
    bare_rate = Figure(tuple(writing[1:]), "MiB/s")
    why = "SHA-256 and the sync alone take more than half of it (docs/decisions/0022)"
    table.add_ratio(f"{name} only writes", rate, bare_rate, 0.5, at_least=True, why=why)
    table.add(Row("memory of a web process", Figure(tuple(peaks), "MiB"), "≤ 150 MiB", 150))


def _warm(folder: Path, corpus: Corpus) -> None:
    """Have the page cache grow once to what is written below.

    A virtual machine gets its memory when it first touches it, at several times the cost of a
    write: whoever came first would pay for the others.
    """
    path = folder / "warm"
    with path.open("wb") as file:
        for _ in range(corpus.size(4 * 1024)):
            file.write(bytes(limits.MEBIBYTE))
    path.unlink()


def _bare_rate(bare: str, path: str, folder: Path) -> float:
    rate = _rate(bare, [_Sender("POST", path, "", _bodies()) for _ in range(CLIENTS)])
    for file in _bare_folder(folder).iterdir():
        file.unlink()
    return rate


def _bare_folder(folder: Path) -> Path:
    return folder / "bare"


class _Sender:
    """One client: requests made ready before time is taken, sent over one connection."""

    def __init__(self, method: str, path: str, key: str, bodies: list[tuple[str, bytes]]) -> None:
        self.requests = [
            (
                f"{method} {path.format(sha256=name)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {key}\r\nContent-Type: application/octet-stream\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode(),
                body,
            )
            for name, body in bodies
        ]

    def send(self, url: str) -> None:
        address = urlsplit(url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as line:
            for head, body in self.requests:
                line.sendall(head)
                line.sendall(body)
                _check_created(line)


def _check_created(line: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 201 " not in head.partition(b"\r\n")[0]:
        raise SystemExit(f"a chunk was not taken: {data.decode(errors='replace')}")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(rest) < length:
        rest += line.recv(65536)


def _bodies() -> list[tuple[str, bytes]]:
    """Chunks that nobody has sent before, by name; random, as archives and pictures are."""
    bodies = [random.randbytes(limits.CHUNK_SIZE) for _ in range(CHUNKS)]
    return [(hashlib.sha256(body).hexdigest(), body) for body in bodies]


def _hub_rate(hub: RunningHub) -> float:
    senders = []
    with hub.client() as client:
        for _ in range(CLIENTS):
            bodies = _bodies()
            whole = hashlib.sha256(b"".join(body for _, body in bodies)).hexdigest()
            announced = {
                "type": "ml-training",
                "size": CHUNKS * limits.CHUNK_SIZE,
                "sha256": whole,
                "chunks": [{"sha256": name, "size": len(body)} for name, body in bodies],
                "metadata": {"projectName": "chunks"},
            }
            begun = client.post("/upload/insight/init", json=announced).raise_for_status().json()
            path = f"/api/v1/upload/insight/{begun['uploadId']}/chunks/{{sha256}}"
            senders.append(_Sender("PUT", path, hub.key, bodies))
    return _rate(hub.url, senders)


def _rate(url: str, senders: list[_Sender]) -> float:
    """MiB a second of all clients together."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(senders)) as pool:
        for _ in pool.map(lambda sender: sender.send(url), senders):
            pass
    seconds = time.perf_counter() - start
    return len(senders) * CHUNKS * limits.CHUNK_SIZE / limits.MEBIBYTE / seconds


def _client(table: Table, hub: RunningHub, bare: str, corpus: Corpus, folder: Path) -> None:
    body = corpus.results(100_000)
    path = folder / "results.json"
    path.write_bytes(msgspec.json.encode(body))
    address = urlsplit(bare)

    def necessary() -> None:
        sent = compressed(msgspec.json.encode(body))
        with socket.create_connection((address.hostname or "", address.port or 0)) as line:
            head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(sent)}\r\n\r\n"
            line.sendall(head.encode() + sent)
            _check_created(line)

    reference = measure(necessary, runs=corpus.runs)
    # A project of its own each time, or a second one would spare the chunks of the first.
    told = []
    for number in range(corpus.runs + 1):
        _freshen(path, number)
        told.append(_sent(hub, path, "analysis-results", f"client-{number}"))
        if "uploadId" in told[-1]:
            _wait_until_taken_in(hub, told[-1]["uploadId"])
    seconds = Figure(tuple(each["seconds"] for each in told[1:]))
    table.add_ratio("client: 100,000 findings, serialised and sent", seconds, reference, 1.5)
    peak = Figure(tuple(each["peak"] for each in told[1:]), "MiB")
    table.add(Row("memory of that client", peak, "≤ 150 MiB", 150))


def _wait_until_taken_in(hub: RunningHub, upload_id: str) -> None:
    """The hub's job for one upload is no part of what the next one takes."""
    with hub.client() as client:
        while (status := client.get(f"/upload/insight/{upload_id}").json())["state"] != "completed":
            if status["state"] == "failed":
                raise SystemExit(f"the upload failed: {status['problem']}")
            time.sleep(0.1)


def _freshen(path: Path, number: int) -> None:
    """Let no chunk of it be one that the hub has."""
    document = msgspec.json.decode(path.read_bytes())
    for found in document["diagnostics"].values():
        for each in found:
            each["message"] = f"{each['message']} {number}"
    path.write_bytes(msgspec.json.encode(document))


def _file(table: Table, hub: RunningHub, folder: Path, corpus: Corpus) -> None:
    size = corpus.size(FILE_SIZE)
    path = folder / "large.bin"
    with path.open("wb") as file:
        file.write(b"{")
        for _ in range(size // limits.MEBIBYTE):
            file.write(random.randbytes(limits.MEBIBYTE))
    first = _sent(hub, path, "ml-training", "file")
    rate = Figure((size / limits.MEBIBYTE / first["seconds"],), "MiB/s")
    table.add(Row("file of 256 MiB in chunks, read and sent", rate, "told"))
    table.add(Row("memory of that client", Figure((first["peak"],), "MiB"), "≤ 100 MiB", 100))
    with counting_line(hub.url) as line:
        again = _sent(hub, path, "ml-training", "file", url=line.url)
    assert again["success"], again
    table.add(
        Row(
            "the same file again: bytes that cross the wire",
            Figure((line.sent / limits.KIBIBYTE,), "KiB"),
            "≤ 64 KiB",
            64,
        )
    )


def _sent(
    hub: RunningHub, path: Path, upload_type: str, project: str, *, url: str = ""
) -> dict[str, Any]:
    environment = clean_environment(path.parent) | {
        "ODAVL_CLOUD_API": url or hub.url,
        "ODAVL_API_KEY": hub.key,
        "ODAVL_HOME": str(path.parent / "home"),
    }
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.sender", str(path), upload_type, project],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"the upload failed: {made.stdout.decode()} {made.stderr.decode()}")
    told: dict[str, Any] = json.loads(made.stdout)
    return told


class _CountingLine:
    def __init__(self, port: int) -> None:
        self.sent = 0
        """Bytes towards the hub, over all connections."""
        self._port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            hub = socket.create_connection(("127.0.0.1", self._port))
            Thread(target=self._carry, args=(client, hub), daemon=True).start()
            Thread(target=_carry, args=(hub, client), daemon=True).start()

    def _carry(self, client: socket.socket, hub: socket.socket) -> None:
        # The other direction closes both when its side has ended.
        with contextlib.suppress(OSError), client, hub:
            while data := client.recv(65536):
                self.sent += len(data)
                hub.sendall(data)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(65536):
            target.sendall(data)


@contextmanager
def counting_line(url: str) -> Iterator[_CountingLine]:
    """A line to the hub that counts what is sent over it."""
    line = _CountingLine(urlsplit(url).port or 80)
    Thread(target=line.serve, daemon=True).start()
    try:
        yield line
    finally:
        line.listener.close()
