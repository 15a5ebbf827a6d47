"""The storage's pages, below an organization's address."""

from __future__ import annotations

from django.urls import path

from storage import pages

app_name = "storage"
urlpatterns = [
    path("", pages.files, name="files"),
    path("<uuid:file_id>/download", pages.download, name="download"),
    path("<uuid:file_id>/delete", pages.delete, name="delete"),
]
