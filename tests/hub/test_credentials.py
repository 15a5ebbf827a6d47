from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from odavl.hub import credentials as module
from odavl.hub.credentials import Credentials, SignIn
from odavl.wire.errors import LocalStorageFailed, NotAuthenticated

HUB = "https://hub.example.com"
SECRET = "odavl_live_very_secret"
SIGN_IN = SignIn(token="", organization_id="org-1", user_email="alice@example.com")


@pytest.fixture
def credentials(home: Path) -> Credentials:
    return Credentials(home)


def test_looking_makes_nothing(credentials: Credentials, home: Path) -> None:
    assert credentials.token(HUB) is None
    assert not credentials.forget(HUB)
    assert not home.exists()


def test_a_secret_is_kept_encrypted_and_private(credentials: Credentials, home: Path) -> None:
    credentials.store(HUB, SIGN_IN, SECRET)
    assert Credentials(home).token(HUB) == SECRET
    assert credentials.load().current == HUB
    for path in home.iterdir():
        assert SECRET.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_secret_is_given_for_its_own_hub_only(credentials: Credentials) -> None:
    credentials.store(HUB, SIGN_IN, SECRET)
    for other in ("http://hub.example.com", "https://hub.example.com:8443", "https://evil.test"):
        assert credentials.token(other) is None


def test_hubs_are_kept_and_forgotten_apart(credentials: Credentials) -> None:
    credentials.store(HUB, SIGN_IN, SECRET)
    credentials.store("http://localhost:8000", SIGN_IN, "another-secret")
    assert credentials.forget(HUB)
    assert credentials.token(HUB) is None
    assert credentials.token("http://localhost:8000") == "another-secret"
    assert credentials.load().current == "http://localhost:8000"


def test_a_wide_mode_is_tightened(credentials: Credentials) -> None:
    credentials.store(HUB, SIGN_IN, SECRET)
    credentials.path.chmod(0o644)
    credentials.load()
    assert stat.S_IMODE(credentials.path.stat().st_mode) == 0o600


def test_a_lost_key_asks_for_a_new_sign_in(credentials: Credentials, home: Path) -> None:
    credentials.store(HUB, SIGN_IN, SECRET)
    (home / module.KEY_FILE_NAME).unlink()
    with pytest.raises(NotAuthenticated):
        credentials.token(HUB)
    credentials.store(HUB, SIGN_IN, SECRET)
    assert credentials.token(HUB) == SECRET


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"hubs": 3}', b"\xff"])
def test_a_damaged_file_says_so(credentials: Credentials, content: bytes) -> None:
    credentials.home.mkdir()
    credentials.path.write_bytes(content)
    with pytest.raises(LocalStorageFailed, match="damaged"):
        credentials.load()


def test_the_systems_keyring_holds_the_key_where_there_is_one(home: Path, tmp_path: Path) -> None:
    # A package `keyring` that keeps its secrets in a file stands in for the system's: this
    # machine, as most that run tests, has none.
    package = tmp_path / "site" / "keyring"
    package.mkdir(parents=True)
    store = tmp_path / "store"
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        f"STORE = Path({str(store)!r})\n"
        "def set_password(service, name, secret): STORE.write_text(secret)\n"
        "def get_password(service, name): return STORE.read_text() if STORE.exists() else None\n"
    )
    (package / "errors.py").write_text("class KeyringError(Exception): pass\n")
    program = (
        "import sys; from pathlib import Path; from odavl.hub.credentials import *\n"
        "credentials = Credentials(Path(sys.argv[1]))\n"
        "credentials.store('http://hub', SignIn(token='', organization_id='o'), 'the-secret')\n"
        "print(credentials.token('http://hub'))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(home)],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert result.stdout.strip() == "the-secret"
    assert store.exists()
    assert not (home / module.KEY_FILE_NAME).exists()
