"""``/api/v1/``: jobs."""

from django.urls import path

from jobs import api

urlpatterns = [
    path("sync/jobs", api.JobsView.as_view()),
    path("jobs/<uuid:job_id>", api.JobView.as_view()),
    path("jobs/<uuid:job_id>/events", api.JobEventsView.as_view()),
]
