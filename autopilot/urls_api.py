"""``/api/v1/autopilot/``."""

from django.urls import path

from autopilot import api

urlpatterns = [
    path("autopilot/runs", api.RunsView.as_view()),
    path("autopilot/runs/<uuid:cycle_id>", api.RunView.as_view()),
    path(
        "autopilot/runs/<uuid:cycle_id>/payload",
        api.RunPayloadView.as_view(),
        name="autopilot-run-payload",
    ),
    path("autopilot/trust", api.TrustView.as_view()),
    path("autopilot/documents", api.DocumentsView.as_view()),
    path(
        "autopilot/documents/<str:document_type>",
        api.DocumentView.as_view(),
        name="autopilot-document",
    ),
]
