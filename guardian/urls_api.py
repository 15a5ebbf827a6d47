"""``/api/v1/guardian/``."""

from django.urls import path

from guardian import api

urlpatterns = [
    path("guardian/tests", api.TestsView.as_view()),
    path("guardian/tests/<uuid:test_id>", api.TestView.as_view()),
    path(
        "guardian/tests/<uuid:test_id>/payload",
        api.TestPayloadView.as_view(),
        name="guardian-test-payload",
    ),
    path(
        "guardian/tests/<uuid:test_id>/reports/<str:report_type>",
        api.ReportView.as_view(),
        name="guardian-report",
    ),
    path("guardian/screenshots", api.ScreenshotsView.as_view()),
    path(
        "guardian/screenshots/<uuid:screenshot_id>/content",
        api.ScreenshotContentView.as_view(),
        name="guardian-screenshot-content",
    ),
]
