"""Holds the layers where no import shows: rooms that name others in strings and in templates.

``python scripts/check_names.py`` prints each place where a room names one that it may not import,
and ends with 1 if there is any. The layers are those of the import contracts in pyproject.toml.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ALLOWED: dict[tuple[str, str], str] = {}
"""Places that may: by path and what they name, with the reason."""

_NAMES_A_ROUTE = {"reverse", "reverse_lazy", "redirect", "resolve_url"}
_TAG = re.compile(r"{%-?\s*(url|include|extends|load)\s+(.*?)-?%}", re.DOTALL)
_QUOTED = re.compile(r"""["']([^"']+)["']""")


class Named(NamedTuple):
    path: str
    line: int
    name: str
    why: str


@dataclass(frozen=True)
class House:
    """The rooms by layer, the highest first; ``products`` know nothing of each other."""

    root: Path
    layers: tuple[tuple[str, ...], ...]
    products: tuple[str, ...]

    @property
    def rooms(self) -> tuple[str, ...]:
        return tuple(room for layer in self.layers for room in layer)

    def level(self, room: str) -> int:
        return next(at for at, layer in enumerate(self.layers) if room in layer)

    def may_name(self, room: str, other: str) -> bool:
        return room == other or self.level(other) > self.level(room)

    def is_below_products(self, room: str) -> bool:
        return self.level(room) > self.level(self.products[0])


def house_of(root: Path) -> House:
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = next(
        each for each in contracts["tool"]["importlinter"]["contracts"] if each["id"] == "rooms"
    )
    layers = tuple(tuple(layer.split(" | ")) for layer in rooms["layers"])
    products = next(layer for layer in layers if "insight" in layer)
    return House(root, layers, products)


def check(house: House) -> list[Named]:
    """Every place that names a room which it may not know, but those that are :data:`ALLOWED`."""
    routes = {name: room for room in house.rooms for name in _routes_of(house.root / room)}
    libraries = {
        path.stem: room
        for room in house.rooms
        for path in (house.root / room / "templatetags").glob("[a-z]*.py")
    }
    found: list[Named] = []
    for room in house.rooms:
        folder = house.root / room
        for path in sorted(folder.rglob("*.py")):
            if "migrations" not in path.parts:
                found += _in_code(house, room, path, routes)
        for path in sorted(folder.rglob("*.html")):
            found += _in_template(house, room, path, routes, libraries)
    return [each for each in found if (each.path, each.name) not in ALLOWED]


def _routes_of(folder: Path) -> Iterator[str]:
    """The names of a room's routes, as ``reverse`` takes them."""
    for path in folder.glob("urls*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        space = next(
            (
                f"{node.value.value}:"
                for node in tree.body
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id == "app_name"
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ),
            "",
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "name":
                yield f"{space}{ast.literal_eval(node.value)}"


def _in_code(house: House, room: str, path: Path, routes: dict[str, str]) -> Iterator[Named]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = str(path.relative_to(house.root))
    texts = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in _NAMES_A_ROUTE and node.args:
            route = node.args[0]
            # One with a namespace is found among all strings.
            plain = str(route.value) if isinstance(route, ast.Constant) else ""
            owner = None if ":" in plain else routes.get(plain)
            if owner and not house.may_name(room, owner):
                yield Named(told, node.lineno, owner, f"{plain!r} is a route of {owner}")
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) in texts:  # what people read
            continue
        for other, why in _rooms_in(house, room, node.value):
            yield Named(told, node.lineno, other, why)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _rooms_in(house: House, room: str, text: str) -> Iterator[tuple[str, str]]:
    """The rooms that a string names and its room may not: ``insight:run``, ``insight.ingest``."""
    for other in house.rooms:
        if house.may_name(room, other):
            continue
        if re.match(rf"{other}[.:/]\w", text):
            yield other, f"{text[:40]!r} is of {other}"
        elif (
            other in house.products
            and house.is_below_products(room)
            and re.search(rf"\b{other}\b", text)
        ):
            yield other, f"{text[:40]!r} names a product"


def _in_template(
    house: House, room: str, path: Path, routes: dict[str, str], libraries: dict[str, str]
) -> Iterator[Named]:
    source = path.read_text(encoding="utf-8")
    told = str(path.relative_to(house.root))
    for match in _TAG.finditer(source):
        tag, rest = match.groups()
        line = source.count("\n", 0, match.start()) + 1
        quoted = _QUOTED.match(rest.strip())
        name = quoted.group(1) if quoted else ""
        if tag == "load":
            owners = {libraries[word] for word in rest.split() if word in libraries}
        elif tag == "url":
            owners = {routes[name]} if name in routes else set()
        else:
            owners = {name.partition("/")[0]} & set(house.rooms)
        for owner in sorted(owners):
            if not house.may_name(room, owner):
                yield Named(told, line, owner, f"{{% {tag} %}} of {owner}")
            elif tag == "url" and owner in house.products and owner != room:
                # Above the products, but pages stand in the registry of pages all the same.
                yield Named(told, line, owner, f"the address of a page of {owner}")


def main() -> int:
    found = check(house_of(Path(__file__).resolve().parent.parent))
    for each in found:
        print(f"{each.path}:{each.line}: {each.why}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
