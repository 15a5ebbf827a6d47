"""What types of payloads there are, and who takes each in: one entry a type.

Owners register in the ``ready`` of their ``apps.py``. The names are shared with the client
(:data:`odavl.wire.envelope.UPLOAD_TYPES`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jobs import registry as jobs
from odavl.wire.envelope import UploadAccepted, UploadStored
from odavl.wire.errors import FieldError, NotFound, UnknownType
from uploads.contents import Content
from uploads.models import Upload


class Receive(Protocol):
    def __call__(self, upload: Upload, content: Content, /) -> UploadStored | UploadAccepted:
        """Take the payload in, or note a job that will; within the transaction of the receipt.

        ``upload`` is saved afterwards, once: set its fields, and let new rows refer to it. What is
        raised rolls everything back. The answer's ``url`` is where a person sees the outcome.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadType:
    """A type of payload of a product, which is the first part of its address.

    ``name`` is the type as the client says it; with ``matches`` it stands for all types of which
    that is true, and is how people are told of them. ``document`` is what travels: a wire struct,
    ``dict`` for any JSON object, ``bytes`` for what is no document. ``makes`` says what becomes of
    it: a run or a test, with a page of its own, or nothing but what is stored. Who reads or writes
    such uploads needs the scope of that level in ``area``, one for all types of a product. ``job``
    takes in those that are too large for the request (:func:`uploads.deferred.job_type_for`).
    """

    product: str
    name: str
    receive: Receive
    document: type[Any]
    area: str
    makes: Literal["run", "test"] | None = None
    matches: Callable[[str], bool] | None = None
    job: jobs.JobType | None = None

    def is_called(self, upload_type: str) -> bool:
        return self.matches(upload_type) if self.matches else upload_type == self.name


_types: dict[tuple[str, str], PayloadType] = {}


def register(*payload_types: PayloadType) -> None:
    """Raises :class:`ValueError` for a second one of a name, or another area of its product."""
    for each in payload_types:
        if (each.product, each.name) in _types:
            raise ValueError(f"There is a payload type {each.product}/{each.name}.")
        if any(other.area != each.area for other in _of(each.product)):
            raise ValueError(f"{each.product} has an area already, which is not {each.area!r}.")
        if each.job is not None:
            jobs.add(each.job)
        _types[each.product, each.name] = each


def unregister(product: str, name: str) -> None:
    gone = _types.pop((product, name))
    if gone.job is not None:
        jobs.unregister(gone.job.name)


def payload_types() -> tuple[PayloadType, ...]:
    return tuple(_types.values())


def areas() -> dict[str, str]:
    """The area of the scopes that each product's uploads need, by product."""
    return {each.product: each.area for each in _types.values()}


def area_of(product: str) -> str:
    """Raises :class:`NotFound` for a product of which nobody takes uploads."""
    area = areas().get(product)
    if area is None:
        raise NotFound(f"There is no product {product[:40]!r}.")
    return area


def find(product: str, upload_type: str) -> PayloadType | None:
    return next((each for each in _of(product) if each.is_called(upload_type)), None)


def payload_type(product: str, upload_type: str) -> PayloadType:
    """Raises :class:`UnknownType` that names the ones there are."""
    found = find(product, upload_type)
    if found is not None:
        return found
    known = ", ".join(each.name for each in _of(product))
    raise UnknownType(
        f"{product} has no upload type {upload_type[:80]!r}; there are {known}.",
        errors=(FieldError("/type", "unknown_type", "Not an upload type of this product."),),
    )


def _of(product: str) -> list[PayloadType]:
    return [each for each in _types.values() if each.product == product]
