"""The pages of this room, below an organization's address."""

from __future__ import annotations

from django.urls import path

from teams.exports import pages

app_name = "teams"
urlpatterns = [path("", pages.export, name="export")]
