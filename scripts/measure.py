"""Prints the figures by which docs/architecture.md compares this code with others'.

    scripts/measure.py [TREE]      a checkout; this one without a name

Counted is what `git ls-files` names, without migrations and generated files.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

TESTS = ("tests", "benchmarks")
"""Folders whose code is no part of the product; ``tests`` alone counts as tests."""
LONG_LINE = 200
SMALL_MODULE = 35
"""Lines up to which a module of one definition is small."""
_SILENCES = {
    "noqa": re.compile(r"#\s*noqa\b"),
    "type: ignore": re.compile(r"#\s*type:\s*ignore\b"),
}


def files_of(tree: Path, ending: str) -> list[Path]:
    """The tracked files of ``tree`` with that ending that still exist, in order."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", f"*{ending}"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=True,
    )
    names = (Path(name) for name in listed.stdout.split("\0") if name)
    return [name for name in names if "migrations" not in name.parts and (tree / name).is_file()]


def spread(numbers: Iterable[int]) -> str:
    """Median, 95th percentile and maximum."""
    ordered = sorted(numbers)
    if not ordered:
        return "-"
    places = (len(ordered) // 2, min(len(ordered) * 95 // 100, len(ordered) - 1), -1)
    return "/".join(str(ordered[place]) for place in places)


def functions_of(tree: ast.Module) -> Iterator[int]:
    """The lines of each function, decorators left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def is_small(tree: ast.Module, lines: int) -> bool:
    """Whether a module is there for one function or class and has few lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return lines <= SMALL_MODULE and sum(isinstance(node, kinds) for node in tree.body) == 1


def is_named_by_a_framework(name: Path) -> bool:
    """Django and Python look these up by their name, so that there is nothing to merge."""
    return name.name in {"__init__.py", "__main__.py", "apps.py", "tasks.py", "manage.py"} or (
        "management" in name.parts or "commands" in name.parts
    )


def comments_of(text: str) -> Iterator[str]:
    """Every comment of a module, which a word in a string is not."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def uses_of_any(tree: ast.Module) -> int:
    """How often ``Any`` of typing stands in a module, imports left out."""
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(tree))


def dependencies_of(tree: Path) -> int:
    """Distributions that the hub and the client ask for themselves."""
    asked = set()
    for name in ("requirements/hub.in", "requirements/client.in"):
        path = tree / name
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        asked |= {_distribution(line) for line in lines if re.match(r"[A-Za-z]", line)}
    project = tree / "cli" / "pyproject.toml"
    if project.exists():
        document = tomllib.loads(project.read_text(encoding="utf-8"))
        asked |= {_distribution(line) for line in document["project"].get("dependencies", [])}
    return len(asked)


def _distribution(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def measure(tree: Path) -> Iterator[tuple[str, str]]:
    """Each figure with its name, in the order of the table."""
    names = files_of(tree, ".py")
    code = [name for name in names if name.parts[0] not in TESTS]
    texts = {name: (tree / name).read_text(encoding="utf-8") for name in names}
    parsed = {name: ast.parse(texts[name]) for name in code}
    lines = {name: text.count("\n") for name, text in texts.items()}
    tests = sum(lines[name] for name in names if name.parts[0] == "tests")
    product = sum(lines[name] for name in code)
    yield "file lines median/p95/max", spread(lines[name] for name in code if lines[name])
    functions = (length for module in parsed.values() for length in functions_of(module))
    yield "function lines median/p95/max", spread(functions)
    yield "test lines for a code line", f"{tests / product:.2f} ({tests}/{product})"
    comments = [comment for name in code for comment in comments_of(texts[name])]
    for name, pattern in _SILENCES.items():
        yield name, str(sum(bool(pattern.search(comment)) for comment in comments))
    yield "Any", str(sum(uses_of_any(module) for module in parsed.values()))
    small = small_modules(parsed, lines)
    free = sum(not is_named_by_a_framework(name) for name in small)
    yield "modules of one small definition", f"{len(small)} ({free} with a name of ours)"
    yield "direct runtime dependencies", str(dependencies_of(tree))
    templates = [(tree / name).read_text(encoding="utf-8") for name in files_of(tree, ".html")]
    rows = [row for text in templates for row in text.splitlines()]
    long = sum(len(row) > LONG_LINE for row in rows)
    yield f"template lines over {LONG_LINE} of all", f"{long} of {len(rows)}"


def small_modules(parsed: dict[Path, ast.Module], lines: dict[Path, int]) -> list[Path]:
    """Those that are there for one small definition; a package's ``__init__`` is not meant."""
    return [
        name
        for name, module in parsed.items()
        if name.name != "__init__.py" and is_small(module, lines[name])
    ]


def main(arguments: Sequence[str]) -> int:
    tree = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    for name, figure in measure(tree):
        print(f"{name:40} {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
