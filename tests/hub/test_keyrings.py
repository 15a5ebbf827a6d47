"""The system's keyring may work, be away, fail, hang or lie: a sign-in lasts, or says so."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from odavl.hub.credentials import KEY_FILE_NAME, Credentials, SignIn
from odavl.wire.errors import NotAuthenticated

HEAD = """
import os
from pathlib import Path
STORE = Path(os.environ["KEYRING_STORE"])
from keyring.errors import KeyringError
"""
WORKS = """
def set_password(service, name, secret): STORE.write_text(secret)
def get_password(service, name): return STORE.read_text() if STORE.exists() else None
"""
SET_FAILS = WORKS + "def set_password(service, name, secret): raise {error}\n"
GET_FAILS = WORKS + "def get_password(service, name): raise {error}\n"
HANG = "__import__('threading').Event().wait()"
PROGRAM = """
import sys
from pathlib import Path
from odavl.hub import credentials as module
module.KEYRING_SECONDS = float(sys.argv[3])
from odavl.hub.credentials import Credentials, SignIn
from odavl.wire.errors import OdavlError
credentials = Credentials(Path(sys.argv[1]))
if sys.argv[2] == "store":
    credentials.store("http://hub", SignIn(token="", organization_id="o"), "the-secret")
try:
    print(credentials.token("http://hub"))
except OdavlError as error:
    print(type(error).__name__)
"""


@dataclass(frozen=True)
class Keyring:
    """``in_file``: where the key to the secrets lies after a sign-in."""

    code: str
    in_file: bool


KEYRINGS: dict[str, Keyring] = {
    "works": Keyring(WORKS, in_file=False),
    "refuses to take": Keyring(SET_FAILS.format(error="KeyringError('locked')"), in_file=True),
    "takes with an error of the system": Keyring(
        SET_FAILS.format(error="OSError(13, 'no bus')"), in_file=True
    ),
    "has no backend": Keyring(SET_FAILS.format(error="RuntimeError('none')"), in_file=True),
    "fails as no keyring should": Keyring(SET_FAILS.format(error="ValueError('?')"), in_file=True),
    "refuses to give": Keyring(GET_FAILS.format(error="KeyringError('locked')"), in_file=True),
    "gives with an error of its bus": Keyring(
        GET_FAILS.format(error="ConnectionResetError()"), in_file=True
    ),
    "forgets": Keyring(WORKS + "def get_password(service, name): return None\n", in_file=True),
    "lies": Keyring(WORKS + "def get_password(service, name): return 'other'\n", in_file=True),
    "cuts": Keyring(
        WORKS + "def set_password(service, name, secret): STORE.write_text(secret[:20])\n",
        in_file=True,
    ),
    "hangs when it takes": Keyring(
        WORKS + f"def set_password(service, name, secret): {HANG}\n", in_file=True
    ),
    "hangs when it gives": Keyring(
        WORKS + f"def get_password(service, name): {HANG}\n", in_file=True
    ),
    "cannot be imported": Keyring("raise ImportError('half installed')\n", in_file=True),
}


@dataclass
class Machine:
    home: Path
    site: Path
    store: Path

    def install(self, code: str) -> None:
        package = self.site / "keyring"
        package.mkdir(parents=True, exist_ok=True)
        (package / "errors.py").write_text("class KeyringError(Exception): pass\n")
        (package / "__init__.py").write_text(HEAD + code)

    def run(self, step: str, seconds: float = 0.5) -> str:
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(self.home), step, str(seconds)],
            env={
                **os.environ, "PYTHONPATH": str(self.site), "KEYRING_STORE": str(self.store),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )  # fmt: skip
        return result.stdout.strip()


@pytest.fixture
def machine(home: Path, tmp_path: Path) -> Machine:
    return Machine(home, tmp_path / "site", tmp_path / "store")


@pytest.mark.parametrize("name", KEYRINGS)
def test_a_sign_in_lasts_whatever_the_keyring_does(machine: Machine, name: str) -> None:
    """The key lies where it can be had again, and in the keyring alone where that works."""
    keyring = KEYRINGS[name]
    machine.install(keyring.code)
    assert machine.run("store") == "the-secret"
    assert (machine.home / KEY_FILE_NAME).exists() == keyring.in_file
    assert machine.run("read") == "the-secret"
    for path in machine.home.iterdir():
        assert b"the-secret" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", [name for name in KEYRINGS if name != "works"])
def test_a_keyring_that_breaks_later_asks_for_a_new_sign_in(machine: Machine, name: str) -> None:
    """And that mends it: what was kept before is not in its way."""
    machine.install(KEYRINGS["works"].code)
    assert machine.run("store") == "the-secret"
    assert not (machine.home / KEY_FILE_NAME).exists()
    if name == "cuts":
        machine.store.write_text(machine.store.read_text()[:20])
    machine.install(KEYRINGS[name].code)
    takes_only = "take" in name or name in {"has no backend", "fails as no keyring should"}
    assert machine.run("read") == ("the-secret" if takes_only else "NotAuthenticated")
    assert machine.run("store") == "the-secret"
    assert machine.run("read") == "the-secret"


def test_a_keyring_that_comes_later_does_not_hide_the_file(machine: Machine) -> None:
    machine.install("raise ImportError\n")
    assert machine.run("store") == "the-secret"
    machine.install(WORKS)
    machine.store.write_text("another key that some program left there")
    assert machine.run("read") == "the-secret"


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff\xfe", b"?" * 44])
def test_a_damaged_key_asks_for_a_new_sign_in_and_does_not_stand_in_its_way(
    home: Path, content: bytes
) -> None:
    credentials = Credentials(home)
    sign_in = SignIn(token="", organization_id="org-1")
    credentials.store("http://hub", sign_in, "the-secret")
    (home / KEY_FILE_NAME).write_bytes(content)
    with pytest.raises(NotAuthenticated) as told:
        credentials.token("http://hub")
    assert "odavl login" in told.value.hint
    credentials.store("http://hub", sign_in, "the-next-secret")
    assert credentials.token("http://hub") == "the-next-secret"
