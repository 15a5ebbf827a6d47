"""Autopilot's pages, below an organization's address."""

from __future__ import annotations

from django.urls import path

from autopilot import pages

app_name = "autopilot"
urlpatterns = [
    path("", pages.cycles, name="cycles"),
    path("<uuid:cycle_id>/", pages.cycle, name="cycle"),
    path("<uuid:cycle_id>/payload", pages.payload, name="payload"),
]
