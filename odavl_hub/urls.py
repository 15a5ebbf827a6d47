"""Every address of the hub: the API outside of any language, the pages under one."""

from __future__ import annotations

from allauth.account import urls as account_urls
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# A person has one address, with which they sign in. A second one, which anybody could claim, would
# only blur who somebody is; and asking for it has mail sent to strangers.
_ACCOUNTS = [entry for entry in account_urls.urlpatterns if entry.name != "account_email"]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("accounts.urls_api")),
    path("api/v1/", include("jobs.urls_api")),
    path("api/v1/", include("uploads.urls")),
    path("api/v1/", include("workspaces.urls_api")),
    path("api/v1/", include("storage.urls_api")),
    path("api/v1/", include("teams.urls_api")),
    path("api/v1/", include("insight.urls_api")),
    path("api/v1/", include("autopilot.urls_api")),
    path("api/v1/", include("guardian.urls_api")),
    path("", include("odavl_hub.urls_operations")),
]

urlpatterns += i18n_patterns(
    path("operate/", admin.site.urls),
    path("accounts/", include(_ACCOUNTS)),
    path("", include("dashboard.urls")),
    path("<slug:organization_slug>/", include("insight.urls")),
    path("<slug:organization_slug>/autopilot/", include("autopilot.urls")),
    path("<slug:organization_slug>/guardian/", include("guardian.urls")),
    path("<slug:organization_slug>/storage/", include("storage.urls")),
    path("<slug:organization_slug>/export/", include("teams.urls")),
)

handler400 = "frame.errors.bad_request"
handler403 = "frame.errors.permission_denied"
handler404 = "frame.errors.not_found"
handler500 = "frame.errors.server_error"
