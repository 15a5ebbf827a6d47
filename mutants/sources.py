"""Which mistakes can be made in the core, and which of them are worth a test."""

from __future__ import annotations

import ast
import difflib
import random
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from parso.python.tree import Class, Function, Number, PythonNode
from parso.tree import NodeOrLeaf

from mutants.kinds import kinds_at, operators
from mutants.tree import ancestors, children, text

_SKIPPED_FUNCTIONS = frozenset({"__repr__", "__str__", "__rich__"})
_SKIPPED_CALLS = re.compile(
    r"^(_?log(ger)?|logging|warnings)\."
    r"|^(_|ngettext|gettext|gettext_lazy|pgettext|cast|TypeVar|ThreadPoolExecutor|documented|Parameter|extend_schema\w*|OpenApi\w+)$"
)
_SKIPPED_DECORATORS = re.compile(
    r"^@(typing\.)?(overload|override|final|extend_schema|documented|staticmethod|classmethod|property)\b"
)
# Declared for speed, for people or for forms; wrong, they change nothing that runs.
_SKIPPED_KEYWORDS = frozenset(
    {
        "frozen", "slots", "kw_only", "eq", "repr", "help", "help_text", "verbose_name", "blank",
        "editable", "description", "summary", "daemon", "exc_info", "stacklevel", "max_length",
        "gc", "show_default", "hidden", "is_flag",
    }
)  # fmt: skip
_GREATEST_NUMBER = 64


@dataclass(frozen=True)
class Mutant:
    """One mistake: the ``occurrence``-th that ``operator`` can make in ``file``."""

    room: str
    file: str
    operator: str
    occurrence: int
    start: tuple[int, int]
    end: tuple[int, int]
    # The outermost function whose body it is in, with its class; None elsewhere.
    function: str | None

    @property
    def kind(self) -> str:
        return self.operator.partition("/")[2]


@dataclass(frozen=True)
class Mutation:
    """A mutant's text, which compiles and differs from the original."""

    mutant: Mutant
    original: str
    mutated: str

    @property
    def diff(self) -> str:
        name = self.mutant.file
        lines = difflib.unified_diff(
            self.original.splitlines(), self.mutated.splitlines(), name, name, n=1, lineterm=""
        )
        return "\n".join(lines)

    @property
    def change(self) -> tuple[str, str]:
        """The lines that go and those that come, without indentation."""
        lines = self.diff.splitlines()[2:]
        gone = [line[1:].strip() for line in lines if line.startswith("-")]
        come = [line[1:].strip() for line in lines if line.startswith("+")]
        return "\n".join(gone), "\n".join(come)


def source_files(root: Path, folders: Iterable[str]) -> list[str]:
    """The Python files below ``folders``, relative to ``root``; no migrations."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if "/migrations/" not in name and path.stat().st_size:
                found.append(name)
    return found


def mutants_of(room: str, file: str, source: str) -> Iterator[Mutant]:
    """Every mistake worth a test in ``source``."""
    known = operators()
    counts = dict.fromkeys(known, 0)
    at: dict[str, list[str]] = {}
    for node in ast_nodes(get_ast(source)):
        if node.type not in at:
            at[node.type] = kinds_at(node, known)
        for name in at[node.type]:
            for start, end in known[name].mutation_positions(node):
                occurrence = counts[name]
                counts[name] += 1
                if not _is_skipped(node):
                    place = _enclosing_function(node)
                    yield Mutant(room, file, name, occurrence, start, end, place)


def mutation_of(mutant: Mutant, source: str) -> Mutation | None:
    """The mutated source; None where nothing changes or nothing compiles."""
    mutated = mutate_code(source, operators()[mutant.operator], mutant.occurrence)
    if mutated is None or mutated == source:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(source)):
                return None
            compile(mutated, mutant.file, "exec", dont_inherit=True)
    except SyntaxError:
        return None
    return Mutation(mutant, source, mutated)


def sample(root: Path, files: Iterable[tuple[str, str]], *, size: int, seed: int) -> list[Mutation]:
    """``size`` of all mistakes in ``files`` (rooms and names), the same for the same ``seed``."""
    sources = {file: (root / file).read_text(encoding="utf-8") for _, file in files}
    found = [one for room, file in files for one in mutants_of(room, file, sources[file])]
    random.Random(seed).shuffle(found)
    chosen: list[Mutation] = []
    seen: set[tuple[str, str]] = set()
    for mutant in found:
        if len(chosen) == size:
            break
        mutation = mutation_of(mutant, sources[mutant.file])
        # Two operators may come to the same text.
        if mutation is not None and (mutant.file, mutation.mutated) not in seen:
            seen.add((mutant.file, mutation.mutated))
            chosen.append(mutation)
    return chosen


def _is_skipped(node: NodeOrLeaf) -> bool:
    if node.type == "number" and not _is_small(node):
        return True
    if node.type == "decorator" and _SKIPPED_DECORATORS.match(text(node)):
        return True
    below = node
    for above in (node, *ancestors(node)):
        if _is_declaration(above, below) or _is_message(above, below):
            return True
        below = above
    if node.type == "simple_stmt":
        called = text(node).partition("(")[0]
        return bool(_SKIPPED_CALLS.match(called))
    return False


def _is_declaration(above: NodeOrLeaf, below: NodeOrLeaf) -> bool:
    """An annotation, a keyword that changes nothing, a text for developers."""
    if above.type in {"assert_stmt", "import_from", "import_name", "tfpdef"}:
        return True
    if above.type == "annassign":
        return below is children(above)[1]
    if isinstance(above, Function) and above.type == "funcdef":
        return below is above.annotation or above.name.value in _SKIPPED_FUNCTIONS
    if above.type == "argument":
        return text(children(above)[0]) in _SKIPPED_KEYWORDS
    if above.type == "if_stmt":
        return text(children(above)[1]) in {"TYPE_CHECKING", '__name__ == "__main__"'}
    return False


def _is_message(above: NodeOrLeaf, below: NodeOrLeaf) -> bool:
    """Arguments of what logs or translates; formatted texts of exceptions."""
    if above.type == "fstring":
        return any(one.type == "raise_stmt" for one in ancestors(above))
    if above.type in {"atom_expr", "power"} and below.type == "trailer":
        called = text(above).partition("(")[0]
        return bool(_SKIPPED_CALLS.match(called)) and text(below).startswith("(")
    return False


def _is_small(number: NodeOrLeaf) -> bool:
    """Off by one is a mistake in a small number; ``60 * 60`` and ``1 << 20`` are sizes."""
    assert isinstance(number, Number)
    if not re.fullmatch(r"[0-9]+", number.value) or int(number.value) > _GREATEST_NUMBER:
        return False
    parent = number.parent
    return not (isinstance(parent, PythonNode) and parent.type in {"term", "shift_expr", "power"})


def _enclosing_function(node: NodeOrLeaf) -> str | None:
    names: list[str] = []
    below = node
    for above in ancestors(node):
        if isinstance(above, Function) and above.type == "funcdef":
            is_in_body = below is children(above)[-1]
            names = [above.name.value] if is_in_body else []
        elif isinstance(above, Class) and names:
            names.insert(0, above.name.value)
        below = above
    return ".".join(names) or None
