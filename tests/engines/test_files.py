"""Which files an analysis looks at."""

import subprocess
from pathlib import Path

import pytest

from odavl.engines.insight.files import select_files
from odavl.wire.errors import UsageError

GIT = ["git", "-c", "user.name=Alice", "-c", "user.email=alice@example.com"]


def put(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")


def git(root: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture(params=["git", "no git"])
def root(request, tmp_path) -> Path:
    """The same tree, once as a Git work tree and once as plain folders."""
    put(
        tmp_path,
        "a.py",
        "src/b.py",
        "src/deep/c.js",
        "build/out.py",
        "src/gen/d.py",
        "src/keep.gen",
    )
    put(tmp_path, "node_modules/x/index.js", ".venv/lib/y.py", ".odavl/export.json", "src/e.gen")
    (tmp_path / ".gitignore").write_text("/build/\n*.gen\n")
    (tmp_path / "src" / ".gitignore").write_text("gen/\n!keep.gen\n")
    if request.param == "git":
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", "a.py")
    return tmp_path


EXPECTED = (".gitignore", "a.py", "src/.gitignore", "src/b.py", "src/deep/c.js", "src/keep.gen")


def test_ignored_files_and_installed_packages_are_left_out(root):
    selection = select_files(root)
    assert selection.files == EXPECTED
    assert selection.scope is None


def test_excludes_are_patterns_seen_from_the_root(root):
    selection = select_files(root, exclude=["src/*", "!src/b.py", ".gitignore"])
    assert selection.files == ("a.py", "src/b.py")


def test_some_files_and_folders(root):
    selection = select_files(root, files=["./a.py", "src/deep", str(root / "src" / "b.py")])
    assert selection.files == ("a.py", "src/b.py", "src/deep/c.js")
    assert selection.scope == selection.files
    assert selection.project == EXPECTED


def test_a_file_that_is_gone_belongs_to_the_scope(root):
    selection = select_files(root, files=["a.py", "deleted.py"])
    assert selection.files == ("a.py",)
    assert selection.scope == ("a.py", "deleted.py")


def test_an_ignored_file_is_not_looked_at_even_if_it_is_named(root):
    selection = select_files(root, files=["build/out.py", "node_modules/x/index.js"])
    assert selection.files == selection.scope == ()


def test_the_root_itself_may_be_named(root):
    assert select_files(root, files=["."]).files == EXPECTED


@pytest.mark.parametrize("path", ["../a.py", "/etc/passwd", "src/../../a.py"])
def test_a_file_outside_is_refused(root, path):
    with pytest.raises(UsageError):
        select_files(root, files=[path])


def test_links_count_only_if_they_stay_inside(root):
    (root / "inside.py").symlink_to("a.py")
    (root / "outside.py").symlink_to("/etc/passwd")
    (root / "broken.py").symlink_to("nowhere.py")
    found = select_files(root).files
    assert "inside.py" in found
    assert not {"outside.py", "broken.py"} & set(found)


def test_a_virtual_environment_of_any_name_is_left_out(root):
    put(root, "env311/pyvenv.cfg", "env311/lib/z.py")
    assert select_files(root).files == EXPECTED


def test_a_tracked_file_that_was_deleted_is_not_looked_at(tmp_path):
    put(tmp_path, "a.py", "b.py")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    (tmp_path / "a.py").unlink()
    assert select_files(tmp_path).files == ("b.py",)


def test_strange_names_survive(tmp_path):
    git(tmp_path, "init", "-q")
    names = ("-x.py", "a b.py", "new\nline.py", "ünï.py", 'quo"te.py')
    put(tmp_path, *names)
    (tmp_path / Path(b"bad\xff.py".decode("utf-8", "surrogateescape"))).write_text("x")
    assert set(select_files(tmp_path).files) == set(names)


def test_git_settings_of_the_project_start_no_program(tmp_path):
    put(tmp_path, "a.py")
    git(tmp_path, "init", "-q")
    trap = tmp_path.parent / f"{tmp_path.name}-trap"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {trap}\n")
    script.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(script))
    assert select_files(tmp_path).files == ("a.py", "trap.sh")
    assert not trap.exists()
