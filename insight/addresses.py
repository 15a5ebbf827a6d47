"""Where Insight's pages are. What people are given are absolute addresses."""

from django.urls import reverse

from accounts.models import Organization
from insight.models import Issue, Run
from uploads.results.addresses import page_address


def run_page(organization: Organization, run_id: object) -> str:
    """The path of a run's page, in the language of the request."""
    return reverse("insight:run", args=[organization.slug, run_id])


def run_address(run: Run) -> str:
    return page_address("insight:run", run.stream.project.organization.slug, run.pk)


def issue_address(issue: Issue) -> str:
    return page_address("insight:issue", issue.stream.project.organization.slug, issue.pk)
