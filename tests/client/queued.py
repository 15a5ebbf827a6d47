"""Uploads in a queue, made without the command that would have queued them."""

from __future__ import annotations

import io
from pathlib import Path

from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue
from odavl.wire.encoding import sha256_hex


def enqueue(home: Path, address: str, body: bytes = b"payload", **changes: object) -> QueuedUpload:
    """Queue ``body`` for the hub at ``address``; ``changes`` are fields of the item."""
    queue = UploadQueue(home)
    number = len(queue.content().items)
    item = QueuedUpload(
        id=new_item_id(),
        product="insight",
        type="analysis-results",
        filePath=f"/p/{number}.json",
        metadata={"projectName": "shop"},
        hub=address,
        idempotencyKey=f"key-{number}",
        encoding="identity",
        size=len(body),
        bodySize=len(body),
        sha256=sha256_hex(body),
        createdAt=timestamp(),
    )
    return queue.add(item._replace(**changes), io.BytesIO(body))
