"""What a web process asks of the C library's allocator."""

from __future__ import annotations

import ctypes

from odavl.wire.limits import MEBIBYTE

# Their numbers in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> None:
    """Have it keep some of what was freed for what comes next; elsewhere than on glibc do nothing.

    Bodies come in pieces of half a MiB. The default is to give each back to the kernel as soon as
    it is done with, and the kernel clears every page of the next one: a seventh of what a chunk
    costs. Two arenas bound what is kept.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, 8 * MEBIBYTE)
    mallopt(_TRIM_THRESHOLD, 16 * MEBIBYTE)
    mallopt(_ARENA_MAX, 2)
