"""Which rule a SARIF result is of, and what that rule says: level, text, address.

Section numbers are those of the OASIS standard. A rule is referred to by its component (§3.54: by
index, ``guid`` or name; the driver where none is named) and there by index, ``guid`` or id (§3.52).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from odavl.wire import limits
from odavl.wire.encoding import visible
from odavl.wire.sarif import (
    Message,
    Result,
    RuleDescriptor,
    RuleReference,
    SarifRun,
    ToolComponentReference,
)

LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\]\\])+)\]\((?:\d+|sarif:[^)]*|\{\d+\})\)")
"""§3.11.6: a link to another place of the log, of which only its text is left."""

_PLACEHOLDER = re.compile(r"\{(\d+)\}|\{\{|\}\}")
NO_RULE = RuleDescriptor()


class RunRules:
    """The rules of one run. What is looked up for one result is remembered for the others."""

    def __init__(self, run: SarifRun) -> None:
        self._components = (run.tool.driver, *run.tool.extensions)
        self._by_id = [_by_id(component.rules) for component in self._components]
        self._anywhere = _by_id(rule for each in self._components for rule in each.rules)
        self._messages = {
            name: text
            for component in reversed(self._components)
            for name, text in component.global_message_strings.items()
        }
        self._levels = [
            [
                (self._rule_at(each.descriptor, None, -1), each.configuration.level)
                for each in invocation.rule_configuration_overrides
            ]
            for invocation in run.invocations
        ]

    def rule_of(self, result: Result) -> RuleDescriptor:
        """The rule that the result names, or one that says nothing."""
        if result.rule is None and result.rule_index < 0:
            return self._named(result.rule_id or "", 0)
        return self._rule_at(result.rule or _NO_REFERENCE, result.rule_id, result.rule_index)

    def level_of(self, result: Result, rule: RuleDescriptor) -> str:
        """§3.27.10: its own, that of its invocation's override, the rule's own, ``warning``.

        Any other kind than ``fail`` must say ``none``, which then says nothing of how bad it is.
        """
        if result.level is not None and not (result.level == "none" and result.kind != "fail"):
            return result.level
        invocation = result.provenance.invocation_index if result.provenance else -1
        if 0 <= invocation < len(self._levels):
            for overridden, level in self._levels[invocation]:
                if overridden is rule and rule is not NO_RULE and level is not None:
                    return level
        default = rule.default_configuration.level if rule.default_configuration else None
        return default or "warning"

    def text_of(self, message: Message, rule: RuleDescriptor) -> str:
        """§3.11: the text, or that of its id (the rule's, the component's), arguments put in."""
        text = message.text
        if text is None and message.id is not None:
            named = rule.message_strings.get(message.id) or self._messages.get(message.id)
            text = named.text if named else None
        text = text or message.markdown or ""
        if "](" in text:
            text = LINK.sub(r"\1", text)
        if message.arguments:
            text = _PLACEHOLDER.sub(lambda match: _filled(match, message.arguments), text)
        return visible(text.strip())[: limits.MAX_MESSAGE_LENGTH]

    def _rule_at(self, reference: RuleReference, rule_id: str | None, index: int) -> RuleDescriptor:
        """By index where its id agrees, else by ``guid``, else by id, here and then elsewhere."""
        place = self._component_at(reference.tool_component)
        if place is None:
            return NO_RULE
        rules = self._components[place].rules
        rule_id = rule_id or reference.id
        index = reference.index if reference.index >= 0 else index
        if 0 <= index < len(rules) and _is_of(rules[index], rule_id):
            return rules[index]
        if reference.guid is not None:
            for rule in rules:
                if _same_guid(rule.guid, reference.guid):
                    return rule
        return self._named(rule_id or "", place)

    def _component_at(self, reference: ToolComponentReference | None) -> int | None:
        """Its place in the list, the driver's is 0; None for one that is not there."""
        if reference is None:
            return 0
        if reference.index >= 0:
            place = reference.index + 1
            return place if place < len(self._components) else None
        for place, component in enumerate(self._components):
            if reference.guid is not None:
                if _same_guid(component.guid, reference.guid):
                    return place
            elif reference.name is not None and component.name == reference.name:
                return place
        return 0 if reference.guid is None and reference.name is None else None

    def _named(self, rule_id: str, place: int) -> RuleDescriptor:
        """§3.27.5: the rule of ``CA1000/2`` may be described as ``CA1000``.

        What its own component does not know may be another's: some tools name no component.
        """
        for rules in (self._by_id[place], self._anywhere):
            name = rule_id
            while name:
                rule = rules.get(name)
                if rule is not None:
                    return rule
                name = name.rpartition("/")[0]
        return NO_RULE


_NO_REFERENCE = RuleReference()


def _by_id(rules: Iterable[RuleDescriptor]) -> dict[str, RuleDescriptor]:
    found: dict[str, RuleDescriptor] = {}
    for rule in rules:
        found.setdefault(rule.id, rule)
    return found


def _is_of(rule: RuleDescriptor, rule_id: str | None) -> bool:
    return rule_id is None or rule_id == rule.id or rule_id.startswith(f"{rule.id}/")


def _same_guid(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()


def _filled(match: re.Match[str], arguments: list[str]) -> str:
    """§3.11.5: ``{0}`` is the first argument, ``{{`` a brace."""
    if match[1] is None:
        return match[0][0]
    index = int(match[1]) if len(match[1]) <= len(str(len(arguments))) else len(arguments)
    return arguments[index] if index < len(arguments) else match[0]


def described(rule: RuleDescriptor, code: str) -> str:
    """What the rule says of itself, for a result that has no message."""
    for text in (rule.short_description, rule.full_description):
        if text is not None and text.text:
            return visible(text.text.strip())[: limits.MAX_MESSAGE_LENGTH]
    return (rule.name or code or "(no message)")[: limits.MAX_MESSAGE_LENGTH]
