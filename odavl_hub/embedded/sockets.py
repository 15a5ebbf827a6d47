"""Where a service's Unix socket lies. Its path may have 107 bytes, a data folder may be deeper."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from odavl_hub.embedded.errors import EmbeddedServiceError
from odavl_hub.embedded.launcher import Account

LONGEST_SOCKET_PATH = 103  # macOS; Linux allows 107
_LONGEST_NAME = ".s.PGSQL.5432.lock"


def socket_folder(data: Path, service: str, account: Account) -> Path:
    """An existing folder that only ``account`` (and root) may enter, short enough for a socket.

    It is ``data/run/<service>``, or a folder under the temporary one named by the hash of that.
    """
    folder = data / "run" / service
    if len(os.fsencode(folder / _LONGEST_NAME)) > LONGEST_SOCKET_PATH:
        folder = _short_folder(data, service)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_a_strangers(folder, account)
        os.chown(folder, account.owner_uid, account.owner_gid)
        folder.chmod(0o700)
    except OSError as error:
        raise EmbeddedServiceError(
            f"The socket folder {folder} cannot be used ({error.strerror}): "
            "remove it or set TMPDIR."
        ) from error
    return folder


def remove_socket_folder(data: Path, service: str) -> None:
    """Leave nothing under the temporary folder; one inside ``data`` stays for the next start."""
    shutil.rmtree(_short_folder(data, service), ignore_errors=True)


def _short_folder(data: Path, service: str) -> Path:
    digest = hashlib.sha256(os.fsencode(data / service)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"odavl-{os.geteuid()}-{digest}"


def _refuse_a_strangers(folder: Path, account: Account) -> None:
    # Anybody may have made a folder of this name under /tmp, or a link to elsewhere.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), account.owner_uid}:
        raise EmbeddedServiceError(
            f"The socket folder {folder} belongs to somebody else: remove it or set TMPDIR."
        )
