"""The soak as a whole: a real hub, its clients, its killer, and the judgement at the end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tests.faults.hub_at_work import HubAtWork
from tests.faults.soak.journal import Ended, Told, read
from tests.faults.soak.judging import Judge, Settled
from tests.faults.soak.killing import Killer, Pace
from tests.faults.soak.payloads import plan
from tests.faults.soak.reporting import LiveLine, Outcome
from tests.faults.soak.sending import Orders

_LOOK_SECONDS = 1.0
_LAST_SECONDS = 420
"""For clients to empty their queues once nothing is killed any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    payloads: int
    clients: int
    seed: int
    folder: Path
    """Empty or absent; holds what each client was told and, after deviations, the hub's logs."""


@dataclass
class Soak:
    settings: Settings
    pace: Pace
    peaks: dict[str, int] = field(default_factory=dict)
    """MiB, of the largest process of each name in the hub."""

    def run(self) -> Outcome:
        """From an empty hub to the verdict."""
        started = time.monotonic()
        hub = HubAtWork()
        clients: list[subprocess.Popen[str]] = []
        try:
            killer = Killer(hub.process.process.pid, self.settings.seed, self.pace, self._count)
            clients += [self._client(hub, turn) for turn in range(self.settings.clients)]
            self._watch(hub, killer, clients)
            ended = [self._journal(turn) for turn in range(self.settings.clients)]
            (self.settings.folder / "kills.txt").write_text("\n".join(killer.history) + "\n")
            outcome = self._judged(hub, killer, ended)
            outcome.seconds = time.monotonic() - started
            if outcome.deviations:
                self._keep(hub, outcome)
            return outcome
        finally:
            for client in clients:
                client.kill()
                client.wait()
            hub.close()

    def _watch(self, hub: HubAtWork, killer: Killer, clients: list[subprocess.Popen[str]]) -> None:
        """Until all clients have sent everything and emptied their queues."""
        line = LiveLine(self.settings.payloads)
        sent = [threading.Thread(target=_wait_for_the_word, args=(each,)) for each in clients]
        for thread in sent:
            thread.start()
        killer.start()
        while any(thread.is_alive() for thread in sent):
            sent[0].join(_LOOK_SECONDS)
            self._measure(hub)
            line.show(self._count(), killer.kills)
            if not sent[0].is_alive():
                sent = [thread for thread in sent if thread.is_alive()]
        killer.stop()
        line.say("all sent; the queues are emptied")
        for client in clients:
            assert client.stdin is not None
            with suppress(BrokenPipeError):  # it died; its journal has no end then
                client.stdin.write("go on\n")
                client.stdin.flush()
        for client in clients:
            client.communicate(timeout=_LAST_SECONDS)
        line.say("all queues are empty; the hub is held to what it said")

    def _judged(
        self, hub: HubAtWork, killer: Killer, ended: list[tuple[list[Told], Ended | None]]
    ) -> Outcome:
        told = [entry for journal, _ in ended for entry in journal]
        answers: Counter[str] = Counter()
        deviations = list(killer.missing)
        for turn, (_, last) in enumerate(ended):
            if last is None:
                deviations.append(f"client {turn} died: see its output in {self.settings.folder}")
                continue
            answers.update(last.answers)
            deviations += [f"client {turn} could not send {item}" for item in last.left]
        judge = Judge(hub, plan(self.settings.payloads, self.settings.seed), told)
        settled: Settled = judge.settle()
        deviations += judge.deviations
        return Outcome(
            seed=self.settings.seed,
            folder=self.settings.folder,
            told=told,
            kills=killer.kills,
            slowest=killer.slowest,
            answers=answers,
            peaks=self.peaks,
            client_peak=max((last.peak_mebibytes for _, last in ended if last), default=0),
            settled=settled,
            deviations=deviations,
        )

    def _client(self, hub: HubAtWork, turn: int) -> subprocess.Popen[str]:
        folder = self.settings.folder / f"client-{turn}"
        folder.mkdir(parents=True)
        orders = Orders(
            url=hub.process.url,
            key=hub.key,
            folder=str(folder),
            seed=self.settings.seed,
            payloads=self.settings.payloads,
            clients=self.settings.clients,
            turn=turn,
        )
        with (folder / "errors.txt").open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.faults.soak.sending", json.dumps(asdict(orders))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _journal(self, turn: int) -> tuple[list[Told], Ended | None]:
        return read(self.settings.folder / f"client-{turn}" / "journal.jsonl")

    def _count(self) -> int:
        """Of how many payloads the clients have been told something."""
        return sum(
            file.read_bytes().count(b"\n")
            for file in self.settings.folder.glob("client-*/journal.jsonl")
        )

    def _measure(self, hub: HubAtWork) -> None:
        for process in psutil.Process(hub.process.process.pid).children(recursive=True):
            try:
                name, taken = process.name(), process.memory_info().rss
            except psutil.Error:
                continue
            self.peaks[name] = max(self.peaks.get(name, 0), taken >> 20)

    def _keep(self, hub: HubAtWork, outcome: Outcome) -> None:
        shutil.copytree(hub.process.data / "logs", self.settings.folder / "logs")
        (self.settings.folder / "deviations.txt").write_text("\n".join(outcome.deviations) + "\n")


def _wait_for_the_word(client: subprocess.Popen[str]) -> None:
    """Until it says that it has sent everything, or ends."""
    assert client.stdout is not None
    client.stdout.readline()
