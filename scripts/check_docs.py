"""Checks the Markdown files: relative links lead somewhere, named `make` targets exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
_MAKE = re.compile(r"`make ([a-z-]+)")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def problems(file: Path, targets: set[str]) -> Iterator[str]:
    """What is wrong in one Markdown file, a line each."""
    text = file.read_text(encoding="utf-8")
    for name in _MAKE.findall(text):
        if name not in targets:
            yield f"{file}: there is no `make {name}`"
    for link in _LINK.findall(_FENCE.sub("", text)):
        path = unquote(link.partition("#")[0])
        elsewhere = not path or "://" in link or link.startswith("mailto:")
        if not elsewhere and not (file.parent / path).exists():
            yield f"{file}: {link} leads nowhere"


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md"], capture_output=True, text=True, check=True
    )
    targets = set(_TARGET.findall(Path("Makefile").read_text(encoding="utf-8")))
    found = [
        line for name in listed.stdout.split("\0") if name for line in problems(Path(name), targets)
    ]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
