"""What is sent to a hub, whichever way it travels."""

from __future__ import annotations

from dataclasses import dataclass

from odavl.hub.payload import Payload
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
