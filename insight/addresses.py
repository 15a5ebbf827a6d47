"""Where Insight's pages are.

Absolute addresses, as people are given them, are in the default language: who opens one has the
switch to the others on the page.
"""

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from accounts.models import Organization
from insight.models import Issue, Run


def run_page(organization: Organization, run_id: object) -> str:
    """The path of a run's page, in the language of the request."""
    return reverse("insight:run", args=[organization.slug, run_id])


def run_address(run: Run) -> str:
    return _page("insight:run", run.stream.project.organization.slug, run.pk)


def issue_address(issue: Issue) -> str:
    return _page("insight:issue", issue.stream.project.organization.slug, issue.pk)


def _page(name: str, *arguments: object) -> str:
    with translation.override(settings.LANGUAGE_CODE):
        return f"{settings.PUBLIC_URL}{reverse(name, args=arguments)}"
