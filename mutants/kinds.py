"""The mistakes: those of Cosmic Ray that people really make, and what it lacks.

What is ours is a provider of operators, as Cosmic Ray's plugins are; each says for one node of the
syntax tree by which texts it can be replaced.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import cosmic_ray.plugins
from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Keyword, Name, PythonLeaf, String
from parso.tree import NodeOrLeaf

from mutants.tree import children, code, following, parsed, preceding, space_before, text

Position = tuple[tuple[int, int], tuple[int, int]]

PROVIDER = "odavl"

# What narrows or guards a query when it is given a keyword.
_NARROWING = frozenset(
    {
        "Q", "filter", "exclude", "get", "get_or_create", "update_or_create", "update", "create",
        "select_for_update", "get_object_or_404",
    }
)  # fmt: skip
_LINKS = frozenset(
    {
        "filter", "exclude", "select_for_update", "order_by", "distinct", "strip", "rstrip",
        "lstrip", "lower", "casefold", "resolve", "reverse",
    }
)  # fmt: skip
_TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Their arguments either mean the same in any order or stop everything when swapped.
_ORDERLESS = frozenset(
    {"min", "max", "isinstance", "issubclass", "getattr", "setattr", "hasattr", "super", "cast"}
)


class Rewrite(Operator):  # type: ignore[misc]  # Cosmic Ray has no types
    """An operator that says for a node by which texts it can be replaced."""

    @abstractmethod
    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        """The replacements of ``node``, without the space before it."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        for _ in self.rewrites(node):
            yield (node.start_pos, node.end_pos)

    def mutate(self, node: NodeOrLeaf, index: int) -> NodeOrLeaf:
        return parsed(space_before(node) + list(self.rewrites(node))[index])


class RemoveStatement(Rewrite):
    """A call, a `raise`, a bare `return` or a change of something's state is forgotten."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if node.type == "simple_stmt" and _has_effect(children(node)[0]):
            yield "pass" + "".join(code(child) for child in children(node)[1:])

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("claim.guard()\n", "pass\n"),
            Example("if late:\n    raise Late\n", "if late:\n    pass\n"),
            Example("row.state = 1\n", "pass\n"),
            Example("total += 1\n", "pass\n"),
        )


class RemoveKeyword(Rewrite):
    """A condition of a query is forgotten."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if not _is_call(node) or _name_called(node) not in _NARROWING:
            return
        arguments = _arguments(node)
        for index, argument in enumerate(arguments):
            if argument.type == "argument" and code(children(argument)[1]).strip() == "=":
                rest = [*arguments[:index], *arguments[index + 1 :]]
                yield "(" + ", ".join(text(one) for one in rest) + ")"

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("rows.filter(a=1, b=2)", "rows.filter(b=2)"),
            Example("rows.filter(a=1, b=2)", "rows.filter(a=1)", occurrence=1),
            Example("rows.get(a=1)", "rows.get()"),
        )


class RemoveLink(Rewrite):
    """One link of a chain of calls is forgotten: ``.exclude(…)``, ``.strip()``."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if node.type not in {"atom_expr", "power"}:
            return
        parts = children(node)
        for index in range(1, len(parts) - 1):
            name = _attribute(parts[index])
            if name in _LINKS and _is_call(parts[index + 1]):
                rest = [*parts[:index], *parts[index + 2 :]]
                yield "".join(code(one) for one in rest).lstrip()

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("rows.exclude(a=1).first()", "rows.first()"),)


class SwapArguments(Rewrite):
    """The first two arguments of a call have changed places."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if not _is_call(node) or _name_called(node) in _ORDERLESS:
            return
        arguments = _arguments(node)
        if len(arguments) <= 1:
            return
        first, second, *rest = arguments
        if _stands_by_place(first) and _stands_by_place(second) and text(first) != text(second):
            yield "(" + ", ".join(text(one) for one in (second, first, *rest)) + ")"

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("copy(source, target, mode=1)", "copy(target, source, mode=1)"),)


class TurnMembership(Rewrite):
    """``in`` and ``not in`` are mistaken for each other."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if node.type != "comparison":
            return
        parts = children(node)
        for index in range(1, len(parts), 2):
            word = " ".join(code(parts[index]).split())
            other = {"in": "not in", "not in": "in"}.get(word)
            if other:
                before = "".join(code(one) for one in parts[:index]).lstrip()
                after = "".join(code(one) for one in parts[index + 1 :])
                yield f"{before} {other}{after}"

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("a in b", "a not in b"),
            Example("a not in b", "a in b"),
        )


class DropCondition(Rewrite):
    """One of several conditions joined by ``and`` or ``or`` is forgotten."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if node.type not in {"and_test", "or_test"}:
            return
        operands = children(node)[::2]
        word = " and " if node.type == "and_test" else " or "
        for index in range(len(operands)):
            yield word.join(text(one) for at, one in enumerate(operands) if at != index)

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example("a and b", "b"),
            Example("a and b", "a", occurrence=1),
            Example("a or b or c", "a or c", occurrence=1),
        )


class SwapTwins(Rewrite):
    """``min`` for ``max``, ``any`` for ``all``."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        called = following(node) if isinstance(node, Name) else None
        if isinstance(node, Name) and called is not None and _is_call(called):
            twin = _TWINS.get(node.value)
            if twin and not (node.parent is not None and node.parent.type == "trailer"):
                yield twin

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (Example("min(a, b)", "max(a, b)"), Example("any(rows)", "all(rows)"))


class TurnOrder(Rewrite):
    """Ascending for descending in ``order_by("-created_at")``."""

    def rewrites(self, node: NodeOrLeaf) -> Iterator[str]:
        if not _is_call(node) or _name_called(node) != "order_by":
            return
        arguments = _arguments(node)
        for index, argument in enumerate(arguments):
            if isinstance(argument, String):
                quote, name = argument.value[0], argument.value[1:-1]
                turned = name[1:] if name.startswith("-") else f"-{name}"
                texts = [text(one) for one in arguments]
                texts[index] = f"{quote}{turned}{quote}"
                yield "(" + ", ".join(texts) + ")"

    @classmethod
    def examples(cls) -> Sequence[Example]:
        return (
            Example('rows.order_by("-at")', 'rows.order_by("at")'),
            Example('rows.order_by("a", "b")', 'rows.order_by("a", "-b")', occurrence=1),
        )


OWN: dict[str, type[Rewrite]] = {
    kind.__name__: kind
    for kind in (
        RemoveStatement,
        RemoveKeyword,
        RemoveLink,
        SwapArguments,
        TurnMembership,
        DropCondition,
        SwapTwins,
        TurnOrder,
    )
}

_CORE = (
    *(
        f"ReplaceComparisonOperator_{change}"
        for change in (
            "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is",
        )
    ),
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub",
    "ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add", "AddNot",
    "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer",
    "RemoveDecorator",
)  # fmt: skip


def operators() -> dict[str, Operator]:
    """Every kind of mistake by the name that Cosmic Ray knows it by."""
    cosmic_ray.plugins.OPERATOR_PROVIDERS[PROVIDER] = OWN
    names = [f"core/{name}" for name in _CORE] + [f"{PROVIDER}/{name}" for name in OWN]
    return {name: cosmic_ray.plugins.get_operator(name)() for name in names}


def kinds_at(node: NodeOrLeaf, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that may find something at ``node``; most leaves interest few."""
    prefix = _AT_LEAVES.get(node.type)
    return list(names) if prefix is None else [one for one in names if one.startswith(prefix)]


_AT_LEAVES: dict[str, tuple[str, ...]] = {
    "name": ("odavl/SwapTwins",),
    "operator": ("core/ReplaceBinaryOperator",),
    "number": ("core/NumberReplacer",),
    "string": (),
    "newline": (),
    "endmarker": (),
}


def _has_effect(statement: NodeOrLeaf) -> bool:
    if statement.type in {"raise_stmt", "del_stmt"}:
        return True
    if isinstance(statement, Keyword):
        return statement.value in {"raise", "return", "continue", "break"}
    if statement.type in {"atom_expr", "power"}:
        return _is_call(children(statement)[-1])
    if statement.type == "expr_stmt":
        target, sign = children(statement)[:2]
        is_state = target.type in {"atom_expr", "power"}
        is_added = isinstance(sign, PythonLeaf) and sign.value not in {"=", ":"}
        return sign.type != "annassign" and (is_state or is_added)
    return False


def _is_call(node: NodeOrLeaf) -> bool:
    return node.type == "trailer" and text(children(node)[0]) == "("


def _attribute(node: NodeOrLeaf) -> str | None:
    """``name`` where the node is the trailer ``.name``."""
    if node.type == "trailer" and text(children(node)[0]) == ".":
        return text(children(node)[1])
    return None


def _name_called(call: NodeOrLeaf) -> str:
    before = preceding(call)
    if before is None:
        return ""
    return before.value if isinstance(before, Name) else _attribute(before) or ""


def _arguments(call: NodeOrLeaf) -> list[NodeOrLeaf]:
    inner = children(call)[1:-1]
    if len(inner) == 1 and inner[0].type == "arglist":
        inner = children(inner[0])
    return [one for one in inner if text(one) != ","]


def _stands_by_place(argument: NodeOrLeaf) -> bool:
    return argument.type in {"name", "atom_expr", "power", "number", "string"}
