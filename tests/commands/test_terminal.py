"""The line that shows progress, in windows of every width."""

from __future__ import annotations

import pytest

from odavl.commands.terminal import progress_text
from odavl.hub.transfer.progress import TransferProgress

UPLOADING = str(TransferProgress(5, 10, 2_000_000.0, 28.0))


@pytest.mark.parametrize("columns", [1, 5, 19, 33, 40, 60, 300])
@pytest.mark.parametrize("share", [None, -1.0, 0.0, 0.5, 1.0, 7.0])
def test_it_never_wraps(columns: int, share: float | None) -> None:
    assert len(progress_text(UPLOADING, share, columns)) <= columns


def test_the_bar_gives_way_to_the_words() -> None:
    assert progress_text("reading", 0.5, 79) == "[############------------]  50%  reading"
    assert progress_text("reading", 0.5, 27) == "[######-----]  50%  reading"
    assert progress_text("reading", 0.5, 19) == " 50%  reading"
    assert progress_text(UPLOADING, 0.5, 27) == " 50%  uploading, 2.0 MB/s"


@pytest.mark.parametrize(
    ("rate", "left", "told"),
    [
        (0.4, 9.0, "0.0 kB/s, 0:09 left"),
        (999.0, 9.0, "1.0 kB/s, 0:09 left"),
        (123_456.0, 61.0, "123.5 kB/s, 1:01 left"),
        (9_900_000.0, 3_725.0, "9.9 MB/s, 1:02:05 left"),
        (2.5e9, 0.0, "2.5 GB/s, 0:00 left"),
        (1.0, 6e8, "0.0 kB/s, over 100 hours left"),
        (1e-300, float("inf"), "0.0 kB/s, over 100 hours left"),
    ],
)
def test_rates_and_times_of_every_size(rate: float, left: float, told: str) -> None:
    assert str(TransferProgress(0, 10, rate, left)) == f"uploading, {told}"
