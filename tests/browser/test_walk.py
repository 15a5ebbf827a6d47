"""Every page in a real browser: no fault that axe finds, no complaint, nothing beyond the edge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from accounts.models import Project
from tests.browser.conftest import Site, watched

pytestmark = pytest.mark.browser

AXE = (Path(settings.BASE_DIR) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
PROJECT = "acme/projects/website/"


def faults_of(page: Page) -> list[str]:
    """What axe finds, a line each, and whatever sticks out sideways."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(
        "rules => axe.run(document, {runOnly: rules}).then(r => r.violations)", RULES
    )
    lines = [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]
    overhang = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*lines, *([f"{overhang} pixels too wide"] if overhang > 0 else [])]


def pages_to_walk(page: Page, language: str) -> list[str]:
    page.goto(f"/{language}/{PROJECT}issues/")
    issue = page.locator(".issue-link").first.get_attribute("href")
    page.goto(f"/{language}/{PROJECT}runs/")
    run = page.locator(".runs-table tbody th a").first.get_attribute("href")
    places = ["", "projects/website/", "projects/website/runs/", "projects/website/issues/"]
    found = [f"/{language}/acme/{place}" for place in places]
    filtered = f"/{language}/{PROJECT}issues/?text=nothing-like-this"
    return [*found, filtered, f"{run}?show=new", f"{run}?show=fixed", issue]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_page_has_a_fault(site: Site, language, scheme):
    page = site.visit(color_scheme=scheme, reduced_motion="reduce")
    faults = {}
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for address in pages_to_walk(page, language):
            page.goto(address)
            page.evaluate("document.fonts.ready")
            if found := faults_of(page):
                faults[f"{address} at {size['width']}"] = found
    assert faults == {}
    direction = page.evaluate("getComputedStyle(document.documentElement).direction")
    assert direction == ("rtl" if language == "ar" else "ltr")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_an_organization_without_runs_fits_a_phone(site: Site, language):
    """Its commands are longer than a phone is wide."""
    Project.across_organizations.all().delete()
    page = site.visit(viewport=PHONE)
    page.goto(f"/{language}/acme/")
    assert page.locator(".command").count() == 2
    assert faults_of(page) == []


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_a_stranger_sees_has_no_fault(site: Site, language):
    page = watched(site.browser.new_context(base_url=site.address, viewport=PHONE), [])
    places = ["accounts/login/", "accounts/password/reset/", "accounts/signup/", "acme/nothing"]
    for place in places:
        page.goto(f"/{language}/{place}")
        assert faults_of(page) == [], place


def test_menus_and_dialogs_have_no_fault_when_open(site: Site):
    page = site.visit(viewport=PHONE)
    page.goto(f"/en/{PROJECT}issues/")
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults_of(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Open the menu").click()
    page.locator(".sidebar-foot summary").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert faults_of(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.get_by_role("button", name="Open the menu")).to_be_focused()


def test_filters_change_the_list_and_the_address_and_back_undoes_them(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}issues/")
    everything = page.locator(".issue-link").count()
    page.locator("label.chip", has_text="High").click()
    page.wait_for_url("**/issues/?severity=high**")
    expect(page.locator(".issue-row .severity-high")).to_have_count(
        page.locator(".issue-row").count()
    )
    fewer = page.locator(".issue-link").count()
    expect(page.locator("#issues-status")).to_have_text(re.compile(rf"^\s*{fewer} issues?\s*$"))
    assert 0 < fewer < everything
    page.get_by_label("Search in messages").fill("shell")
    page.wait_for_url("**text=shell**")
    assert "rule=" not in page.url, "an address names only the filters that are set"
    page.reload()
    expect(page.get_by_label("Search in messages")).to_have_value("shell")
    page.go_back()
    expect(page.locator(".issue-link")).to_have_count(fewer)
    expect(page.get_by_label("Search in messages")).to_have_value("")
    page.go_back()
    expect(page.locator(".issue-link")).to_have_count(everything)


def test_the_list_is_worked_through_by_keyboard_alone(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}issues/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    links, boxes = page.locator(".issue-link"), page.locator(".issue-check input")
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(boxes.nth(1)).to_be_checked()
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search in messages")).to_be_focused()
    page.keyboard.type("jx")
    expect(page.get_by_label("Search in messages")).to_have_value("jx")
    page.get_by_label("Search in messages").fill("")
    page.wait_for_url(lambda url: "text=" not in url)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    title = links.nth(0).inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_single_keys_can_be_switched_off(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}issues/")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("j")
    expect(page.locator("body")).to_be_focused()


def test_several_issues_are_decided_at_once(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}issues/")
    before = page.locator(".issue-link").count()
    expect(page.get_by_role("button", name="Accept")).to_be_hidden()
    page.locator(".issue-check input").nth(0).check()
    page.locator(".issue-check input").nth(1).check()
    expect(page.locator("[data-selected-count]")).to_have_text("2")
    page.get_by_label("Reason").fill("Known since spring")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".toast-note")).to_contain_text("2 issues accepted")
    expect(page.locator(".issue-link")).to_have_count(before - 2)
    assert faults_of(page) == []
    page.goto(f"/en/{PROJECT}issues/?state=accepted")
    page.locator(".issue-link").first.click()
    expect(page.get_by_text("Known since spring")).to_be_visible()
    page.get_by_role("button", name="Reopen").click()
    expect(page.locator(".toast-note")).to_contain_text("1 issue open again")


def test_the_chosen_theme_is_there_before_the_first_paint(site: Site):
    page = site.visit(viewport=DESKTOP, color_scheme="light")
    page.goto("/en/acme/")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    # Nothing but the head has run when the body's first element appears.
    page.add_init_script(
        """new MutationObserver((_changes, observer) => {
             if (!document.body) return;
             window.themeAtFirst = document.documentElement.dataset.bsTheme ?? "none";
             observer.disconnect();
           }).observe(document, {childList: true, subtree: true});"""
    )
    page.reload()
    assert page.evaluate("window.themeAtFirst") == "dark"
    page.get_by_role("button", name="As the system").click()
    page.reload()
    assert page.evaluate("window.themeAtFirst") == "none"


def test_the_language_switch_keeps_the_page(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}issues/?severity=high")
    count = page.locator(".issue-link").count()
    page.locator(".sidebar-foot summary").click()
    page.get_by_role("button", name="العربيّة").click()
    page.wait_for_url(f"**/ar/{PROJECT}issues/?severity=high")
    expect(page.locator(".issue-link")).to_have_count(count)
    assert page.locator(".path").first.evaluate("e => getComputedStyle(e).direction") == "ltr"


def test_the_chart_is_drawn_and_said_in_a_table(site: Site):
    page = site.visit(viewport=DESKTOP)
    page.goto(f"/en/{PROJECT}")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.get_by_text("As a table").click()
    rows = page.locator("details.as-table tbody tr")
    expect(rows).to_have_count(2)
    shown = page.locator(".chart .u-legend").inner_text()
    last = rows.last.locator("td").nth(1).inner_text()
    assert last in shown


def test_the_list_can_be_filtered_without_scripts(site: Site):
    page = site.visit(viewport=DESKTOP, java_script_enabled=False)
    page.goto(f"/en/{PROJECT}issues/")
    page.get_by_label("State").select_option("fixed")
    page.get_by_role("button", name="Filter", exact=True).click()
    assert "state=fixed" in page.url
    expect(page.locator(".issue-row")).not_to_have_count(0)
