"""What a fresh hub needs before somebody can use it: an owner, a key for the local `odavl`.

Runs once the hub serves, at every start; what is there already is left alone.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from django.db import connections, transaction

from accounts.models import Membership, Role, User
from accounts.principal import principal_of_member
from accounts.services.keys import create_api_key
from accounts.services.people import create_owner
from odavl.wire.scopes import PRESETS
from odavl_hub import env
from odavl_hub.launcher.configuration import REPOSITORY, Configuration, write_secret

DEFAULT_EMAIL = "owner@localhost"
ORGANIZATION = "Home"
SIGN_IN_FILE = "first-sign-in"


def run(configuration: Configuration) -> None:
    """Make what is missing, tell how to sign in, analyse what was asked for."""
    # It reaches `odavl`, too; we wait until that has ended in its own way.
    signal.signal(signal.SIGINT, _stop_soon)
    _say(f"\n  ODAVL hub: {configuration.url}/")
    _say(f"  {ensure_owner(configuration.secrets)}\n")
    if configuration.analyze is not None:
        _analyze(configuration, configuration.analyze)
    connections.close_all()


_stopping = threading.Event()


def _stop_soon(_number: int, _frame: FrameType | None) -> None:
    _stopping.set()


def ensure_owner(folder: Path) -> str:
    """Make the first person where there is none; a line that tells how to sign in."""
    path = folder / SIGN_IN_FILE
    if User.objects.exists():
        if path.exists():
            email = path.read_text(encoding="utf-8").split("\n", 1)[0]
            return f"Sign in as {email} with the password of the first start, kept in {path}."
        return "Sign in with your e-mail address and password."
    # Written before the commit: a crash in between must not leave an owner without a password.
    email = os.environ.get("ODAVL_OWNER_EMAIL") or DEFAULT_EMAIL
    password = secrets.token_urlsafe(15)
    write_secret(path, f"{email}\n{password}\n")
    with transaction.atomic():
        owner = create_owner(email=email, password=password, organization_name=ORGANIZATION)
        # Who starts the hub operates it.
        User.objects.filter(pk=owner.user.pk).update(is_staff=True, is_superuser=True)
    return f"Sign in as {email} with the password {password} (kept in {path})."


def _analyze(configuration: Configuration, folder: Path) -> None:
    if not _odavl("whoami", "--quiet", hub=configuration.url, quiet=True):
        key = _new_key()
        if key is None or not _odavl("login", "--token", "-", hub=configuration.url, text=key):
            _say("hub: the local odavl could not be signed in, so nothing was analysed.")
            return
    name = "odavl" if folder == REPOSITORY else folder.name
    findings = configuration.logs / "analysis.txt"
    _odavl(
        *("insight", "analyze", str(folder), "--upload", "--project", name),
        *("--output", str(findings)),
        hub=configuration.url,
    )


def _new_key() -> str | None:
    """A key of the first owner for this machine's `odavl`."""
    owner: Membership | None = (
        Membership.across_organizations.filter(role=Role.OWNER)
        .select_related("organization", "user")
        .order_by("id")
        .first()
    )
    if owner is None:
        return None
    _, key = create_api_key(
        by=principal_of_member(owner), name="make run", scopes=PRESETS["all"], kind="cli"
    )
    return key


def _odavl(*arguments: str, hub: str, text: str = "", quiet: bool = False) -> bool:
    """Run the command line as a person would; whether it ended well."""
    if _stopping.is_set():
        return False
    result = subprocess.run(
        [sys.executable, "-m", "odavl", *arguments, "--hub", hub],
        input=text,
        text=True,
        # It runs tools of others over code of others.
        env=env.without_texts(os.environ),
        stdout=subprocess.DEVNULL if quiet else None,
        # The run's address is talk to `odavl`, and what `make run` is for to us.
        stderr=subprocess.STDOUT,
        check=False,
    )
    return result.returncode == 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
