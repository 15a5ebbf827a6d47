"""The pages that look across products, and the language switch."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from dashboard import job_pages, pages

app_name = "dashboard"
urlpatterns = [
    path("", pages.home, name="home"),
    path("accounts/language/", set_language, name="language"),
    path("<slug:organization_slug>/", pages.overview, name="overview"),
    path("<slug:organization_slug>/sync/jobs/", job_pages.jobs, name="jobs"),
    path("<slug:organization_slug>/sync/jobs/<uuid:job_id>/", job_pages.act, name="job"),
]
