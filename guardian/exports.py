"""Guardian's part of an export."""

from accounts import exports
from guardian.models import Screenshot
from guardian.page_tests import PAGE_TESTS
from guardian.rendering import page_test_summary, screenshot_item


def register_all() -> None:
    exports.register("guardian-tests", PAGE_TESTS.exported, page_test_summary)
    exports.register("guardian-screenshots", exports.in_project(Screenshot), screenshot_item)
