"""Whatever happens between a queue and its hubs: nothing is lost, doubled, or another's.

A state machine: uploads are made under one of two sign-ins, the hub goes away, a key is revoked,
payloads are poison, answers are lost, quotas end; a person retries and drops; two processes send at
once. The hubs are real servers on a socket, the queue is the real one.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from odavl.commands.sync_queue import put_back
from odavl.hub.parallel import in_parallel
from odavl.hub.queue.sending import Sender, process_queue, send_in_passing
from odavl.hub.queue.store import UploadQueue
from odavl.hub.retry import ONCE
from odavl.hub.transport import HubClient
from odavl.hub.uploads import Destination, upload
from odavl.wire.encoding import sha256_hex
from odavl.wire.envelope import UploadMetadata
from odavl.wire.errors import InvalidPayload, QuotaExceeded, RateLimited, ServerFault
from tests.client.small_hub import Fault, SmallHub, cut, html, lose_answer, problem


@dataclass(frozen=True)
class Person:
    """``environment``: the key comes from there, and nobody knows whose it is."""

    key: str
    organization: str
    environment: bool = False


def key(letter: str) -> str:
    return f"odavl_live_{letter * 34}012345"


ANNA = Person(key("a"), "org-a")
BERT = Person(key("b"), "org-b")
CI = Person(key("c"), "org-c", environment=True)
PEOPLE = st.sampled_from([ANNA, BERT, CI])
FAULTS: dict[str, Fault] = {
    "cut": cut,
    "lost": lose_answer,
    "portal": html(200),
    "fault": problem(ServerFault()),
    "poison": problem(InvalidPayload("Line 4.")),
    "quota": problem(QuotaExceeded("Ten of ten.")),
    "wait": problem(RateLimited(), Retry_After="0"),
}
LARGE = b"[" + b'{"line":1},' * 3_000 + b"1]"


class QueueAgainstHub(RuleBasedStateMachine):
    """``made`` is what was asked to be sent, by payload; what is not dropped must arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="odavl-against-")) / "home"
        self.hub = SmallHub()
        self.hub.options.chunk_size = 16_384
        self.hub.keys = {each.key: each.organization for each in (ANNA, BERT, CI)}
        self.made: dict[bytes, Person] = {}
        self.dropped: set[bytes] = set()
        self.refused_aloud: set[bytes] = set()
        self.retried: set[str] = set()
        self.begun_anew: set[str] = set()
        self.revoked: set[str] = set()
        """Keys that were none for a while."""
        self.monkeypatch = pytest.MonkeyPatch()
        self.monkeypatch.setattr("odavl.hub.retry.random.uniform", lambda low, _high: low)

    def teardown(self) -> None:
        self.monkeypatch.undo()
        self.hub.close()
        shutil.rmtree(self.home.parent)

    @property
    def queue(self) -> UploadQueue:
        """As another process opens it."""
        return UploadQueue(self.home)

    @initialize(person=PEOPLE)
    def begin(self, person: Person) -> None:
        self.person = person

    @rule(fault=st.sampled_from(sorted(FAULTS)), count=st.integers(1, 4))
    def trouble_comes(self, fault: str, count: int) -> None:
        self.hub.faults.extend([FAULTS[fault]] * count)

    @rule()
    def trouble_ends(self) -> None:
        self.hub.faults.clear()

    @rule(person=PEOPLE)
    def somebody_signs_in(self, person: Person) -> None:
        self.person = person

    @rule(person=PEOPLE)
    def a_key_is_revoked(self, person: Person) -> None:
        self.hub.keys.pop(person.key, None)
        self.revoked.add(person.key)

    @rule(person=PEOPLE)
    def it_is_let_in_again(self, person: Person) -> None:
        self.hub.keys[person.key] = person.organization

    @rule(large=st.booleans(), silent=st.booleans())
    def upload(self, *, large: bool, silent: bool) -> None:
        body = b"%d " % len(self.made) + (LARGE if large else b"{}")
        self.made[body] = self.person
        result = upload(
            self.destination(),
            "insight",
            "sarif",
            body,
            metadata=UploadMetadata(project_name=f"p{len(self.made) % 3}"),
            silent=silent,
            wait=False,
        )
        assert result.success != (result.exit_code > 0)
        assert result.queued == (body in self.queued() and not result.success)
        if result.state == "refused" and not silent:
            self.refused_aloud.add(body)

    def destination(self) -> Destination:
        person = self.person
        return Destination(
            address=self.hub.address,
            token=person.key,
            organization_id=None if person.environment else person.organization,
            home=self.home,
        )

    @rule()
    def process(self) -> None:
        with self.client() as client:
            report = process_queue(self.queue, client, rounds=2, sleep=lambda _seconds: None)
        codes = [each.error.exit_code for each in report.failures]
        assert report.exit_code == max(codes, default=0)

    @rule(new_rights=st.booleans())
    def send_after_a_command(self, *, new_rights: bool) -> None:
        sender = Sender(
            home=self.home,
            address=self.hub.address,
            token=self.person.key,
            organization_id=self.destination().organization_id,
            new_rights=new_rights,
        )
        send_in_passing(sender)

    @rule()
    def two_processes_send_at_once(self) -> None:
        def work(_number: int) -> None:
            with self.client() as client:
                process_queue(self.queue, client, rounds=1)

        list(in_parallel(work, range(2), 2))

    @precondition(lambda self: self.queued())
    @rule(data=st.data())
    def a_person_tries_one_again(self, data: st.DataObject) -> None:
        """That it be sent with theirs is what they ask for, where nobody knows whose it was."""
        item = data.draw(st.sampled_from(self.queue.content().items))
        self.queue.change([put_back(item)])
        if item.state == "refused":
            self.begun_anew.add(item.sha256)
        if item.organizationId is None:
            self.retried.add(item.sha256)

    @precondition(lambda self: self.queued())
    @rule(data=st.data())
    def a_person_drops_one(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.queue.content().items))
        self.dropped |= {body for body, each in self.queued().items() if each == item.id}
        self.queue.drop([item])

    def client(self) -> HubClient:
        return HubClient(
            self.hub.address,
            token=self.person.key,
            organization_id=self.destination().organization_id,
            policy=ONCE,
            sleep=lambda _seconds: None,
        )

    def queued(self) -> dict[bytes, str]:
        """Ids by payload."""
        ids = {each.sha256: each.id for each in self.queue.content().items}
        return {body: ids[name] for body in self.made if (name := sha256_hex(body)) in ids}

    @invariant()
    def nothing_is_lost(self) -> None:
        taken = {each.payload for each in self.hub.runs}
        gone = self.made.keys() - taken - self.queued().keys() - self.dropped - self.refused_aloud
        assert gone == set()

    @invariant()
    def nothing_comes_twice(self) -> None:
        """But where a person had what was refused tried again: that is a new request."""
        payloads = [each.payload for each in self.hub.runs]
        doubled = {each for each in payloads if payloads.count(each) > 1}
        assert {sha256_hex(each) for each in doubled} <= self.begun_anew

    @invariant()
    def nothing_goes_to_another_organization(self) -> None:
        for each in self.hub.runs:
            maker = self.made[each.payload]
            # What nobody knows the owner of is bound to its key, until that is called none.
            freed = maker.environment and (
                sha256_hex(each.payload) in self.retried or maker.key in self.revoked
            )
            assert freed or each.token == maker.key, (each.payload[:10], maker)


QueueAgainstHub.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestQueueAgainstHub = QueueAgainstHub.TestCase
