from __future__ import annotations

from pathlib import Path

import pytest

from odavl.project.link import ProjectLink, read_link, remove_link, write_link
from odavl.project.root import home_folder, project_root
from odavl.wire.errors import UsageError

LINK = ProjectLink(hub="http://hub", projectId="p", projectName="Shop", organizationId="o")


def test_the_nearest_marker_is_the_root(tmp_path: Path, home: Path) -> None:
    inner = tmp_path / "repo" / "packages" / "shop"
    deep = inner / "src" / "deep"
    deep.mkdir(parents=True)
    assert project_root(deep, home) == deep
    (tmp_path / "repo" / ".git").mkdir()
    assert project_root(deep, home) == tmp_path / "repo"
    (inner / "pyproject.toml").write_text("[tool.ruff]\n")
    assert project_root(deep, home) == tmp_path / "repo"
    (inner / "pyproject.toml").write_text("[tool.odavl]\n")
    assert project_root(deep, home) == inner
    (inner / "src" / ".odavl").mkdir()
    assert project_root(deep, home) == inner / "src"
    assert project_root(deep / "absent.py", home) == inner / "src"


def test_the_persons_own_folder_is_no_project(tmp_path: Path) -> None:
    (tmp_path / ".odavl").mkdir()
    below = tmp_path / "code"
    below.mkdir()
    assert project_root(below, tmp_path / ".odavl") == below


def test_home_is_where_the_variable_says(tmp_path: Path) -> None:
    assert home_folder({"ODAVL_HOME": str(tmp_path)}) == tmp_path
    assert home_folder({"ODAVL_HOME": ""}).name == ".odavl"
    assert home_folder({"ODAVL_HOME": "~/mine"}) == (Path.home() / "mine").resolve()


@pytest.mark.parametrize("chosen", [".odavl", "./home", "../home"])
def test_no_repository_brings_the_home(chosen: str) -> None:
    with pytest.raises(UsageError, match="leads elsewhere in every folder"):
        home_folder({"ODAVL_HOME": chosen})


def test_a_link_is_written_read_and_removed(tmp_path: Path) -> None:
    assert read_link(tmp_path) is None
    assert not remove_link(tmp_path)
    assert write_link(tmp_path, LINK) == tmp_path / ".odavl" / "project.json"
    assert read_link(tmp_path) == LINK
    assert remove_link(tmp_path)
    assert read_link(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"hub": 1}', b"[" * 10_000])
def test_a_damaged_link_is_told(tmp_path: Path, content: bytes) -> None:
    path = write_link(tmp_path, LINK)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"project\.json"):
        read_link(tmp_path)
