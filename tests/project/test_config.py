from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.hub.workspace.settings import TRAVELLING
from odavl.project.config import (
    KEYS,
    SETTINGS,
    Settings,
    checked_table,
    load_settings,
    normalize_address,
)
from odavl.project.link import ProjectLink, read_link, write_link
from odavl.project.own_files import LARGEST
from odavl.wire.errors import UsageError

LINK = ProjectLink(hub="http://hub", projectId="p", projectName="Shop", organizationId="o")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / ".odavl").mkdir(parents=True)
    return folder


def load(root: Path, home: Path, **environ: str) -> Settings:
    return load_settings(root, home, environ=environ)


def test_nothing_set_gives_the_defaults(root: Path, home: Path) -> None:
    assert load(root, home) == Settings(sources={})


def test_closer_wins(root: Path, home: Path) -> None:
    """Flags over environment over the project's file over the person's."""
    home.mkdir()
    (home / "config.toml").write_text(
        'cloud_api = "http://home"\nproject_id = "home"\norganization_id = "home"\n'
        'project = "home"\nauto_upload = true\n'
    )
    (root / ".odavl" / "config.toml").write_text(
        'cloud_api = "http://file"\nproject_id = "file"\norganization_id = "file"\n'
    )
    environ = {"ODAVL_CLOUD_API": "http://env", "ODAVL_ORGANIZATION_ID": "env"}
    found = load_settings(root, home, flags={"cloud_api": "http://flag"}, environ=environ)
    assert (found.cloud_api, found.organization_id, found.project_id, found.project) == (
        "http://flag", "env", "file", "home",
    )  # fmt: skip
    assert found.auto_upload
    assert found.sources == {
        "cloud_api": "the command line",
        "organization_id": "ODAVL_ORGANIZATION_ID",
        "project_id": str(root / ".odavl" / "config.toml"),
        "project": str(home / "config.toml"),
        "auto_upload": str(home / "config.toml"),
    }


def test_pyproject_holds_settings_too(root: Path, home: Path) -> None:
    (root / "pyproject.toml").write_text('[tool.odavl]\ndetectors = ["ruff"]\nfail_on = "high"\n')
    found = load(root, home)
    assert (found.detectors, found.fail_on) == (("ruff",), "high")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("colour = 1", "colour is not a setting"),
        ('auto_upload = "yes"', "auto_upload must be true or false, not a text"),
        ("project_id = 7", "project_id must be a text, not 7"),
        ('detectors = "ruff"', "detectors must be a list of texts, not a text"),
        ("exclude = [1]", "exclude must be a list of texts"),
        ('fail_on = "awful"', "fail_on must be one of critical, high"),
        ('cloud_api = "ftp://hub"', "cloud_api must be an address"),
        ('cloud_api = "https://me:secret@hub"', "cloud_api must hold no credentials"),
        ('organization_id = "two words"', "organization_id holds characters"),
        ('cloud_api = "https://hub.example.com/a b"', "cloud_api has a path that no hub has"),
        ('cloud_api = "https://hub.example.com/../x"', "cloud_api has a path that no hub has"),
        ('cloud_api = "https://a\\\\b.example.com"', "cloud_api names no host"),
        ('project = ""', "project must be a text"),
        ('project = "a\\u001bb"', "project must be a text that can be printed"),
        ("= 3", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(
    root: Path, home: Path, content: str, told: str
) -> None:
    path = root / ".odavl" / "config.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        load(root, home)
    assert str(path) in caught.value.detail
    assert told in caught.value.detail


def test_a_wrong_variable_is_named(root: Path, home: Path) -> None:
    with pytest.raises(UsageError, match="ODAVL_CLOUD_API: cloud_api must be an address"):
        load(root, home, ODAVL_CLOUD_API="hub")


VALUES: dict[str, Any] = {
    "cloud_api": "https://hub.example.com",
    "api_key": "odavl_live_secret",
    "organization_id": "o-1",
    "project_id": "p-1",
    "project": "shop",
    "auto_upload": True,
    "fail_on": "high",
    "detectors": ["ruff"],
    "exclude": ["generated/"],
    "timeout": 7,
    "detector_timeout": 60,
}


def test_every_setting_is_in_the_table() -> None:
    about = {"sources", "places", "own_cloud_api"}
    assert [each.name for each in fields(Settings) if each.name not in about] == list(SETTINGS)
    assert SETTINGS.keys() == VALUES.keys()


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("place", [".odavl/config.toml", "pyproject.toml", "home"])
def test_a_project_sets_what_it_may(root: Path, home: Path, key: str, place: str) -> None:
    line = f"{key} = {json.dumps(VALUES[key])}\n"
    home.mkdir()
    path = home / "config.toml" if place == "home" else root / place
    path.write_text(f"[tool.odavl]\n{line}" if place == "pyproject.toml" else line)
    if place != "home" and SETTINGS[key].in_project == "no":
        with pytest.raises(UsageError, match=f"{key} does not belong in a project's file") as told:
            load(root, home)
        assert str(VALUES[key]) not in told.value.detail + told.value.hint
        return
    found = load(root, home)
    value = getattr(found, key)
    assert value == (tuple(VALUES[key]) if isinstance(value, tuple) else VALUES[key])
    assert found.places == {key: "home" if place == "home" else "project"}
    assert found.own_cloud_api == (VALUES[key] if (key, place) == ("cloud_api", "home") else None)


def test_documents_say_of_each_setting_whether_a_project_may_set_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([a-z ]+?) \|", text, re.MULTILINE))
    assert rows == {key: each.in_project for key, each in SETTINGS.items()}


def test_what_travels_between_machines_is_what_a_project_may_set() -> None:
    assert {SETTINGS[key].in_project for key in TRAVELLING} == {"yes"}


@pytest.mark.parametrize("name", [".odavl/config.toml", "pyproject.toml", ".odavl/project.json"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "endless", "large"])
def test_no_file_of_a_project_is_waited_for_or_read_without_end(
    root: Path, home: Path, name: str, kind: str
) -> None:
    path = root / name
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"#" * (LARGEST + 1))
    read = read_link if name.endswith(".json") else lambda root: load(root, home)
    if name == "pyproject.toml" and kind != "large":
        # Other tools' file, too: where it is none, that is for them to say.
        assert load(root, home).places == {}
        return
    with pytest.raises(UsageError, match=re.escape(path.name)):
        read(root)


def test_links_out_of_the_project_are_not_followed(root: Path, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text('fail_on = "high"\n')
    (root / ".odavl" / "config.toml").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a link"):
        load(root, home)
    (root / ".odavl" / "config.toml").unlink()
    (root / ".odavl").rename(tmp_path / "moved")
    (root / ".odavl").symlink_to(tmp_path / "moved")
    for act in (lambda: load(root, home), lambda: write_link(root, LINK)):
        with pytest.raises(UsageError, match="is not a folder"):
            act()
    assert list((tmp_path / "moved").iterdir()) == []


def test_two_places_for_one_project_are_refused(root: Path, home: Path) -> None:
    (root / ".odavl" / "config.toml").write_text("")
    (root / "pyproject.toml").write_text("[tool.odavl]\n")
    with pytest.raises(UsageError, match="Both"):
        load(root, home)


def test_the_key_is_not_shown(root: Path, home: Path) -> None:
    found = load(root, home, ODAVL_API_KEY="odavl_live_secret")
    assert found.api_key == "odavl_live_secret"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://Hub.Example.com/", "https://hub.example.com"),
        ("https://hub.example.com:443", "https://hub.example.com"),
        ("http://localhost:8000/api/v1/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://example.com/odavl/", "https://example.com/odavl"),
        ("https://hub.example.com./", "https://hub.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_equal_hubs_compare_equal(written: str, meant: str) -> None:
    assert normalize_address(written, "test") == meant
    assert normalize_address(meant, "test") == meant


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), values, max_size=4))
def test_any_table_is_taken_in_its_types_or_refused(table: dict[str, object]) -> None:
    try:
        checked = checked_table(table, "config.toml")
    except UsageError as refusal:
        told = refusal.detail
    else:
        told = "config.toml: "
        made = Settings(**checked)
        assert isinstance(made.auto_upload, bool)
        assert all(isinstance(each, str) for each in made.exclude)
    assert told.startswith("config.toml: ")


@given(st.binary(max_size=60))
def test_any_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / ".odavl").mkdir()
    (root / ".odavl" / "config.toml").write_bytes(content)
    try:
        load(root, root / "home")
    except UsageError:
        return
    assert set(tomllib.loads(content.decode())) <= set(KEYS)
