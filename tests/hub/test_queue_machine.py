"""Whatever is done to a queue, by whichever process: what was taken in is there, and whole."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from odavl.hub.queue.items import QueuedUpload, new_item_id, timestamp
from odavl.hub.queue.store import UploadQueue
from odavl.wire.encoding import sha256_hex

VIEWS = st.sampled_from([0, 1])
INDEX_DAMAGE = st.sampled_from([b"", b"\0" * 64, b"{]", b"[]", b'{"version": 1}', b"null", None])


class QueueMachine(RuleBasedStateMachine):
    """Two views of one queue, as two processes have; the model is what should be in it."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="odavl-queue-")) / "home"
        self.views = [UploadQueue(self.home), UploadQueue(self.home)]
        self.model: dict[str, QueuedUpload] = {}
        self.bodies: dict[str, bytes] = {}
        self.damaged: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.home.parent)

    @rule(target=ids, view=VIEWS, body=st.binary(max_size=40))
    def add(self, view: int, body: bytes) -> str:
        item = QueuedUpload(
            id=new_item_id(), product="insight", type="sarif", filePath="/p", metadata={},
            hub="http://hub", idempotencyKey="key", encoding="identity", size=len(body),
            bodySize=len(body), sha256=sha256_hex(body), createdAt=timestamp(),
        )  # fmt: skip
        self.views[view].add(item, io.BytesIO(body))
        self.model[item.id], self.bodies[item.id] = item, body
        return item.id

    @rule(view=VIEWS, item_id=ids, attempts=st.integers(1, 9))
    def send_in_vain(self, view: int, item_id: str, attempts: int) -> None:
        """Also of what was removed meanwhile: that must not bring it back."""
        queue = self.views[view]
        with queue.sending(wait=True):
            for item in queue.content().items:
                if item.id == item_id:
                    changed = item._replace(attempts=attempts, state="refused")
                    queue.update(changed)
                    self.model[item_id] = changed

    @rule(view=VIEWS, item_id=ids)
    def put_back(self, view: int, item_id: str) -> None:
        if item_id in self.model:
            self.model[item_id] = self.model[item_id]._replace(attempts=0, state="queued")
            self.views[view].change([self.model[item_id]])

    @rule(view=VIEWS, item_id=consumes(ids))
    def remove(self, view: int, item_id: str) -> None:
        if item := self.model.pop(item_id, None):
            self.views[view].remove(item)

    @rule(view=VIEWS, item_ids=st.lists(ids, max_size=3))
    def drop(self, view: int, item_ids: list[str]) -> None:
        gone = [self.model.pop(each) for each in set(item_ids) if each in self.model]
        self.views[view].drop(gone)

    @rule(view=VIEWS)
    def clear(self, view: int) -> None:
        assert self.views[view].clear() == len(self.model) + len(self.damaged)
        self.model.clear()
        self.damaged.clear()

    @rule(content=INDEX_DAMAGE)
    def damage_the_index(self, content: bytes | None) -> None:
        index = self.views[0].index
        if content is None:
            index.unlink(missing_ok=True)
        elif index.exists():
            index.write_bytes(content)

    @rule(item_id=consumes(ids), content=st.sampled_from([b"", b"?", b"\0" * 9, b"[]"]))
    def damage_an_item(self, item_id: str, content: bytes) -> None:
        if self.model.pop(item_id, None):
            (self.views[0].items_folder / f"{item_id}.json").write_bytes(content)
            self.views[0].index.unlink(missing_ok=True)  # else it tells what the file once held
            self.damaged.add(f"{item_id}.json")

    @rule()
    def a_process_dies_half_way(self) -> None:
        """It leaves a blob without an item and a file without its name."""
        if self.views[0].blobs_folder.is_dir():
            (self.views[0].blobs_folder / new_item_id()).write_bytes(b"of nobody")
            (self.views[0].items_folder / ".new-half").write_bytes(b'{"id"')
            self.views[0].index.unlink(missing_ok=True)

    @rule(view=VIEWS)
    def reopen(self, view: int) -> None:
        self.views[view] = UploadQueue(self.home)

    @invariant()
    def both_see_all_of_it(self) -> None:
        expected = sorted(self.model.values(), key=lambda item: (item.createdAt, item.id))
        for queue in self.views:
            content = queue.content()
            assert content.items == expected
            assert set(content.quarantined) == self.damaged
            for item in content.items:
                assert queue.blob_path(item).read_bytes() == self.bodies[item.id]

    @invariant()
    def the_index_tells_the_same(self) -> None:
        queue = self.views[0]
        if queue.index.exists():
            document = json.loads(queue.index.read_bytes())
            assert {entry["id"] for entry in document["items"]} == self.model.keys()
            assert not (queue.folder / "index.stale").exists()

    @invariant()
    def nobody_else_can_read_it(self) -> None:
        for folder, _, files in os.walk(self.home):
            assert Path(folder).stat().st_mode & 0o077 == 0
            assert all((Path(folder) / name).lstat().st_mode & 0o077 == 0 for name in files)


QueueMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestQueueMachine = QueueMachine.TestCase
