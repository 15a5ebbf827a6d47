"""What every test stands on: one PostgreSQL and one Redis for the whole run.

The controlling process starts them, pytest-xdist's workers inherit their addresses, and each
worker has a database of its own. DATABASE_URL and REDIS_URL, where set, are used instead.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import dj_database_url
import hypothesis
import pytest
from django.conf import settings
from django.utils import translation

from tests import watchdog
from tests.services import TestServices

pytest_plugins = ["tests.cast", "tests.faults.summary"]

# Built upon the profile that is in force, which is another one in CI.
hypothesis.settings.register_profile(
    "any machine",
    hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]),
)
hypothesis.settings.load_profile("any machine")

_SERVICES = pytest.StashKey[TestServices]()
_WATCHDOG = pytest.StashKey["subprocess.Popen[bytes]"]()
_FOLDER = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what is in its background; what we start would not hear a Ctrl-C either.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_WATCHDOG] = watchdog.watch()
        services = TestServices()
        config.stash[_SERVICES] = services
        services.start()
        _compile_messages()
    folder = tempfile.TemporaryDirectory(prefix="odavl-test-data-", ignore_cleanup_errors=True)
    config.stash[_FOLDER] = folder
    _point_settings_at(Path(folder.name))


def pytest_unconfigure(config: pytest.Config) -> None:
    services = config.stash.get(_SERVICES, None)
    if services is not None:
        services.stop()
    folder = config.stash.get(_FOLDER, None)
    if folder is not None:
        folder.cleanup()
    guard = config.stash.get(_WATCHDOG, None)
    if guard is not None:
        guard.stdin.close()
        guard.wait()


def _compile_messages() -> None:
    """Catalogues are built, not kept; `make test` builds them, a bare `pytest` does here."""
    for source in Path.cwd().glob("locale/*/LC_MESSAGES/*.po"):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            command = [sys.executable, "scripts/compile_messages.py", str(source), str(target)]
            subprocess.run(command, check=True)


def _point_settings_at(folder: Path) -> None:
    # pytest-django has read the settings before any conftest is loaded, so they are changed in
    # place; nothing has connected to anything yet.
    if "DATABASE_URL" in os.environ:
        address = dj_database_url.parse(os.environ["DATABASE_URL"])
        settings.DATABASES["default"].update(address)
    if "REDIS_URL" in os.environ:
        settings.REDIS_URL = settings.CELERY_BROKER_URL = _own_redis(os.environ["REDIS_URL"])
    for name in ("objects", "static"):
        (folder / name).mkdir()
    settings.ODAVL_DATA = folder
    settings.STATIC_ROOT = folder / "static"
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    # A slow hash is a virtue in production and a minute here.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    os.environ["ODAVL_DATA"] = str(folder)
    os.environ["ODAVL_HOME"] = str(folder / "home")


def _own_redis(url: str) -> str:
    """``url`` with a database number that only this xdist worker uses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(re.sub(r"\D", "", worker) or 0) + 1 if worker else 0
    if url.startswith("redis+socket:"):
        return f"{url.partition('?')[0]}?virtual_host={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


@pytest.fixture(autouse=True)
def _no_credentials_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own hub and keys must not reach a test."""
    for name in ("ODAVL_CLOUD_API", "ODAVL_API_KEY", "ODAVL_ORGANIZATION_ID", "ODAVL_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _counts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test guessed wrongly must not make another wait."""
    monkeypatch.setattr("frame.rate_limits.PREFIX", f"test:{uuid.uuid4()}")


@pytest.fixture(autouse=True)
def default_language() -> None:
    """A request leaves its language behind in its thread, which is that of the next test."""
    translation.deactivate()
