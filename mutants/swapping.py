"""Puts a changed function in the place of the loaded one, wherever it has been handed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType


def swap(filename: str, original: str, mutated: str, function: str) -> bool:
    """Give every loaded function called ``function`` in ``filename`` its mutated code.

    False where that cannot be done: it is not loaded, or needs names that the original has not.
    """
    before = _codes(compile(original, filename, "exec", dont_inherit=True), function)
    after = _codes(compile(mutated, filename, "exec", dont_inherit=True), function)
    if len(before) != len(after):
        return False
    changed = {
        old.co_firstlineno: new
        for old, new in zip(before, after, strict=True)
        if old != new or old.co_consts != new.co_consts
    }
    loaded = [
        one
        for one in gc.get_objects()
        if type(one) is FunctionType
        and one.__code__.co_filename == filename
        and one.__code__.co_qualname == function
        and one.__code__.co_firstlineno in changed
    ]
    try:
        for one in loaded:
            one.__code__ = changed[one.__code__.co_firstlineno]
    except ValueError:
        return False
    return bool(loaded)


def _codes(code: CodeType, function: str) -> list[CodeType]:
    """Those of ``function`` in the order of the file: an overload, a getter and its setter."""
    return [one for one in _all(code) if one.co_qualname == function]


def _all(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all(constant)
