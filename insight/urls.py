"""Insight's pages, below an organization's address."""

from __future__ import annotations

from django.urls import path

from insight import pages

app_name = "insight"
urlpatterns = [
    path("projects/<str:project_slug>/", pages.project, name="project"),
    path("projects/<str:project_slug>/runs/", pages.runs, name="runs"),
    path("projects/<str:project_slug>/branches/", pages.branches, name="branches"),
    path("projects/<str:project_slug>/issues/", pages.issues, name="issues"),
    path("projects/<str:project_slug>/issues/triage/", pages.triage, name="triage"),
    path("issues/<int:issue_id>/", pages.issue, name="issue"),
    path("runs/<uuid:run_id>/", pages.run, name="run"),
    path("runs/<uuid:run_id>/payload", pages.payload, name="payload"),
]
