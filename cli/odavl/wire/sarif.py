"""The part of SARIF 2.1.0 (OASIS standard) that Insight reads, and writes.

Unknown properties are ignored, as the standard asks of a consumer; every property here is optional
where the standard's schema makes it so. Section numbers are those of the standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from odavl.wire import limits
from odavl.wire.encoding import as_utf8, decode_json, decode_part

Level = Literal["none", "note", "warning", "error"]
Index = Annotated[int, Meta(ge=-1)]
Position = Annotated[int, Meta(ge=0, le=limits.MAX_LINE_NUMBER)]


class _Part(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    pass


class Message(_Part):
    """§3.11: a text, or the id of one in the rule's ``messageStrings`` with its arguments."""

    text: str | None = None
    markdown: str | None = None
    id: str | None = None
    arguments: list[str] = msgspec.field(default_factory=list)


class ArtifactLocation(_Part):
    """§3.4."""

    uri: str | None = None
    uri_base_id: str | None = None
    index: Index = -1


class ArtifactContent(_Part):
    """§3.3."""

    text: str | None = None


class Region(_Part):
    """§3.30; lines and columns are 1-based, offsets 0-based (-1 where there is none)."""

    start_line: Position | None = None
    start_column: Position | None = None
    end_line: Position | None = None
    end_column: Position | None = None
    char_offset: Index = -1
    char_length: Index = -1
    byte_offset: Index = -1
    byte_length: Index = -1
    snippet: ArtifactContent | None = None


class PhysicalLocation(_Part):
    """§3.29."""

    artifact_location: ArtifactLocation = msgspec.field(default_factory=ArtifactLocation)
    region: Region | None = None
    context_region: Region | None = None


class LogicalLocation(_Part):
    """§3.33; in a location it may be only the number of one that the run lists."""

    name: str | None = None
    fully_qualified_name: str | None = None
    decorated_name: str | None = None
    kind: str | None = None
    index: Index = -1
    parent_index: Index = -1


class Location(_Part):
    """§3.28."""

    physical_location: PhysicalLocation | None = None
    logical_locations: list[LogicalLocation] = msgspec.field(default_factory=list)


class Suppression(_Part):
    """§3.35; one whose status is ``rejected`` or ``underReview`` suppresses nothing."""

    kind: str = ""
    status: str = "accepted"
    justification: str = ""


class Replacement(_Part):
    """§3.57."""

    deleted_region: Region = msgspec.field(default_factory=Region)
    inserted_content: ArtifactContent | None = None


class ArtifactChange(_Part):
    """§3.56."""

    artifact_location: ArtifactLocation = msgspec.field(default_factory=ArtifactLocation)
    replacements: list[Replacement] = msgspec.field(default_factory=list)


class Fix(_Part):
    """§3.55."""

    description: Message | None = None
    artifact_changes: list[ArtifactChange] = msgspec.field(default_factory=list)


class RuleReference(_Part):
    """§3.52, reportingDescriptorReference."""

    id: str | None = None
    index: Index = -1
    guid: str | None = None
    tool_component: ToolComponentReference | None = None


class ToolComponentReference(_Part):
    """§3.54."""

    name: str | None = None
    index: Index = -1
    guid: str | None = None


class ResultProvenance(_Part):
    """§3.48."""

    invocation_index: Index = -1


class Result(_Part):
    """§3.27."""

    message: Message = msgspec.field(default_factory=Message)
    rule_id: str | None = None
    rule_index: Index = -1
    rule: RuleReference | None = None
    level: Level | None = None
    kind: str = "fail"
    baseline_state: str | None = None
    locations: list[Location] = msgspec.field(default_factory=list)
    analysis_target: ArtifactLocation | None = None
    occurrence_count: Annotated[int, Meta(ge=0)] | None = None
    provenance: ResultProvenance | None = None
    suppressions: list[Suppression] = msgspec.field(default_factory=list)
    fixes: list[Fix] = msgspec.field(default_factory=list)
    fingerprints: dict[str, str] = msgspec.field(default_factory=dict)
    partial_fingerprints: dict[str, str] = msgspec.field(default_factory=dict)
    properties: dict[str, object] = msgspec.field(default_factory=dict)


class Configuration(_Part):
    """§3.50."""

    level: Level | None = None


class MessageString(_Part):
    """§3.12."""

    text: str = ""


class RuleDescriptor(_Part):
    """§3.49, reportingDescriptor."""

    id: str = ""
    guid: str | None = None
    name: str | None = None
    help_uri: str | None = None
    short_description: MessageString | None = None
    full_description: MessageString | None = None
    help: MessageString | None = None
    message_strings: dict[str, MessageString] = msgspec.field(default_factory=dict)
    default_configuration: Configuration | None = None
    properties: dict[str, object] = msgspec.field(default_factory=dict)


class ToolComponent(_Part):
    """§3.19."""

    name: str = ""
    guid: str | None = None
    version: str | None = None
    semantic_version: str | None = None
    global_message_strings: dict[str, MessageString] = msgspec.field(default_factory=dict)
    rules: list[RuleDescriptor] = msgspec.field(default_factory=list)


class SarifTool(_Part):
    """§3.18."""

    driver: ToolComponent = msgspec.field(default_factory=ToolComponent)
    extensions: list[ToolComponent] = msgspec.field(default_factory=list)


class Artifact(_Part):
    """§3.24; one with a parent lies inside of it, such as a file in an archive."""

    location: ArtifactLocation | None = None
    parent_index: Index = -1
    contents: ArtifactContent | None = None


class ConfigurationOverride(_Part):
    """§3.51."""

    descriptor: RuleReference = msgspec.field(default_factory=RuleReference)
    configuration: Configuration = msgspec.field(default_factory=Configuration)


class Notification(_Part):
    """§3.58: what the tool has to say of its own work."""

    message: Message = msgspec.field(default_factory=Message)
    level: str = "warning"
    locations: list[Location] = msgspec.field(default_factory=list)
    descriptor: RuleReference | None = None


class Invocation(_Part):
    """§3.20."""

    execution_successful: bool = True
    rule_configuration_overrides: list[ConfigurationOverride] = msgspec.field(default_factory=list)
    tool_execution_notifications: list[Notification] = msgspec.field(default_factory=list)
    start_time_utc: str | None = None
    end_time_utc: str | None = None


class VersionControlDetails(_Part):
    """§3.23."""

    repository_uri: str | None = None
    revision_id: str | None = None
    branch: str | None = None
    mapped_to: ArtifactLocation | None = None


class AutomationDetails(_Part):
    """§3.17; ``id`` is a path whose last step names the run, the others its category."""

    id: str | None = None
    guid: str | None = None


class ExternalFile(_Part):
    """§3.15: where a part of a run lies, in a file of its own or at the end of the log."""

    location: ArtifactLocation | None = None
    guid: str | None = None


class ExternalFiles(_Part):
    """§3.14.2, as far as they hold what is read here."""

    artifacts: list[ExternalFile] = msgspec.field(default_factory=list)
    driver: ExternalFile | None = None
    extensions: list[ExternalFile] = msgspec.field(default_factory=list)
    invocations: list[ExternalFile] = msgspec.field(default_factory=list)
    logical_locations: list[ExternalFile] = msgspec.field(default_factory=list)
    results: list[ExternalFile] = msgspec.field(default_factory=list)


class ExternalProperties(_Part):
    """§4.2 and §4.3: the content of such a file."""

    guid: str | None = None
    run_guid: str | None = None
    artifacts: list[Artifact] = msgspec.field(default_factory=list)
    driver: ToolComponent | None = None
    extensions: list[ToolComponent] = msgspec.field(default_factory=list)
    invocations: list[Invocation] = msgspec.field(default_factory=list)
    logical_locations: list[LogicalLocation] = msgspec.field(default_factory=list)
    results: list[msgspec.Raw] = msgspec.field(default_factory=list)


class SarifRun(_Part):
    """§3.14; ``results`` None means that no scan took place.

    Results are left as they came: a log may hold a hundred thousand, and who reads them needs one
    at a time. See :func:`results_of`.
    """

    tool: SarifTool = msgspec.field(default_factory=SarifTool)
    results: list[msgspec.Raw] | None = None
    artifacts: list[Artifact] = msgspec.field(default_factory=list)
    invocations: list[Invocation] = msgspec.field(default_factory=list)
    automation_details: AutomationDetails | None = None
    external_property_file_references: ExternalFiles | None = None
    logical_locations: list[LogicalLocation] = msgspec.field(default_factory=list)
    original_uri_base_ids: dict[str, ArtifactLocation] = msgspec.field(default_factory=dict)
    version_control_provenance: list[VersionControlDetails] = msgspec.field(default_factory=list)


class SarifLog(_Part):
    """§3.13."""

    version: Literal["2.1.0"]
    runs: list[SarifRun]
    inline_external_properties: list[ExternalProperties] = msgspec.field(default_factory=list)


SARIF_DECODER = msgspec.json.Decoder(SarifLog)
EXTERNAL_DECODER = msgspec.json.Decoder(ExternalProperties)
_RESULT = msgspec.json.Decoder(Result)


def decode_sarif(body: bytes) -> SarifLog:
    """A log in any of the encodings that tools write.

    Raises :class:`~odavl.wire.errors.RefusedError` for what is none.
    """
    return decode_json(as_utf8(body), SARIF_DECODER)


def results_of(run: SarifRun, pointer: str = "") -> Iterator[Result]:
    """The run's results, each decoded when its turn comes; ``pointer`` is where the run stands.

    Raises :class:`~odavl.wire.errors.RefusedError` for one that does not fit.
    """
    for place, raw in enumerate(run.results or ()):
        yield decode_part(raw, _RESULT, f"{pointer}/results/{place}")
