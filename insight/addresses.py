"""Absolute addresses of pages, as people are given them."""

from insight.models import Issue, Run
from uploads.results.addresses import page_address


def run_address(run: Run) -> str:
    return page_address("insight:run", run.stream.project.organization.slug, run.pk)


def issue_address(issue: Issue) -> str:
    return page_address("insight:issue", issue.stream.project.organization.slug, issue.pk)
