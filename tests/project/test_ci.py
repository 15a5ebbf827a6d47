from __future__ import annotations

import pytest

from odavl.project.ci import CiState, detect_ci

CASES = [
    ({"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main"}, "GitHub Actions", "main"),
    (
        {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "fix", "GITHUB_REF_NAME": "7/merge"},
        "GitHub Actions",
        "fix",
    ),
    (
        {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"},
        "GitHub Actions",
        None,
    ),
    ({"GITLAB_CI": "true", "CI": "true", "CI_COMMIT_BRANCH": "main"}, "GitLab CI", "main"),
    ({"GITLAB_CI": "true", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix"}, "GitLab CI", "fix"),
    ({"JENKINS_URL": "http://j", "GIT_BRANCH": "origin/main"}, "Jenkins", "main"),
    ({"JENKINS_URL": "http://j", "CHANGE_BRANCH": "fix", "BRANCH_NAME": "PR-7"}, "Jenkins", "fix"),
    ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/heads/a/b"}, "Azure Pipelines", "a/b"),
    (
        {
            "TF_BUILD": "True",
            "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/fix",
            "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
        },
        "Azure Pipelines",
        "fix",
    ),
    ({"TF_BUILD": "True", "BUILD_SOURCEBRANCH": "refs/tags/v1"}, "Azure Pipelines", None),
    (
        {"BITBUCKET_BUILD_NUMBER": "3", "BITBUCKET_BRANCH": "main"},
        "Bitbucket Pipelines",
        "main",
    ),
    ({"CIRCLECI": "true", "CIRCLE_BRANCH": "main"}, "CircleCI", "main"),
    ({"CI": "true"}, "CI", None),
]


@pytest.mark.parametrize(("environ", "name", "branch"), CASES)
def test_a_service_is_known_by_its_variables(
    environ: dict[str, str], name: str, branch: str | None
) -> None:
    assert detect_ci(environ) == CiState(name=name, branch=branch)


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "false"}, {"HOME": "/home/alice"}])
def test_a_persons_machine_is_none(environ: dict[str, str]) -> None:
    assert detect_ci(environ) is None


def test_the_commit_is_told() -> None:
    found = detect_ci({"CIRCLECI": "true", "CIRCLE_SHA1": "abc"})
    assert found is not None
    assert found.commit == "abc"
