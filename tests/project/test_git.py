from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.files import select_files
from odavl.project.git import changed_files, git_facts, normalize_remote
from odavl.wire.errors import UsageError


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com")
        command = ("git", "-C", str(self.folder), *identity, *arguments)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, text: str = "x\n") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "more")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.git("init", "-q", "-b", "main")
    return made


PROGRAMS = {
    "filter.theirs.clean": "{program}",
    "filter.theirs.process": "{program}",
    "filter.a=b.clean": "{program}",
    "core.fsmonitor": "{program}",
    "core.pager": "{program}",
    "diff.external": "{program}",
    "diff.theirs.command": "{program}",
    "diff.theirs.textconv": "{program}",
    "core.sshCommand": "{program}",
    "alias.diff": "!{program}",
}


@pytest.mark.parametrize("key", PROGRAMS)
def test_no_program_of_the_repositorys_own_configuration_is_run(
    repository: Repository, key: str
) -> None:
    """A checkout from an archive brings its ``.git/config``."""
    driver = "a=b" if "a=b" in key else "theirs"
    repository.write(".gitattributes", f"* filter={driver} diff=theirs\n")
    repository.write("a.py")
    repository.commit()
    marker = repository.folder / "run"
    program = repository.folder / ".git" / "program"
    program.write_text(f"#!/bin/sh\ntouch '{marker}'\ncat\n")
    program.chmod(0o755)
    included = repository.folder / ".git" / "more"
    repository.git("config", "--file", str(included), key, PROGRAMS[key].format(program=program))
    repository.git("config", "include.path", "more")
    repository.write("a.py", "changed\n")
    assert changed_files(repository.folder).present == ("a.py",)
    assert git_facts(repository.folder).commit
    assert select_files(repository.folder).files
    assert not marker.exists()


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/acme/shop.git",
        "https://alice:token@github.com/acme/shop",
        "https://GitHub.com/acme/shop.git/",
        "git@github.com:acme/shop.git",
        "github.com:acme/shop",
        "ssh://git@github.com:22/acme/shop.git",
        "git://github.com/acme/shop.git",
    ],
)
def test_one_repository_has_one_remote(remote: str) -> None:
    assert normalize_remote(remote) == "https://github.com/acme/shop"


@pytest.mark.parametrize("remote", ["/srv/git/shop.git", "file:///srv/git/shop", "C:/git", "", "x"])
def test_a_remote_on_this_machine_is_none(remote: str) -> None:
    assert normalize_remote(remote) is None


@given(st.text())
def test_a_password_never_comes_through(noise: str) -> None:
    found = normalize_remote(f"https://me:hunter2pass@host/{noise}")
    assert found is None or "hunter2pass@" not in found


def test_facts_of_a_branch(repository: Repository) -> None:
    repository.write("a.py")
    commit = repository.commit()
    repository.git("remote", "add", "origin", "git@example.com:acme/shop.git")
    facts = git_facts(repository.folder, {})
    assert (facts.branch, facts.commit) == ("main", commit)
    assert facts.remote == "https://example.com/acme/shop"


def test_before_the_first_commit_there_is_a_branch(repository: Repository) -> None:
    facts = git_facts(repository.folder, {})
    assert (facts.branch, facts.commit, facts.remote) == ("main", None, None)


def test_a_detached_head_asks_ci_for_the_branch(repository: Repository) -> None:
    repository.write("a.py")
    repository.commit()
    repository.git("checkout", "-q", "--detach")
    assert git_facts(repository.folder, {}).branch is None
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_HEAD_REF": "feature/x"}
    assert git_facts(repository.folder, environ).branch == "feature/x"


def test_no_repository_is_no_error(tmp_path: Path) -> None:
    facts = git_facts(tmp_path, {})
    assert (facts.branch, facts.commit, facts.remote) == (None, None, None)
    with pytest.raises(UsageError, match="not in a Git repository"):
        changed_files(tmp_path)


def test_changed_files_are_edited_new_renamed_and_gone_ones(repository: Repository) -> None:
    for name in ("same.py", "edited.py", "renamed.py", "gone.py", "staged.py"):
        repository.write(name, f"{name}\n" * 5)
    repository.write(".gitignore", "ignored.py\n")
    repository.commit()
    repository.write("edited.py", "other\n")
    repository.write("folder/new file.py")
    repository.write("ignored.py")
    repository.write("staged.py", "other\n")
    repository.git("add", "staged.py")
    repository.git("mv", "renamed.py", "moved.py")
    (repository.folder / "gone.py").unlink()
    found = changed_files(repository.folder)
    assert found.present == ("edited.py", "folder/new file.py", "moved.py", "staged.py")
    assert found.gone == ("gone.py", "renamed.py")


def test_before_the_first_commit_everything_has_changed(repository: Repository) -> None:
    repository.write("a.py")
    repository.write("b.py")
    repository.git("add", "a.py")
    assert changed_files(repository.folder).present == ("a.py", "b.py")


def test_against_a_branch_only_this_sides_changes_count(repository: Repository) -> None:
    repository.write("a.py")
    repository.commit()
    repository.git("checkout", "-q", "-b", "feature")
    repository.write("mine.py")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("theirs.py")
    repository.commit()
    repository.git("checkout", "-q", "feature")
    assert changed_files(repository.folder, "main").present == ("mine.py",)


@pytest.mark.parametrize("reference", ["nowhere", "--output=/tmp/x"])
def test_an_unknown_reference_is_told(repository: Repository, reference: str) -> None:
    with pytest.raises(UsageError):
        changed_files(repository.folder, reference)
