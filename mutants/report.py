"""What a run has found: for people, for machines, and for Cosmic Ray's own reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from mutants.testing import Verdict


def score(verdicts: Sequence[Verdict]) -> float:
    """The share of mistakes that a test noticed, in per cent; 100 where there are none."""
    return 100 * sum(one.killed for one in verdicts) / len(verdicts) if verdicts else 100.0


def table(verdicts: Sequence[Verdict]) -> str:
    """A row for each room."""
    rows = [f"{'room':16}{'tried':>7}{'noticed':>9}{'score':>8}"]
    for name in sorted({one.mutation.mutant.room for one in verdicts}):
        own = [one for one in verdicts if one.mutation.mutant.room == name]
        rows.append(_row(name, own))
    return "\n".join([*rows, _row("all", verdicts)])


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    killed = sum(one.killed for one in verdicts)
    return f"{name:16}{len(verdicts):7}{killed:9}{score(verdicts):7.1f}%"


def line(verdict: Verdict) -> str:
    mutant = verdict.mutation.mutant
    word = "noticed " if verdict.killed else "SURVIVED"
    by = verdict.by if verdict.killed else f"{len(verdict.ran)} tests pass"
    return f"{word} {mutant.file}:{mutant.start[0]} {mutant.kind}  {by} ({verdict.seconds:.0f} s)"


def survivor(verdict: Verdict, *, most: int = 5) -> str:
    """Where, what, and the tests that ran without noticing."""
    mutant = verdict.mutation.mutant
    shown = [f"    {test}" for test in verdict.ran[:most]]
    if len(verdict.ran) > most:
        shown.append(f"    and {len(verdict.ran) - most} more")
    diff = "\n".join(verdict.mutation.diff.splitlines()[2:])
    ran = "\n".join(shown) if shown else "    no test"
    place = f"{mutant.file}:{mutant.start[0]}"
    return f"{place} {mutant.function or ''} ({mutant.kind})\n{diff}\n  ran:\n{ran}\n"


def write(path: Path, verdicts: Sequence[Verdict], **told: Any) -> None:
    """As JSON: ``score``, ``rooms`` and each verdict, with what else is ``told``."""
    rooms = {one.mutation.mutant.room for one in verdicts}
    document = {
        **told,
        "score": round(score(verdicts), 2),
        "rooms": {
            name: round(score([v for v in verdicts if v.mutation.mutant.room == name]), 2)
            for name in sorted(rooms)
        },
        "verdicts": [_entry(one) for one in verdicts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    temporary.replace(path)


def _entry(verdict: Verdict) -> dict[str, Any]:
    mutant = verdict.mutation.mutant
    return {
        "room": mutant.room,
        "file": mutant.file,
        "line": mutant.start[0],
        "function": mutant.function,
        "kind": mutant.operator,
        "occurrence": mutant.occurrence,
        "killed": verdict.killed,
        "by": verdict.by,
        "tests": verdict.ran,
        "seconds": verdict.seconds,
        "diff": verdict.mutation.diff,
        "output": verdict.output,
    }


def write_session(path: Path, verdicts: Sequence[Verdict]) -> None:
    """As a session of Cosmic Ray, for `cr-html` and `cr-report`."""
    path.unlink(missing_ok=True)
    with use_db(str(path), WorkDB.Mode.create) as session:
        for number, verdict in enumerate(verdicts):
            mutant = verdict.mutation.mutant
            spec = MutationSpec(
                module_path=mutant.file,
                operator_name=mutant.operator,
                occurrence=mutant.occurrence,
                start_pos=mutant.start,
                end_pos=mutant.end,
                definition_name=mutant.function,
            )
            session.add_work_item(WorkItem.single(str(number), spec))
            outcome = TestOutcome.KILLED if verdict.killed else TestOutcome.SURVIVED
            session.set_result(
                str(number),
                WorkResult(
                    worker_outcome=WorkerOutcome.NORMAL,
                    output=f"{verdict.by}\n{verdict.output}",
                    test_outcome=outcome,
                    diff=verdict.mutation.diff,
                ),
            )
