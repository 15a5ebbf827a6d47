"""The front end's material: only what npm brought, all of it there, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

from django.conf import settings

from insight.templatetags.findings import _ICONS

ROOT = Path(settings.BASE_DIR)
TEMPLATES = [
    path
    for app in ("odavl_hub", "dashboard", "insight", "autopilot", "guardian", "storage")
    for path in ROOT.glob(f"{app}/templates/**/*.html")
]
OWN_FILES = [*ROOT.glob("*/static/js/*"), *ROOT.glob("*/static/css/*"), *TEMPLATES]


def test_every_icon_that_a_page_shows_is_in_the_sprite():
    shown = set(_ICONS.values())
    for path in TEMPLATES:
        shown |= set(re.findall(r'{% icon "([\w-]+)"', path.read_text(encoding="utf-8")))
    assert len(shown) > 20
    listed = json.loads((ROOT / "frontend" / "icons.json").read_text(encoding="utf-8"))
    assert shown - set(listed) == set()
    assert len(listed) == len(set(listed))


def test_the_built_sprite_holds_what_is_listed():
    listed = json.loads((ROOT / "frontend" / "icons.json").read_text(encoding="utf-8"))
    sprite = (ROOT / "odavl_hub/static/vendor/icons.svg").read_text(encoding="utf-8")
    assert set(re.findall(r'<symbol id="([\w-]+)"', sprite)) == set(listed)


def test_the_lock_file_records_no_addresses():
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert all(
        "integrity" in package for name, package in json.loads(lock)["packages"].items() if name
    )


def test_pages_load_nothing_from_elsewhere():
    for path in OWN_FILES:
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'(?:src|href)="(https?:)?//|url\(["\']?https?:|@import', text)
        assert not loaded, path.name


def test_scripts_and_styles_are_never_inline_without_a_nonce():
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or "nonce=" in tag, path.name
        assert not re.search(r"\son\w+=\"", text), path.name


def test_each_page_stays_light():
    """What every page loads, uncompressed; compression takes it to about a third."""
    vendor = ROOT / "odavl_hub/static/vendor"
    assert (vendor / "tabler.css").stat().st_size < 60_000
    assert (vendor / "tabler-rtl.css").stat().st_size < 60_000
    assert (vendor / "htmx.min.js").stat().st_size < 60_000
    assert (vendor / "uplot.min.js").stat().st_size < 60_000
