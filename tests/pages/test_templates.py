"""Templates stay readable: no line runs past the edge of a screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

LONGEST = 200
TEMPLATES = sorted(
    path
    for path in Path(settings.BASE_DIR).glob("*/templates/**/*.html")
    if "node_modules" not in path.parts
)


def test_the_templates_of_every_room_are_found() -> None:
    rooms = {path.relative_to(settings.BASE_DIR).parts[0] for path in TEMPLATES}
    assert {"odavl_hub", "dashboard", "insight", "autopilot", "guardian", "storage"} <= rooms


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR))
)
def test_no_line_of_a_template_is_too_long(template: Path) -> None:
    lines = template.read_text(encoding="utf-8").splitlines()
    assert [n for n, line in enumerate(lines, start=1) if len(line) > LONGEST] == []
