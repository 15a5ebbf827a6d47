"""What is sent to a hub, whichever way it travels."""

from __future__ import annotations

from dataclasses import dataclass

from odavl.hub.transfer.encoding import Payload
from odavl.wire.envelope import UploadMetadata


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """What is sent. The same ``idempotency_key`` never makes a second run."""

    product: str
    type: str
    payload: Payload
    metadata: UploadMetadata
    idempotency_key: str
    organization_id: str | None = None
    project_id: str | None = None
    """The one project that the sender's key was bound to."""

    def headers(self) -> dict[str, str]:
        """Whose it is. The hub refuses a key of another organization or project.

        So a sign-in to one, after this was queued for the other, cannot carry the payload across.
        """
        named = {"X-Organization-Id": self.organization_id, "X-Project-Id": self.project_id}
        return {name: value for name, value in named.items() if value}
