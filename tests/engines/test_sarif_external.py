"""Parts of a SARIF run that lie beside the log or at its end."""

import json
from pathlib import Path

import pytest

from odavl.engines.insight.readable import read_regular_file
from odavl.engines.insight.sarif_import import Imported, Source, read_sarif
from odavl.wire.sarif import SARIF_DECODER
from tests.engines.documents import everything, report
from tests.engines.sarif_logs import result

GUID = "aaaaaaaa-1111-4222-8333-444455556666"
RUN = "bbbbbbbb-1111-4222-8333-444455556666"


def run(**references) -> dict:
    return {
        "tool": {"driver": {"name": "Tool"}},
        "automationDetails": {"guid": RUN},
        "externalPropertyFileReferences": references,
    }


def imported(folder: Path | None, one: dict, *inline: dict) -> Imported:
    log = {"version": "2.1.0", "runs": [one], "inlineExternalProperties": list(inline)}
    decoded = SARIF_DECODER.decode(json.dumps(log))
    return read_sarif([Source(decoded, "", folder, read_regular_file)], root=None)


def put(file: Path, **parts) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": "2.1.0", **parts}))


def at(uri: str, **fields) -> dict:
    return {"location": {"uri": uri}, **fields}


def test_every_part_that_is_read_may_lie_beside_the_log(tmp_path):
    one = {"message": {"text": "m"}, "ruleId": "R", "level": None}
    del one["level"]
    one["provenance"] = {"invocationIndex": 0}
    one["locations"] = [{"physicalLocation": {"artifactLocation": {"index": 0}}}]
    packed = {"ruleId": "P", "rule": {"id": "P", "toolComponent": {"name": "pack"}}}
    packed |= {"message": {"text": "p"}, "locations": [{"logicalLocations": [{"index": 0}]}]}
    put(tmp_path / "parts" / "results.json", results=[one, packed])
    put(tmp_path / "artifacts.json", artifacts=[{"location": {"uri": "src/a.py"}}])
    put(tmp_path / "driver.json", driver={"name": "Other", "rules": [{"id": "R"}]})
    rule = {"id": "P", "defaultConfiguration": {"level": "error"}}
    put(tmp_path / "pack.json", extensions=[{"name": "pack", "rules": [rule]}])
    override = {"descriptor": {"id": "R"}, "configuration": {"level": "note"}}
    invocation = {"executionSuccessful": True, "ruleConfigurationOverrides": [override]}
    put(tmp_path / "invocations.json", invocations=[invocation])
    put(tmp_path / "logical.json", logicalLocations=[{"fullyQualifiedName": "shop.Cart"}])
    found = imported(
        tmp_path,
        run(
            results=[at("parts/results.json")],
            artifacts=[at("artifacts.json")],
            driver=at("driver.json"),
            extensions=[at("pack.json")],
            invocations=[at("invocations.json")],
            logicalLocations=[at("logical.json")],
        ),
    )
    assert found.left_out.files == []
    first, second = everything(found.results)
    assert (first.source, first.severity) == ("other", "low")
    assert (second.code, second.severity) == ("P", "high")
    assert list(found.results.diagnostics) == ["src/a.py", "(logical) shop.Cart"]


def test_results_of_several_files_follow_those_of_the_log(tmp_path):
    put(tmp_path / "one.json", results=[result(uri="b.py")])
    put(tmp_path / "two.json", results=[result(uri="c.py")])
    whole = {**run(results=[at("one.json"), at("two.json")]), "results": [result()]}
    assert list(imported(tmp_path, whole).results.diagnostics) == ["a.py", "b.py", "c.py"]


def test_what_stands_at_the_end_of_the_log_is_found_by_its_guid():
    inline = {"guid": GUID.upper(), "results": [result()]}
    found = imported(None, run(results=[{"guid": GUID}]), inline)
    assert found.results.finding_count == 1
    assert report(found.results, "tool").status == "ran"


def test_below_a_base(tmp_path):
    put(tmp_path / "parts" / "a.json", results=[result()])
    one = run(results=[{"location": {"uri": "a.json", "uriBaseId": "PARTS"}}])
    one["originalUriBaseIds"] = {"PARTS": {"uri": f"{(tmp_path / 'parts').as_uri()}/"}}
    assert imported(tmp_path, one).results.finding_count == 1


@pytest.mark.parametrize(
    "reference",
    [
        at("gone.json"),
        at("broken.json"),
        at("../outside.json"),
        at("file:///etc/hostname"),
        at("https://example.com/parts.json"),
        at("link.json"),
        at("right.json", guid=GUID),
        at("of-another-run.json"),
        {"guid": GUID},
        {},
    ],
)
def test_what_cannot_be_had_is_told_and_the_run_speaks_for_nothing(tmp_path, reference):
    folder = tmp_path / "log"
    put(tmp_path / "outside.json", results=[result()])
    put(folder / "right.json", guid=RUN, results=[result()])
    put(folder / "of-another-run.json", runGuid=GUID, results=[result()])
    (folder / "broken.json").write_text("{")
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    found = imported(folder, run(results=[reference]))
    assert found.results.finding_count == 0
    assert len(found.left_out.files) == 1
    told = report(found.results, "tool")
    assert told.status == "failed"
    assert told.detail.startswith("Its results lie in another file: ")


def test_a_lost_list_of_files_is_told_and_the_results_still_count(tmp_path):
    whole = {**run(artifacts=[at("gone.json")]), "results": [result()]}
    found = imported(tmp_path, whole)
    assert found.left_out.files == ["gone.json"]
    assert report(found.results, "tool").status == "ran"


def test_nobody_reads_beside_a_log_that_lies_nowhere(tmp_path, monkeypatch):
    put(tmp_path / "a.json", results=[result()])
    monkeypatch.chdir(tmp_path)
    assert imported(None, run(results=[at("a.json")])).left_out.files == ["a.json"]
