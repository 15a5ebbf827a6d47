"""``python -m benchmarks [NAME…]``: all of it, or the named parts.

Exit codes: 0 all goals are met, on an idle machine; 1 some are missed; 2 wrong usage, or a part
broke off; 3 none is missed, but the machine was not idle or the sizes were small.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.corpus import Corpus
from benchmarks.hub import running_hub
from benchmarks.machine import Machine, look, measure_yardstick
from benchmarks.parts import PARTS, Part
from benchmarks.table import Table, exit_code

BROKEN_OFF = 2


def main() -> int:
    options = _options()
    if options.list:
        for part in PARTS:
            sys.stdout.write(f"{part.name:12}{part.what}\n")
        return 0
    # Whichever way it is told to end, the hub that it has started ends with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options.corpus.mkdir(parents=True, exist_ok=True)
    machine = look(runs=5 if options.quick else 15)
    _tell(machine, is_quick=options.quick)
    table = Table(scale=machine.scale, is_doubtful=options.quick or not machine.is_idle)
    corpus = Corpus(options.corpus, is_quick=options.quick)
    chosen = [part for part in PARTS if not options.parts or part.name in options.parts]
    is_whole = _run(table, corpus, chosen)
    later = measure_yardstick(runs=5)
    if machine.drifted(later):
        table.is_doubtful = True
    sys.stdout.write(f"{table}\n\n")
    _tell(machine, is_quick=options.quick)
    sys.stdout.write(f"yardstick at the end: {later}\n{table.summary()}\n")
    return exit_code(table) if is_whole else BROKEN_OFF


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [part.name for part in PARTS]
    parser.add_argument(
        "parts", nargs="*", metavar="NAME", help=f"which parts: {', '.join(names)}; all by default"
    )
    parser.add_argument("--list", action="store_true", help="show the parts, and run none")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a fiftieth of the sizes and few runs: whether each row runs, not how fast",
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        default=Path(tempfile.gettempdir()) / "odavl-benchmarks",
        help="where the input is kept between runs",
    )
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in names]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(names)}")
    return options


def _tell(machine: Machine, *, is_quick: bool) -> None:
    note = "\nsmall sizes: the verdicts are doubtful" if is_quick else ""
    sys.stdout.write(f"{machine.describe()}{note}\n\n")
    sys.stdout.flush()


def _run(table: Table, corpus: Corpus, parts: list[Part]) -> bool:
    """Whether all ``parts`` came to their end; one that did not is a row, and the next goes on."""
    is_whole = True
    with (
        tempfile.TemporaryDirectory(prefix="odavl-bench-", ignore_cleanup_errors=True) as folder,
        running_hub(Path(folder) / "hub") as hub,
    ):
        for part in parts:
            sys.stderr.write(f"{part.name}\n")
            try:
                part.run(table, hub, corpus)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the others are worth having
                traceback.print_exc()
                table.not_run(f"{part.name}: the rest of it", "", f"it broke off: {error}")
                is_whole = False
    return is_whole


if __name__ == "__main__":
    sys.exit(main())
