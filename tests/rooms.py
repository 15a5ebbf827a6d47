"""The rooms of the hub, as the import contracts name them."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
ROOMS = tuple(name for name in _CONTRACTS["root_packages"] if name != "odavl")
