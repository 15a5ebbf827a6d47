"""Small projects with known problems."""

from pathlib import Path

import pytest

PAY = """\
import os
import subprocess


def pay(amount):
    assert amount
    subprocess.call("pay " + amount, shell=True)
    return undefined_name
"""
SHIP = "const unused = 1;\nif (x == x) { eval('1') }\n"


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with something in it for every detector. Not a Git work tree."""
    root = tmp_path / "project"
    files = {
        "pay.py": PAY,
        "web/ship.js": SHIP,
        "web/ship.ts": "const y: any = 1;\nexport default y;\n",
        "web/lib.min.js": "eval('1')",
        "settings.ini": 'aws = "AKIAQ3EGRIPZ4XKJH7TT"\n',  # pragma: allowlist secret
        "clean.py": '"""Nothing is wrong here."""\n',
    }
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root
