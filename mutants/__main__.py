"""``python -m mutants``: a random sample of mistakes, and which of them a test notices.

Exit codes: 0 the goal is met, 1 it is not, 2 wrong usage or nothing could be tried.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from mutants import equivalent, report, rooms
from mutants.copies import copy_tree, workplace
from mutants.pool import Pool
from mutants.reach import Reach
from mutants.sources import Mutation, sample
from mutants.testing import Bench, Plan, Verdict, pytest_options, python_path

GOAL = 85.0
MET, MISSED, BROKEN = 0, 1, 2
_OWN = Path(__file__).parent


def main() -> int:
    options = _options()
    root: Path = options.root.resolve()
    table = rooms.load(options.rooms)
    chosen = [
        (room.name, file)
        for room in table.values()
        for file in room.files(root)
        if _is_asked_for(room.name, file, options)
    ]
    if not chosen:
        _tell("No file of any room is asked for.")
        return BROKEN
    known = equivalent.load(options.equivalent, root)
    _tell(f"Sample of {options.sample} with seed {options.seed} from {len(chosen)} files")
    drawn = sample(root, chosen, size=options.sample + len(known), seed=options.seed)
    mutations = equivalent.without(drawn, known)[: options.sample]
    verdicts, false_alarms = _tried(root, mutations, options)
    return _end(verdicts, false_alarms, options, expected=len(mutations))


def _tried(
    root: Path, mutations: Sequence[Mutation], options: argparse.Namespace
) -> tuple[list[Verdict], list[str]]:
    verdicts: list[Verdict] = []

    def tell(verdict: Verdict) -> None:
        verdicts.append(verdict)
        _tell(f"{len(verdicts):4}/{len(mutations)} {report.line(verdict)}")
        report.write(options.output / "result.json", verdicts, seed=options.seed)

    with workplace() as place:
        copies = [copy_tree(root, place / f"copy{n}") for n in range(options.workers + 1)]
        plan = Plan(
            root=copies[0],
            copies=copies[1:],
            rooms=rooms.load(options.rooms),
            mutations=mutations,
            reach=Reach.load(options.output / "reach.json"),
            reach_file=options.output / "reach.json",
            tell=_tell,
            verdict=tell,
            controls=options.controls,
            measures=not options.measured,
        )
        bench = Bench(plan, Pool(options.workers, place))
        # The copy stands before the tree in which we are, and before an editable installation.
        here = {str(root), "", str(Path.cwd())}
        os.chdir(copies[0])
        sys.path[:] = [one for one in sys.path if one not in here]
        sys.path[:0] = python_path(copies[0]).split(os.pathsep)
        os.environ["PYTHONPATH"] = python_path(copies[0])
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        arguments = [
            "-m",
            "not browser and not end_to_end",
            *rooms.suite(options.rooms, options.room),
        ]
        pytest.main([*pytest_options(), *arguments], plugins=[bench])
        return verdicts, plan.false_alarms


def _end(
    verdicts: list[Verdict],
    false_alarms: list[str],
    options: argparse.Namespace,
    *,
    expected: int,
) -> int:
    for verdict in verdicts:
        if not verdict.killed:
            _tell(f"\n{report.survivor(verdict)}")
    _tell(f"\n{report.table(verdicts)}\n")
    report.write(
        options.output / "result.json", verdicts, seed=options.seed, false_alarms=false_alarms
    )
    report.write_session(options.output / "session.sqlite", verdicts)
    if false_alarms:
        _tell(f"{len(false_alarms)} controls without a mistake failed: the score is too high.")
    if len(verdicts) < expected or not verdicts:
        _tell(f"{len(verdicts)} of {expected} were tried.")
        return BROKEN
    is_met = report.score(verdicts) >= options.goal
    _tell(f"Goal {options.goal:.0f} %: {'met' if is_met else 'MISSED'} (seed {options.seed})")
    return MET if is_met else MISSED


def _is_asked_for(room: str, file: str, options: argparse.Namespace) -> bool:
    by_room = not options.room or room in options.room
    return by_room and (not options.files or any(fnmatch(file, one) for one in options.files))


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=200, help="how many mistakes")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--room", nargs="*", default=[], help="rooms of rooms.toml, with their tests"
    )
    parser.add_argument("--files", nargs="*", default=[], help="patterns of paths")
    parser.add_argument("--goal", type=float, default=GOAL, help="per cent to be noticed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--controls", type=int, default=5, help="runs without a mistake")
    parser.add_argument("--measured", action="store_true", help="as the tests were measured before")
    parser.add_argument("--root", type=Path, default=Path.cwd())
    parser.add_argument("--rooms", type=Path, default=_OWN / "rooms.toml")
    parser.add_argument("--equivalent", type=Path, default=_OWN / "equivalent.toml")
    parser.add_argument("--output", type=Path, default=Path(".mutants").absolute())
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
