"""``/api/v1/``: exports."""

from django.urls import path

from teams.exports import api

urlpatterns = [
    path("exports", api.ExportsView.as_view()),
    path("exports/<uuid:export_id>", api.ExportView.as_view()),
]
