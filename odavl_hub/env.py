"""Typed readers of the environment.

A secret NAME may also be given as NAME_FILE, the path of a file that holds it.
A value that cannot be read raises :class:`django.core.exceptions.ImproperlyConfigured`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_texts: set[str] = set()


def text(name: str, default: str = "") -> str:
    """NAME, or the contents of the file that NAME_FILE names, or ``default``."""
    _texts.update({name, f"{name}_FILE"})
    value = os.environ.get(name)
    if value is not None:
        return value
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}") from error


def without_texts(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a program that is not the hub's: less every text the settings read.

    Any of them may be a secret; and what is read tomorrow is left out tomorrow.
    """
    return {name: value for name, value in environment.items() if name not in _texts}


def boolean(name: str, *, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; write true or false.")


def integer(name: str, default: int, *, at_least: int = 0) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a whole number.") from error
    if number < at_least:
        raise ImproperlyConfigured(f"{name} is {number}; it must be at least {at_least}.")
    return number


def seconds(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """As many whole numbers as ``default`` has, with commas between; none is negative."""
    parts = words(name, tuple(map(str, default)))
    if len(parts) != len(default) or not all(part.isascii() and part.isdigit() for part in parts):
        raise ImproperlyConfigured(
            f"{name} is {','.join(parts)!r}; write {len(default)} numbers of seconds, such as "
            f"{','.join(map(str, default))}."
        )
    return tuple(map(int, parts))


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list."""
    value = os.environ.get(name)
    if value is None:
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def folder(name: str, default: Path) -> Path:
    """An absolute path; ``~`` is expanded."""
    return Path(os.environ.get(name) or default).expanduser().resolve()
