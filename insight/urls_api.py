"""``/api/v1/insight/``."""

from django.urls import path

from insight import api

urlpatterns = [
    path("insight/runs", api.RunsView.as_view()),
    path("insight/runs/<uuid:run_id>", api.RunView.as_view()),
    path(
        "insight/runs/<uuid:run_id>/payload",
        api.RunPayloadView.as_view(),
        name="insight-run-payload",
    ),
    path("insight/runs/<uuid:run_id>/issues", api.RunIssuesView.as_view()),
    path("insight/runs/<uuid:run_id>/diff", api.RunDiffView.as_view()),
    path("insight/issues", api.IssuesView.as_view()),
    path("insight/issues/<int:issue_id>", api.IssueView.as_view()),
    path("insight/issues/<int:issue_id>/runs", api.IssueRunsView.as_view()),
]
