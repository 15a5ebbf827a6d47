"""Health, the schema and its page."""

from django.urls import path

from odavl_hub import operations

urlpatterns = [
    path("api/health", operations.HealthView.as_view(), name="health"),
    path("healthz", operations.LivenessView.as_view(), name="liveness"),
    path("readyz", operations.ReadinessView.as_view(), name="readiness"),
    path("api/schema", operations.schema, name="schema"),
    path("api/docs", operations.docs, name="api-docs"),
]
