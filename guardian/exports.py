"""Guardian's part of an export."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts import exports
from accounts.models import Organization, Project
from guardian.models import PageTest, Screenshot
from guardian.rendering import page_test_summary, screenshot_item


def register_all() -> None:
    exports.register("guardian-tests", _tests, page_test_summary)
    exports.register("guardian-screenshots", exports.in_project(Screenshot), screenshot_item)


def _tests(organization: Organization, project: Project | None) -> QuerySet[PageTest]:
    rows: QuerySet[PageTest] = exports.in_project(PageTest)(organization, project)
    return rows.select_related("organization")
