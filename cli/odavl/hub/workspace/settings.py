"""Which ``config.toml`` may travel.

A setting can say where a key is sent, as whom, or that something happens by itself. Nobody who may
write to a project shall decide that on another person's machine, and no key shall leave this one:
only a file that sets nothing but :data:`TRAVELLING` is sent or taken.
"""

from __future__ import annotations

import tomllib

from odavl.wire.workspace import same_name

CONFIG = "config.toml"
LARGEST = 1024 * 1024
TRAVELLING = frozenset({"project", "fail_on", "detectors", "exclude"})


def is_config(path: str) -> bool:
    """Whether some file system takes ``path`` for the project's configuration."""
    return same_name(path) == CONFIG


def why_it_stays(content: bytes) -> str | None:
    """Why this configuration belongs to one machine, None where it may travel."""
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return "is no valid TOML"
    own = sorted(table.keys() - TRAVELLING)
    return f"sets what belongs to one machine ({', '.join(own)})" if own else None
