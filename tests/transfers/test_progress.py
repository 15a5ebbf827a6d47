"""What people and programs are told while chunks travel."""

from __future__ import annotations

from odavl.hub.transfer.progress import Meter, TransferProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_are_those_of_what_is_sent_now() -> None:
    clock, told, lines = Clock(), list[TransferProgress](), list[tuple[str, float]]()
    meter = Meter(100_000_000, lambda what, share: lines.append((what, share)), told.append, clock)
    meter.begin(40_000_000)  # the hub had these: they say nothing of the rate
    clock.now += 2
    meter.note("a", 4_000_000)
    assert told[-1] == TransferProgress(44_000_000, 100_000_000, 2_000_000.0, 28.0)
    assert lines[-1] == ("uploading, 2.0 MB/s, 0:28 left", 0.44)


def test_an_attempt_that_failed_is_taken_back() -> None:
    clock = Clock()
    meter = Meter(10_000, None, None, clock)
    meter.begin(0)
    clock.now += 1
    meter.note("a", 5_000)
    meter.note("b", 1_000)
    meter.note("a", 200)  # sent anew
    assert meter.progress().done == 1_200


def test_there_is_no_telling_before_anything_was_sent() -> None:
    meter = Meter(10_000, None, None, Clock())
    meter.begin(0)
    assert meter.progress() == TransferProgress(0, 10_000, 0.0, None)
    assert str(meter.progress()) == "uploading"


def test_long_times_are_told_in_hours() -> None:
    assert str(TransferProgress(0, 10, 1_000.0, 3_725.0)).endswith("1:02:05 left")
