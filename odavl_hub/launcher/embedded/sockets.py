"""Where a service's Unix socket lies, and how a client names it.

The server is started in its own folder and names its socket from there, so its path may be as
long as it likes and lead through folders that are closed to the server's account. A client has no
such freedom: the path that it gives may have 107 bytes, and travels in an address that is text.
Where the folder's own path does not fit, a link under the temporary folder stands for it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from odavl_hub.launcher.embedded.service_process import Account
from odavl_hub.launcher.errors import EmbeddedServiceError

LONGEST_SOCKET_PATH = 103  # macOS; Linux allows 107
_LONGEST_NAME = ".s.PGSQL.5432"
_LINK = "s"


def make_private_folder(folder: Path, account: Account) -> None:
    """See that ``folder`` is there and that only ``account`` (and root) may enter it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_a_strangers(folder, {os.geteuid(), account.owner_uid})
        os.chown(folder, account.owner_uid, account.owner_gid)
        folder.chmod(0o700)
    except OSError as error:
        raise EmbeddedServiceError(
            f"The folder {folder} cannot be used ({error.strerror}): remove it, "
            "or set ODAVL_DATA to another place."
        ) from error


def client_address(folder: Path) -> Path:
    """``folder``, or a link to it that is short and plain enough for a socket's address."""
    if _fits(folder):
        return folder
    refusal = None
    for place in _link_folders(folder):
        if not _fits(place / _LINK):
            continue
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            _refuse_a_strangers(place, {os.geteuid()})
            _link(place / _LINK, folder)
        except (OSError, EmbeddedServiceError) as error:
            refusal = error
        else:
            return place / _LINK
    raise EmbeddedServiceError(
        f"The path {folder} is too long for a socket, and no temporary folder takes a link to it "
        f"({refusal or 'all are too long'}): set ODAVL_DATA to a shorter path."
    )


def remove_client_address(folder: Path) -> None:
    """Leave nothing under the temporary folder."""
    for place in _link_folders(folder):
        with suppress(OSError):
            if place.lstat().st_uid == os.geteuid():
                (place / _LINK).unlink(missing_ok=True)
                place.rmdir()


def _fits(folder: Path) -> bool:
    try:
        path = str(folder / _LONGEST_NAME).encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8: an address could not carry them
        return False
    return len(path) <= LONGEST_SOCKET_PATH


def _link_folders(folder: Path) -> list[Path]:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    name = f"odavl-{os.geteuid()}-{digest}"
    places = dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp"))  # noqa: S108 - whose folder it is is checked
    return [Path(place, name) for place in places]


def _link(link: Path, target: Path) -> None:
    with suppress(OSError):
        if link.readlink() == target:
            return
    draft = link.with_name(f"{link.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)


def _refuse_a_strangers(folder: Path, owners: set[int]) -> None:
    # Anybody may have made a folder of this name under /tmp, or a link to elsewhere.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise EmbeddedServiceError(
            f"The folder {folder} belongs to somebody else: remove it, or set TMPDIR or ODAVL_DATA."
        )
