"""A few pieces of work at once, whose threads end with the command however it ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    count: int,
    *,
    stopped: threading.Event | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Each item with what ``work`` made of it, as they are done; at most ``count`` under way.

    An item is asked for once there is a place for it, so that no more than ``count`` are held.
    Raises the first failure. What is under way then is not waited for, unless ``work`` ends soon
    where ``stopped`` is set, as it then is.
    """
    done: queue.SimpleQueue[tuple[Item, Result] | BaseException] = queue.SimpleQueue()

    def run(item: Item) -> None:
        try:
            done.put((item, work(item)))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            done.put(error)

    under_way = 0
    waiting = iter(items)
    while True:
        for item in islice(waiting, count - under_way):
            # As a daemon it does not keep a command that was interrupted.
            threading.Thread(target=run, args=(item,), daemon=True).start()
            under_way += 1
        if not under_way:
            return
        found = done.get()
        under_way -= 1
        if isinstance(found, BaseException):
            if stopped is not None:
                stopped.set()
                for _ in range(under_way):
                    done.get()
            raise found
        yield found
