"""Where a SARIF location lies."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.sarif_paths import PROJECT_PATH, RunPaths
from odavl.wire.paths import clean_path
from odavl.wire.sarif import ArtifactLocation, Location, SarifRun
from tests.engines.sarif_logs import read, run


class TestPaths:
    def path(self, location: dict, root: str | None = None, **fields) -> str:
        paths = RunPaths(
            msgspec.convert({"tool": {}, **fields}, SarifRun), Path(root) if root else None
        )
        return paths.path_of(msgspec.convert(location, ArtifactLocation))

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("src/a.py", "src/a.py"),
            ("./src//a.py", "src/a.py"),
            ("src/a%20b%C3%BC.py", "src/a bü.py"),
            ("src\\win\\a.py", "src/win/a.py"),
            ("file:///home/alice/shop/src/a.py", "src/a.py"),
            ("file:/home/alice/shop/src/a.py", "src/a.py"),
            ("file://localhost/home/alice/shop/src/a.py", "src/a.py"),
            ("/home/alice/shop/src/a.py", "src/a.py"),
            ("file:///home/alice/shop/src/a.py?x#y", "src/a.py"),
            ("file:///etc/passwd", "etc/passwd"),
            ("../../../etc/passwd", "(parent)/(parent)/(parent)/etc/passwd"),
            ("file:///home/alice/shop/../secret", "home/alice/secret"),
            ("C:\\work\\a.py", "(C:)/work/a.py"),
            ("file:///c:/work/a.py", "(C:)/work/a.py"),
            ("file://server/share/a.py", "server/share/a.py"),
            ("https://example.com/a.py", "example.com/a.py"),
            ("a\0b.py", "a␀b.py"),
            ("", PROJECT_PATH),
            (".", PROJECT_PATH),
        ],
    )
    def test_uris(self, uri, expected):
        assert self.path({"uri": uri}, root="/home/alice/shop") == expected

    def test_a_root_with_a_common_beginning_is_another(self):
        location = {"uri": "file:///home/alice/shopping/a.py"}
        assert self.path(location, root="/home/alice/shop") == "home/alice/shopping/a.py"

    def test_a_base_that_is_not_defined_is_the_root(self):
        assert self.path({"uri": "src/a.py", "uriBaseId": "%SRCROOT%"}) == "src/a.py"

    def test_bases_stand_on_each_other(self):
        bases = {
            "PROJECTROOT": {"uri": "file:///builds/7/shop/"},
            "%SRCROOT%": {"uri": "src/", "uriBaseId": "PROJECTROOT"},
        }
        location = {"uri": "deep/a.py", "uriBaseId": "%SRCROOT%"}
        assert self.path(location, originalUriBaseIds=bases) == "src/deep/a.py"
        assert (
            self.path(location, root="/builds/7/shop", originalUriBaseIds=bases) == "src/deep/a.py"
        )

    def test_bases_in_a_ring_come_to_an_end(self):
        bases = {"A": {"uri": "a/", "uriBaseId": "B"}, "B": {"uri": "b/", "uriBaseId": "A"}}
        path = self.path({"uri": "x.py", "uriBaseId": "A"}, originalUriBaseIds=bases)
        assert path.endswith("/x.py")

    def test_an_absolute_path_below_the_runs_own_root(self):
        bases = {"SRCROOT": {"uri": "file:///builds/7/shop"}}
        location = {"uri": "file:///builds/7/shop/src/a.py"}
        assert self.path(location, originalUriBaseIds=bases) == "src/a.py"

    def test_a_checkout_that_the_run_names(self):
        provenance = [{"repositoryUri": "x", "mappedTo": {"uri": "file:///builds/9/"}}]
        location = {"uri": "file:///builds/9/a.py"}
        assert self.path(location, versionControlProvenance=provenance) == "a.py"

    def test_a_number_in_the_list_of_files(self):
        artifacts = [{"location": {"uri": "a.py"}}, {"location": {"uri": "b.py"}}]
        assert self.path({"index": 1}, artifacts=artifacts) == "b.py"
        assert self.path({"index": 9}, artifacts=artifacts) == PROJECT_PATH

    def test_a_finding_without_a_place_is_about_the_project(self):
        results = read(
            run({"message": {"text": "x"}}, {"message": {"text": "x"}, "locations": [{}]})
        )
        assert list(results.diagnostics) == [PROJECT_PATH]
        assert results.metrics.files_analyzed == 0

    @given(st.text(), st.one_of(st.none(), st.just("/home/alice/shop")))
    def test_no_path_leads_anywhere_else(self, uri, root):
        path = self.path({"uri": uri}, root=root)
        assert path
        assert len(path) <= 1024
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\0" not in path

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("alpine:3.19", "alpine:3.19"),
            ("busybox:1.36/etc/passwd", "busybox:1.36/etc/passwd"),
            ("Dockerfile (web:1.2 (sha256:00))", "Dockerfile (web:1.2 (sha256:00))"),
            ("no file for this", "no file for this"),
            ("urn:uuid:1", "urn:uuid:1"),
            ("a#b/c?d.py", "a#b/c?d.py"),
            ("file:///src/C#/a.cs", "src/C#/a.cs"),
            ("file:///src/a.cs#L3", "src/a.cs"),
            ("caf%E9.py", "caf%E9.py"),
            ("caf%E8.py", "caf%E8.py"),
            ("100%.py", "100%.py"),
            ("file:a/b.py", "a/b.py"),
            ("FILE:///a/b.py", "a/b.py"),
            ("D:/work/a.py", "(D:)/work/a.py"),
            ("d:/work/a.py", "(D:)/work/a.py"),
            ("file:///D:/work/../a.py", "(D:)/a.py"),
            ("/D:/work/a.py", "(D:)/work/a.py"),
            ("https://a:8443/x?id=1", "a:8443/x?id=1"),
            ("https://a:pw@b/x?token=abc&id=1", "b/x?token=***&id=1"),  # pragma: allowlist secret
            ("lib/a.c", "lib/a.c"),
            ("../lib/a.c", "(parent)/lib/a.c"),
            ("x/../../lib/a.c", "(parent)/lib/a.c"),
            ("..", "(parent)"),
            ("x/..", PROJECT_PATH),
        ],
    )
    def test_nothing_of_a_name_is_lost(self, uri, expected):
        assert self.path({"uri": uri}) == expected

    def test_a_name_that_is_too_long_keeps_its_end_and_stays_apart(self):
        one, two = (self.path({"uri": f"{first}/{'x' * 1100}"}) for first in "ab")
        assert one != two
        assert (len(one), one[-9:]) == (1024, "x" * 9)

    @pytest.mark.parametrize("name", ["C:\\work", "file:///c:/work/", "/C:/work"])
    def test_below_a_base_on_a_drive(self, name):
        bases = {"SRCROOT": {"uri": name}}
        location = {"uri": "file:///C:/work/src/a.py"}
        assert self.path(location, originalUriBaseIds=bases) == "src/a.py"

    def test_a_base_without_an_address_is_the_root(self):
        bases = {"REPO": {}, "SRC": {"uri": "packages/api/", "uriBaseId": "REPO"}}
        location = {"uri": "src/a.js", "uriBaseId": "SRC"}
        assert self.path(location, originalUriBaseIds=bases) == "packages/api/src/a.js"

    def test_what_the_checkout_is_mapped_to_counts_before_a_base(self):
        bases = {"SRC": {"uri": "file:///b/w/packages/api/"}}
        provenance = [{"repositoryUri": "x", "mappedTo": {"uri": "file:///b/w/"}}]
        path = self.path(
            {"uri": "a.js", "uriBaseId": "SRC"},
            originalUriBaseIds=bases,
            versionControlProvenance=provenance,
        )
        assert path == "packages/api/a.js"

    def test_a_file_in_an_archive_is_named_from_there(self):
        artifacts = [
            {"location": {"uri": "lib/one.jar"}},
            {"location": {"uri": "/META/a.xml"}, "parentIndex": 0},
            {"location": {"uri": "inner"}, "parentIndex": 1},
        ]
        assert self.path({"index": 1}, artifacts=artifacts) == "lib/one.jar/META/a.xml"
        assert self.path({"index": 2}, artifacts=artifacts) == "lib/one.jar/META/a.xml/inner"

    def test_archives_in_a_ring_come_to_an_end(self):
        ring = [{"location": {"uri": "a"}, "parentIndex": 1}, {"parentIndex": 0}]
        assert self.path({"index": 0}, artifacts=ring).startswith("a/a")

    @given(st.lists(st.text("ab.:%#?/\\ Cé", min_size=1, max_size=12), min_size=1))
    def test_whatever_the_name_the_hub_takes_the_path(self, uris):
        for uri in uris:
            path = self.path({"uri": uri})
            assert clean_path(path, "") == path


class TestLogicalLocations:
    def place(self, location: dict, **fields) -> str:
        paths = RunPaths(msgspec.convert({"tool": {}, **fields}, SarifRun), None)
        return paths.place_of(msgspec.convert(location, Location))[0]

    def test_a_name_of_the_program_stands_for_a_file_that_nobody_names(self):
        where = {"logicalLocations": [{"fullyQualifiedName": "shop.Cart", "name": "Cart"}]}
        assert self.place(where) == "(logical) shop.Cart"
        assert self.place({**where, "physicalLocation": {}}) == "(logical) shop.Cart"

    def test_a_file_counts_before_it(self):
        file = {"artifactLocation": {"uri": "a.py"}}
        where = {"logicalLocations": [{"name": "Cart"}], "physicalLocation": file}
        assert self.place(where) == "a.py"

    def test_by_their_number_in_the_runs_list(self):
        listed = [{"name": "shop"}, {"name": "Cart", "parentIndex": 0}]
        where = {"logicalLocations": [{"index": 1}]}
        assert self.place(where, logicalLocations=listed) == "(logical) shop.Cart"
        listed[1]["fullyQualifiedName"] = "Shop::Cart"
        assert self.place(where, logicalLocations=listed) == "(logical) Shop::Cart"

    def test_in_a_ring_they_come_to_an_end(self):
        ring = [{"name": "a", "parentIndex": 1}, {"name": "b", "parentIndex": 0}]
        where = {"logicalLocations": [{"index": 0}]}
        assert self.place(where, logicalLocations=ring).endswith("b.a")

    def test_one_without_any_name_is_none(self):
        assert self.place({"logicalLocations": [{}, {"decoratedName": "?f@@"}]}) == "(logical) ?f@@"
        assert self.place({"logicalLocations": [{}]}) == PROJECT_PATH
