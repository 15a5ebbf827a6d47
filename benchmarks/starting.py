"""Starting: commands, and the hub itself; the hub at rest."""

from __future__ import annotations

import compileall
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.corpus import Corpus
from benchmarks.hub import REPOSITORY, RunningHub, clean_environment, started_hub
from benchmarks.table import Figure, Row, Table, measure
from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue

_QUEUED = 10_000


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    with tempfile.TemporaryDirectory(prefix="odavl-bench-") as name:
        folder = Path(name)
        _commands(table, folder, 3 if corpus.is_quick else 15)
        _queue(table, folder, corpus)
        _hub(table, folder)
    _at_rest(table, hub)


def _commands(table: Table, folder: Path, runs: int) -> None:
    environment = clean_environment(folder)
    # As an installed package is; otherwise the compiler would be measured.
    compileall.compile_dir(str(REPOSITORY / "cli" / "odavl"), quiet=1)
    reference = measure(_command(["-c", "import click"], environment), runs=runs, warm_up=3)
    for words in (("--version",), ("--help",), ("sync", "queue")):
        figure = measure(_command(["-m", "odavl", *words], environment), runs=runs, warm_up=3)
        table.add_ratio(f"odavl {' '.join(words)}", figure, reference, 1.5)
    doctor = measure(_command(["-m", "odavl", "doctor", "--help"], environment), runs=runs)
    table.add(Row("odavl doctor, before its work", doctor, "≤ 250 ms", 0.250))


def _queue(table: Table, folder: Path, corpus: Corpus) -> None:
    """A queue as the command line leaves it, but for the index, which the first look makes."""
    home = folder / "queued"
    queue = UploadQueue(home)
    body = b"body"
    queue.add(_item(body), io.BytesIO(body))
    for _ in range(corpus.size(_QUEUED) - 1):
        each = _item(body)
        (queue.items_folder / f"{each.id}.json").write_text(json.dumps(each._asdict()))
        queue.blob_path(each).write_bytes(body)
    environment = clean_environment(folder) | {"ODAVL_HOME": str(home)}
    listing = measure(_command(["-m", "odavl", "sync", "queue"], environment), runs=corpus.runs)
    table.add(Row("listing 10,000 queued items", listing, "≤ 300 ms", 0.300))


def _item(body: bytes) -> QueuedUpload:
    return QueuedUpload(
        id=new_item_id(),
        product="insight",
        type="sarif",
        filePath="/p/in.sarif",
        metadata={"projectName": "shop"},
        hub="http://127.0.0.1:9",
        idempotencyKey=new_item_id(),
        encoding="identity",
        size=len(body),
        bodySize=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        createdAt=timestamp(),
    )


def _command(arguments: list[str], environment: dict[str, str]) -> Callable[[], object]:
    return lambda: subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def _hub(table: Table, folder: Path) -> None:
    data = folder / "hub"
    data.mkdir(mode=0o711)
    folder.chmod(0o711)
    without = {"DATABASE_URL": "", "REDIS_URL": ""}
    for name, limit in (("first start of the hub", 15), ("start of the hub with data", 5)):
        start = time.perf_counter()
        with started_hub(data, without):
            seconds = time.perf_counter() - start
        table.add(Row(name, Figure((seconds,)), f"≤ {limit} s", limit))


def _at_rest(table: Table, hub: RunningHub) -> None:
    """Proportional set size: shared pages are counted once in all."""
    time.sleep(5)
    ours = sum(_proportional(process) for process in hub.processes())
    services = sum(
        _proportional(each)
        for child in psutil.Process(os.getpid()).children()
        if child.pid != hub.process.pid
        for each in (child, *child.children(recursive=True))
    )
    megabytes = (ours + services) / 1024 / 1024
    table.add(Row("the hub at rest, all of it", Figure((megabytes,), "MiB"), "≤ 500 MiB", 500))


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
