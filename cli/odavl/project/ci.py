"""Which CI service runs this process, and what it says about the branch.

A CI checkout is mostly a detached HEAD, so that Git alone cannot tell the branch. The variables are
those that each service documents as predefined.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CiState:
    """What the service tells; ``branch`` is the source branch of a pull request."""

    name: str
    branch: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class _Service:
    name: str
    marker: str
    branches: tuple[str, ...]
    """Variables that may hold the branch, the pull request's source first."""
    commit: str


_SERVICES = (
    _Service(
        "GitHub Actions", "GITHUB_ACTIONS", ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"), "GITHUB_SHA"
    ),
    _Service(
        "GitLab CI",
        "GITLAB_CI",
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH"),
        "CI_COMMIT_SHA",
    ),
    _Service(
        "Jenkins", "JENKINS_URL", ("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"), "GIT_COMMIT"
    ),
    _Service(
        "Azure Pipelines",
        "TF_BUILD",
        ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"),
        "BUILD_SOURCEVERSION",
    ),
    _Service(
        "Bitbucket Pipelines", "BITBUCKET_BUILD_NUMBER", ("BITBUCKET_BRANCH",), "BITBUCKET_COMMIT"
    ),
    _Service("CircleCI", "CIRCLECI", ("CIRCLE_BRANCH",), "CIRCLE_SHA1"),
)


def detect_ci(environ: Mapping[str, str] = os.environ) -> CiState | None:
    """The CI service around this process, or None on a person's machine."""
    for service in _SERVICES:
        if environ.get(service.marker):
            return CiState(
                name=service.name,
                branch=_branch(service, environ),
                commit=environ.get(service.commit) or None,
            )
    if environ.get("CI", "").lower() in {"true", "1", "yes"}:
        return CiState(name="CI")
    return None


def _branch(service: _Service, environ: Mapping[str, str]) -> str | None:
    for variable in service.branches:
        value = environ.get(variable, "")
        if variable == "GITHUB_REF_NAME" and environ.get("GITHUB_REF_TYPE") == "tag":
            continue
        if value.startswith("refs/") and not value.startswith("refs/heads/"):
            continue
        if variable == "GIT_BRANCH":
            value = value.removeprefix("origin/")
        value = value.removeprefix("refs/heads/")
        if value:
            return value
    return None
