"""How two runs are compared: the reference that the hub's SQL has to agree with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from odavl.wire.analysis import Diagnostic

Run = Mapping[str, Sequence[Diagnostic]]


class Comparison(NamedTuple):
    new: int
    fixed: int
    unchanged: int


def compare(before: Run, after: Run) -> Comparison:
    """Match by fingerprint and path first, what is left by fingerprint alone."""
    old, now = _keys(before), _keys(after)
    left, come = old - now, now - old
    in_place = old.total() - left.total()
    fingerprints_left = Counter(fingerprint for fingerprint, _ in left.elements())
    fingerprints_come = Counter(fingerprint for fingerprint, _ in come.elements())
    moved = (fingerprints_left & fingerprints_come).total()
    return Comparison(
        new=come.total() - moved, fixed=left.total() - moved, unchanged=in_place + moved
    )


def _keys(run: Run) -> Counter[tuple[str, str]]:
    return Counter((each.fingerprint, path) for path, found in run.items() for each in found)
