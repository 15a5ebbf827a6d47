"""``~/.odavl/credentials.json``: what was signed in to, by the hub's address, secrets encrypted.

The file is 0600 in a folder of 0700. Tokens are encrypted with Fernet (AES-128-CBC and HMAC-SHA256,
from ``cryptography``). Its key lies in the system's keyring where the package ``keyring`` and a
keyring are there, else in ``credentials.key`` (0600) beside the file: then encryption guards a
file that was copied or backed up alone, not against somebody who reads the whole folder.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from odavl.hub.private_files import (
    ensure_folder,
    file_lock,
    read_private,
    write_private_bytes,
)
from odavl.wire.errors import LocalStorageFailed, NotAuthenticated

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

Answer = TypeVar("Answer")

FILE_NAME = "credentials.json"
KEY_FILE_NAME = "credentials.key"
KEYRING_SERVICE = "odavl"
KEYRING_SECONDS = 30.0
"""As long may somebody take who is asked to unlock it; then it is as if there were none."""


class SignIn(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, frozen=True):
    """One hub. ``token`` is encrypted; the rest is what the hub said at sign-in."""

    token: str
    organization_id: str
    organization_slug: str = ""
    organization_name: str = ""
    user_email: str | None = None
    key_name: str | None = None
    project_id: str | None = None
    """The one project that the key is bound to."""


class CredentialsFile(msgspec.Struct, kw_only=True, rename="camel"):
    """``current`` is the hub last signed in to; ``hubs`` are by address."""

    version: int = 1
    current: str | None = None
    hubs: dict[str, SignIn] = msgspec.field(default_factory=dict)


_DECODER = msgspec.json.Decoder(CredentialsFile)


class Credentials:
    """The sign-ins kept under ``home``. Reading makes no file; only :meth:`store` does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / FILE_NAME

    def load(self) -> CredentialsFile:
        """What is kept. Raises :class:`LocalStorageFailed` for a file that cannot be understood."""
        content = read_private(self.path)
        if content is None:
            return CredentialsFile()
        try:
            return _DECODER.decode(content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise LocalStorageFailed(
                f"{self.path} is damaged: {error}.",
                hint="Remove it and sign in again (odavl login --token -).",
            ) from error

    def token(self, address: str) -> str | None:
        """The secret for the hub at ``address``, and for no other; None where there is none."""
        found = self.load().hubs.get(address)
        return self._decrypted(found.token) if found else None

    def store(self, address: str, sign_in: SignIn, token: str) -> None:
        """Keep ``token`` for ``address`` and make that the current hub."""
        ensure_folder(self.home)
        with file_lock(self.home / "credentials.lock"):
            content = self.load()
            cipher = self._cipher() or self._new_cipher()
            encrypted = cipher.encrypt(token.encode()).decode()
            content.hubs[address] = msgspec.structs.replace(sign_in, token=encrypted)
            content.current = address
            self._write(content)

    def forget(self, address: str) -> bool:
        """Whether there was something to forget."""
        if not self.path.exists():
            return False
        with file_lock(self.home / "credentials.lock"):
            content = self.load()
            known = content.hubs.pop(address, None) is not None
            if content.current == address:
                content.current = None
            self._write(content)
        return known

    def _write(self, content: CredentialsFile) -> None:
        document = json.dumps(msgspec.to_builtins(content), indent=2)
        write_private_bytes(self.path, document.encode() + b"\n")

    def _decrypted(self, encrypted: str) -> str:
        from cryptography.fernet import InvalidToken

        cipher = self._cipher()
        if cipher is None:
            raise NotAuthenticated(
                f"The key to {self.path} is gone or damaged.",
                hint="Sign in again: odavl login --token -",
            )
        try:
            return cipher.decrypt(encrypted).decode()
        except (InvalidToken, ValueError) as error:
            raise NotAuthenticated(
                f"The secret in {self.path} cannot be decrypted with this machine's key.",
                hint="Sign in again: odavl login --token -",
            ) from error

    def _cipher(self) -> Fernet | None:
        """None where there is no key, or one that is none: then a new sign-in makes another."""
        from cryptography.fernet import Fernet

        key = self._key()
        try:
            return Fernet(key) if key else None
        except ValueError:
            return None

    def _new_cipher(self) -> Fernet:
        from cryptography.fernet import Fernet

        key = Fernet.generate_key()
        self._keep_key(key)
        return Fernet(key)

    def _key(self) -> bytes | None:
        """The key file first: a keyring that came later must not hide it."""
        key = read_private(self.home / KEY_FILE_NAME)
        if key is not None:
            return key.strip()
        kept = keyring_get(str(self.home))
        return kept.encode() if kept else None

    def _keep_key(self, key: bytes) -> None:
        file = self.home / KEY_FILE_NAME
        # A file that is there hides what the keyring holds, also when it is damaged.
        if file.exists() or not keyring_set(str(self.home), key.decode()):
            write_private_bytes(file, key + b"\n")


def keyring_get(name: str) -> str | None:
    """The secret that the system's keyring holds, or None, also where there is no keyring."""

    def ask() -> str | None:
        import keyring

        kept: str | None = keyring.get_password(KEYRING_SERVICE, name)
        return kept

    return next(iter(_asked(ask)), None)


def keyring_set(name: str, secret: str) -> bool:
    """Whether the system's keyring took the secret and gives it back."""

    def ask() -> None:
        import keyring

        keyring.set_password(KEYRING_SERVICE, name, secret)

    return bool(_asked(ask)) and keyring_get(name) == secret


def _asked(ask: Callable[[], Answer]) -> list[Answer]:
    """The answer, if there is one in time.

    Behind a keyring stands a program of somebody else: it may fail in any way, or wait for a
    person who sits at no screen.
    """
    found: list[Answer] = []

    def run() -> None:
        with suppress(Exception):
            found.append(ask())

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(KEYRING_SECONDS)
    return found
