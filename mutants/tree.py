"""Reading parso's syntax trees, whose functions have no types."""

from __future__ import annotations

from collections.abc import Iterator

import parso
from parso.tree import BaseNode, NodeOrLeaf


def parsed(text: str) -> NodeOrLeaf:
    """A tree that is written as ``text``, for the place of a node."""
    found: NodeOrLeaf = parso.parse(text)
    return found


def children(node: NodeOrLeaf) -> list[NodeOrLeaf]:
    return list(node.children) if isinstance(node, BaseNode) else []


def ancestors(node: NodeOrLeaf) -> Iterator[NodeOrLeaf]:
    """The nodes around ``node``, from the nearest."""
    above: NodeOrLeaf | None = node.parent
    while above is not None:
        yield above
        above = above.parent


def code(node: NodeOrLeaf) -> str:
    """As it is written, with the space before it."""
    return str(node.get_code())


def text(node: NodeOrLeaf) -> str:
    """As it is written, without the space before it."""
    return str(node.get_code(include_prefix=False))


def space_before(node: NodeOrLeaf) -> str:
    return str(node.get_first_leaf().prefix)


def following(node: NodeOrLeaf) -> NodeOrLeaf | None:
    """The next one below the same node."""
    found: NodeOrLeaf | None = node.get_next_sibling()
    return found


def preceding(node: NodeOrLeaf) -> NodeOrLeaf | None:
    """The one before it below the same node."""
    found: NodeOrLeaf | None = node.get_previous_sibling()
    return found
