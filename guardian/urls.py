"""Guardian's pages, below an organization's address."""

from __future__ import annotations

from django.urls import path

from guardian import pages

app_name = "guardian"
urlpatterns = [
    path("", pages.tests, name="tests"),
    path("<uuid:test_id>/", pages.test, name="test"),
    path("<uuid:test_id>/payload", pages.payload, name="payload"),
    path("<uuid:test_id>/reports/<str:report_type>", pages.report, name="report"),
    path("screenshots/<uuid:screenshot_id>", pages.screenshot, name="screenshot"),
]
