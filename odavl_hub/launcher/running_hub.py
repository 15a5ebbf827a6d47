"""How a command finds the hub that runs over a data folder with servers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from odavl_hub.launcher.configuration import REPOSITORY, read_secrets
from odavl_hub.launcher.embedded.postgres import DATABASE, PORT, ROLE
from odavl_hub.launcher.embedded.sockets import client_address
from odavl_hub.launcher.errors import EmbeddedServiceError

_SOCKET_FOLDER = 4
"""The line of postmaster.pid (from 0) that names the folder of the Unix socket."""


def settings_of_running_hub(environment: Mapping[str, str]) -> dict[str, str]:
    """What ``environment`` lacks to reach that hub's database; {} where none runs."""
    if environment.get("DATABASE_URL") or "DATABASE_URL_FILE" in environment:
        return {}
    data = Path(environment.get("ODAVL_DATA") or REPOSITORY / ".data").expanduser().resolve()
    try:
        cluster = data / "postgres" / "cluster"
        told = (cluster / "postmaster.pid").read_text(encoding="utf-8")
        # The server is started in its own folder, and names this one from there.
        sockets = client_address((cluster / told.splitlines()[_SOCKET_FOLDER]).resolve())
    except (OSError, IndexError, EmbeddedServiceError):
        return {}
    address = f"postgresql://{ROLE}@{quote(str(sockets), safe='')}:{PORT}/{DATABASE}"
    return {
        "DATABASE_URL": address,
        "ODAVL_DATA": str(data),
        **read_secrets(data / "secrets", environment),
    }
