"""The hub's side of a workspace. What the hub says is held against the same rules as our own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from odavl.hub.transfer.encoding import GZIP
from odavl.hub.transfer.upload import POLICY
from odavl.hub.transport import LARGEST_ERROR, Call, HubClient
from odavl.wire.errors import InvalidPayload, NotTheHub, PayloadTooLarge
from odavl.wire.joinable import is_worth_compressing, joinable_pieces
from odavl.wire.transfer import Chunk
from odavl.wire.workspace import (
    ChunksOffered,
    ChunksWanted,
    NewRevision,
    RevisionSummary,
    WorkspaceFile,
    WorkspaceRevision,
    check_manifest,
)

_BYTES = "application/octet-stream"
_WHOLE = msgspec.json.Decoder(WorkspaceRevision)
_SUMMARY = msgspec.json.Decoder(RevisionSummary)
_WANTED = msgspec.json.Decoder(ChunksWanted)


@dataclass(frozen=True)
class Remote:
    """``project`` is an id or slug. Every call raises what the hub tells, or what hinders it."""

    client: HubClient
    project: str

    def head(self) -> WorkspaceRevision:
        """The newest revision. Raises :class:`NotTheHub` where it names what no hub would take."""
        found = self.client.get(self._path("")).decode(_WHOLE)
        try:
            check_manifest(found.files)
        except (InvalidPayload, PayloadTooLarge) as error:
            raise NotTheHub(
                f"{error.detail} Nothing was taken.",
                hint="Tell whoever runs the hub: such a revision cannot come from a push.",
            ) from error
        return found

    def missing(self, chunks: Iterable[Chunk]) -> list[str]:
        """The names of those that are to be sent; the hub holds the others for us."""
        offered = ChunksOffered(chunks=list(dict.fromkeys(chunks)))
        call = Call(
            method="POST",
            path=self._path("/missing"),
            body=msgspec.json.encode(offered),
            headers={"Content-Type": "application/json"},
        )
        return self.client.send(call).decode(_WANTED).missing

    def put(self, chunk: Chunk, data: bytes) -> int:
        """Send a chunk; the bytes that crossed the wire."""
        body, headers = data, {"Content-Type": _BYTES}
        if is_worth_compressing(data):
            # In the form that the hub keeps: it need not compress the chunk a second time.
            body = b"".join(joinable_pieces((data,)))
            headers = {**headers, "Content-Encoding": GZIP}
        call = Call(method="PUT", path=self._chunk(chunk), body=body, headers=headers)
        self.client.send(call, policy=POLICY)
        return len(body)

    def get(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk, checked. Raises :class:`NotTheHub` for others."""
        call = Call(
            method="GET",
            path=self._chunk(chunk),
            headers={"Accept": _BYTES},
            wants=_BYTES,
            largest=max(chunk.size, LARGEST_ERROR),
        )
        data = self.client.send(call, policy=POLICY).body
        if len(data) != chunk.size or hashlib.sha256(data).hexdigest() != chunk.sha256:
            raise NotTheHub("The hub sent other bytes than it had named. Nothing was taken.")
        return data

    def commit(
        self, base: RevisionSummary, files: Sequence[WorkspaceFile], *, machine: str, key: str
    ) -> RevisionSummary:
        """The new head; ``key`` makes a second try safe.

        Raises :class:`~odavl.wire.errors.Conflict` where ``base`` is not the head any more, and
        :class:`~odavl.wire.errors.ChunksMissing`.
        """
        wanted = NewRevision(base_revision=base.revision, machine=machine, files=list(files))
        answer = self.client.send_json(
            "POST", self._path("/revisions"), wanted, idempotency_key=key
        )
        return answer.decode(_SUMMARY)

    def _chunk(self, chunk: Chunk) -> str:
        return self._path(f"/chunks/{chunk.sha256}")

    def _path(self, step: str) -> str:
        return f"/sync/workspace/{quote(self.project, safe='')}{step}"
