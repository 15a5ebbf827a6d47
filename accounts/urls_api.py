"""``/api/v1/``: who is asking, projects, API keys, the audit log."""

from django.urls import path

from accounts import api

urlpatterns = [
    path("auth/whoami", api.WhoAmIView.as_view()),
    path("projects", api.ProjectsView.as_view()),
    path("projects/<str:project>", api.ProjectView.as_view()),
    path("api-keys", api.ApiKeysView.as_view()),
    path("api-keys/<uuid:key_id>", api.ApiKeyView.as_view()),
    path("audit", api.AuditView.as_view()),
]
