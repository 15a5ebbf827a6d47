"""Which rule a SARIF result is of, and what that rule says."""

import pytest

from odavl.wire.analysis import Diagnostic
from tests.engines.documents import everything
from tests.engines.sarif_logs import only, read, result, run


class TestRules:
    RULES = (
        {
            "id": "A1",
            "helpUri": "https://example.com/A1",
            "defaultConfiguration": {"level": "note"},
        },
        {
            "id": "B2",
            "shortDescription": {"text": "Short"},
            "messageStrings": {"default": {"text": "{0} is {1}, {{really}} {7}"}},
            "properties": {"security-severity": "9.1"},
        },
    )

    def one(self, **fields) -> Diagnostic:
        return only(read(run(result(**fields), rules=self.RULES)))

    def test_by_id(self):
        found = self.one(ruleId="A1")
        assert (found.code, found.severity, found.url) == ("A1", "low", "https://example.com/A1")

    def test_by_index(self):
        assert self.one(ruleIndex=0).code == "A1"
        assert self.one(rule={"index": 1}).severity == "critical"

    def test_an_index_that_disagrees_with_the_id_does_not_count(self):
        found = self.one(ruleId="A1", ruleIndex=1)
        assert (found.code, found.severity) == ("A1", "low")

    def test_a_part_of_a_rule(self):
        found = self.one(ruleId="A1/sub/part")
        assert (found.code, found.severity) == ("A1/sub/part", "low")

    def test_an_index_beyond_the_rules(self):
        assert self.one(ruleIndex=99).code == ""
        assert self.one(rule={"index": 0, "toolComponent": {"index": 5}}).code == ""

    def test_of_an_extension(self):
        one = run(result(rule={"index": 0, "toolComponent": {"index": 0}}, ruleIndex=1))
        one["tool"]["driver"]["rules"] = list(self.RULES)
        one["tool"]["extensions"] = [{"name": "pack", "rules": [{"id": "X9"}]}]
        assert only(read(one)).code == "X9"

    def test_the_results_own_level_counts_before_the_rules(self):
        assert self.one(ruleId="A1", level="error").severity == "high"

    def test_without_any_level_it_is_a_warning(self):
        assert self.one(ruleId="Z").severity == "medium"

    @pytest.mark.parametrize("value", ["high", "", [], None, True])
    def test_a_score_that_is_none_does_not_count(self, value):
        rules = [{"id": "S", "properties": {"security-severity": value}}]
        found = only(read(run(result(ruleId="S", level="error"), rules=rules)))
        assert found.severity == "high"

    def test_a_message_by_id_with_arguments(self):
        message = {"id": "default", "arguments": ["x", "bad"]}
        found = self.one(ruleId="B2", message=message)
        assert found.message == "x is bad, {really} {7}"

    def test_without_a_message_the_rules_description(self):
        assert self.one(ruleId="B2", message={}).message == "Short"
        assert self.one(ruleId="A1", message={}).message == "A1"
        assert self.one(message={"id": "none"}).message == "(no message)"

    def test_braces_without_arguments_stay(self):
        assert self.one(text="use {0} and {{}}").message == "use {0} and {{}}"

    def test_links_to_other_places_of_the_log_are_only_their_text(self):
        found = self.one(text="See [this](1), [that](https://example.com) and [x](sarif:/runs/0).")
        assert found.message == "See this, [that](https://example.com) and x."


GUID = "0A0B0C0D-1111-4222-8333-444455556666"
DRIVER = [
    {"id": "OWN", "guid": GUID.replace("0A", "1A"), "defaultConfiguration": {"level": "note"}},
    {"id": "SAME", "helpUri": "https://example.com/own"},
]
PACK = [
    {"id": "PACKED", "guid": GUID.replace("0A", "2A"), "defaultConfiguration": {"level": "error"}},
    {"id": "SAME", "helpUri": "https://example.com/pack"},
]


class TestRulesOfComponents:
    def one(self, **fields) -> Diagnostic:
        one = run(result(**fields), rules=DRIVER, invocations=self.invocations())
        one["tool"]["driver"]["guid"] = GUID.replace("0A", "3A")
        one["tool"]["driver"]["globalMessageStrings"] = {"shared": {"text": "all say {0}"}}
        one["tool"]["extensions"] = [
            {"name": "other", "rules": [{"id": "OTHER"}]},
            {"name": "pack", "guid": GUID, "rules": PACK},
        ]
        return only(read(one))

    def invocations(self) -> list[dict]:
        def override(level: str | None, **descriptor) -> dict:
            configuration = {} if level is None else {"level": level}
            return {"descriptor": descriptor, "configuration": configuration}

        pack = {"name": "pack"}
        return [
            {"executionSuccessful": True},
            {
                "executionSuccessful": True,
                "ruleConfigurationOverrides": [
                    override("error", id="OWN"),
                    override("note", index=0, toolComponent=pack),
                    override("error", id="UNKNOWN"),
                    override(None, id="SAME"),
                ],
            },
        ]

    @pytest.mark.parametrize(
        "component",
        [{"index": 1}, {"name": "pack"}, {"guid": GUID}, {"guid": GUID.lower()}],
    )
    @pytest.mark.parametrize(
        "rule", [{"index": 0}, {"id": "PACKED"}, {"guid": GUID.replace("0A", "2A")}]
    )
    def test_by_component_and_rule_however_these_are_named(self, component, rule):
        found = self.one(rule={**rule, "toolComponent": component})
        assert (found.code, found.severity) == ("PACKED", "high")

    @pytest.mark.parametrize(
        "component", [None, {}, {"name": "Tool"}, {"guid": GUID.replace("0A", "3A")}]
    )
    def test_of_the_driver_where_no_other_component_is_named(self, component):
        rule = {"index": 0} if component is None else {"index": 0, "toolComponent": component}
        assert self.one(rule=rule).code == "OWN"

    @pytest.mark.parametrize("component", [{"index": 9}, {"name": "none"}, {"guid": "0"}])
    def test_a_component_that_is_not_there_has_no_rules(self, component):
        assert self.one(rule={"index": 0, "toolComponent": component}).code == ""

    def test_one_id_in_two_components_is_two_rules(self):
        own = self.one(ruleId="SAME")
        packed = self.one(ruleId="SAME", rule={"toolComponent": {"name": "pack"}})
        assert (own.url, packed.url) == ("https://example.com/own", "https://example.com/pack")

    def test_an_id_that_only_another_component_knows_is_found_there(self):
        assert self.one(ruleId="PACKED").severity == "high"

    def test_by_guid_where_the_index_says_nothing(self):
        assert self.one(rule={"guid": DRIVER[0]["guid"]}).code == "OWN"
        assert self.one(rule={"guid": "0"}).code == ""

    def test_a_message_of_the_component(self):
        found = self.one(message={"id": "shared", "arguments": ["so"]})
        assert found.message == "all say so"

    @pytest.mark.parametrize(
        ("invocation", "rule", "severity"),
        [
            (1, {"id": "OWN"}, "high"),
            (1, {"index": 0}, "high"),
            (1, {"id": "PACKED", "toolComponent": {"index": 1}}, "low"),
            (1, {"id": "SAME"}, "medium"),
            (0, {"id": "OWN"}, "low"),
            (-1, {"id": "OWN"}, "low"),
            (9, {"id": "OWN"}, "low"),
        ],
    )
    def test_its_own_invocations_override_counts_before_the_rules_level(
        self, invocation, rule, severity
    ):
        provenance = {"invocationIndex": invocation}
        assert self.one(rule=rule, provenance=provenance).severity == severity

    def test_without_an_invocation_no_override_counts(self):
        assert self.one(rule={"id": "OWN"}).severity == "low"

    def test_the_results_own_level_counts_before_every_override(self):
        found = self.one(rule={"id": "OWN"}, provenance={"invocationIndex": 1}, level="warning")
        assert found.severity == "medium"


def test_an_argument_is_no_link_and_a_link_may_be_an_argument():
    message = {"text": "{0} is at [here]({1})", "arguments": ["[a](1)", "3"]}
    (found,) = everything(read(run({**result(), "message": message})))
    assert found.message == "[a](1) is at here"
