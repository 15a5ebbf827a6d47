"""The storage page in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from storage.models import StoredFile
from tests.browser.conftest import Site
from tests.browser.test_walk import DESKTOP, PHONE, faults_of
from tests.cast import Person
from tests.storage.test_files_api import announce, stored

pytestmark = pytest.mark.browser


@pytest.fixture
def filled(site: Site, alice: Person) -> Site:
    """A few files of every kind; their addresses lead to the site."""
    stored(alice.api, product="guardian", type="screenshot", fileName="checkout-dark.png")
    stored(alice.api, b"<html></html>" * 90, fileName="lighthouse-report.html",
           contentType="text/html", product="guardian", type="lighthouse-report")  # fmt: skip
    stored(alice.api, b"{}" * 900, fileName="نتائج الفحص.json", contentType="application/json",
           product="insight", access="PRIVATE", expiresAt="2090-01-01T00:00:00Z")  # fmt: skip
    announce(alice.api, fileName="a-rather-long-name-" * 6 + ".zip", contentType="application/zip")
    return site


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_storage_page_has_no_fault(filled: Site, language, scheme):
    page = filled.visit(color_scheme=scheme, reduced_motion="reduce")
    faults = {}
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for query in ("", "?q=nothing-like-this", "?sort=name"):
            page.goto(f"/{language}/acme/storage/{query}")
            page.evaluate("document.fonts.ready")
            if opened := page.locator(".file-delete summary").count():
                page.locator(".file-delete summary").nth(opened - 1).click()
            if found := faults_of(page):
                faults[f"{query} at {size['width']}"] = found
    assert faults == {}


def test_a_file_is_found_fetched_and_deleted(filled: Site, settings):
    settings.PUBLIC_URL = filled.address
    page = filled.visit(viewport=DESKTOP)
    page.goto("/en/acme/")
    page.get_by_role("link", name="Storage", exact=True).click()
    expect(page.locator(".files-table tbody tr")).to_have_count(4)
    page.get_by_label("Search in names").fill("checkout")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.locator(".files-table tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download checkout-dark.png").click()
    assert download.value.suggested_filename == "checkout-dark.png"
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    page.reload()
    expect(page.locator(".files-table td.number").last).to_have_text("1")
    page.get_by_label("Delete checkout-dark.png").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator(".toast-note")).to_contain_text("checkout-dark.png was deleted.")
    expect(page.locator(".files-table tbody tr")).to_have_count(3)
    assert StoredFile.across_organizations.count() == 3
