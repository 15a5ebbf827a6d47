"""``make soak``: kill the hub's processes at random while clients upload; count what is lost."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.soak.killing import EverySoOften
from tests.faults.soak.soak import Settings, Soak


def main() -> int:
    """0 where nothing was lost, doubled or differed; 1 otherwise, with a folder of details."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--payloads", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="between two kills, on average")
    parser.add_argument("--seed", type=int, default=None, help="of an earlier soak, to repeat it")
    parser.add_argument("--folder", type=Path, default=None, help="for the details")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    settings = Settings(
        payloads=options.payloads,
        clients=options.clients,
        seed=seed,
        folder=options.folder or Path(tempfile.mkdtemp(prefix=f"odavl-soak-{seed}-")),
    )
    outcome = Soak(settings, EverySoOften(options.seconds)).run()
    sys.stdout.write(outcome.table())
    return 1 if outcome.deviations else 0


if __name__ == "__main__":
    sys.exit(main())
