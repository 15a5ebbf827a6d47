"""Which mistakes are made, and which places are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cosmic_ray.mutating import mutate_code

from mutants import equivalent
from mutants.kinds import OWN
from mutants.reach import function_at
from mutants.sources import Mutation, mutants_of, mutation_of, sample
from mutants.swapping import swap

EXAMPLES = [
    pytest.param(kind, example, id=f"{kind.__name__}-{number}")
    for kind in OWN.values()
    for number, example in enumerate(kind.examples())
]


def mutations(source: str) -> list[Mutation]:
    found = [mutation_of(mutant, source) for mutant in mutants_of("room", "a.py", source)]
    return [one for one in found if one is not None]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_a_kind_makes_the_mistake_of_its_example(kind, example) -> None:
    made = mutate_code(example.pre_mutation_code, kind(), example.occurrence)

    assert made == example.post_mutation_code


@pytest.mark.parametrize(
    "source",
    [
        "_log.warning('late by %d', late - 1)\n",
        'logger.info("x")\n',
        'def f():\n    """Of 3 kinds, not one."""\n',
        "def f(a: Literal[1] = None) -> Literal[2]: ...\n",
        "x: Literal[True]\n",
        "class A:\n    def __repr__(self):\n        return 'a' + str(self.n - 1)\n",
        "@overload\ndef f(): ...\n",
        "x = dataclass(frozen=True, slots=True)\n",
        "_SIZE = 8 << 20\n_DAY = 24 * 60\n_LARGE = 10000\n",
        "if TYPE_CHECKING:\n    x = 1\n",
        "assert a == b\n",
    ],
)
def test_places_without_meaning_at_run_time_are_left_alone(source: str) -> None:
    assert [one.change for one in mutations(source)] == []


def test_the_numbers_in_the_text_of_an_exception_are_left_alone() -> None:
    (only,) = mutations("raise Late(f'by {late - 1} seconds')\n")

    assert only.change[1] == "pass"


def test_a_guard_a_condition_a_decorator_and_a_raise_are_forgotten() -> None:
    source = (
        "@locked\n"
        "def take(rows, claim):\n"
        "    claim.guard()\n"
        "    if claim.late:\n"
        "        raise Late\n"
        "    return rows.filter(state=PENDING, owner=claim).exclude(gone=True)\n"
    )

    gone = {one.mutated for one in mutations(source)}

    for line, instead in [
        ("@locked\n", ""),
        ("claim.guard()", "pass"),
        ("raise Late", "pass"),
        ("state=PENDING, ", ""),
        (", owner=claim", ""),
        (".exclude(gone=True)", ""),
    ]:
        assert source.replace(line, instead) in gone, line


def test_a_sample_is_the_same_for_the_same_seed_only(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("\n".join(f"x{n} = a.b({n}, y) < z" for n in range(50)))
    files = [("room", "a.py")]

    first, again, other = (
        [one.mutated for one in sample(tmp_path, files, size=20, seed=seed)] for seed in (1, 1, 2)
    )

    assert first == again
    assert set(first) != set(other)
    assert len(set(first)) == 20


SOURCE = """\
def plain():
    return 1

class Holder:
    @property
    def size(self):
        return 1

    @size.setter
    def size(self, value):
        self.kept = value + 1

def outer():
    def inner():
        return 1
    return inner()
"""


@pytest.mark.parametrize(
    ("function", "before", "after", "shown"),
    [
        ("plain", "def plain():\n    return 1", "def plain():\n    return 2", "plain_held()"),
        ("Holder.size", "        return 1\n\n    @size", "        return 2\n\n    @size", "h.size"),
        ("Holder.size", "value + 1", "value + 0", "setattr(h, 'size', 2) or h.kept"),
        (
            "outer",
            "        return 1\n    return inner",
            "        return 2\n    return inner",
            "o()",
        ),
    ],
)
def test_a_loaded_function_is_changed_wherever_it_was_handed(
    function: str, before: str, after: str, shown: str
) -> None:
    names: dict = {}
    exec(compile(SOURCE, "swapped.py", "exec"), names)
    names.update(plain_held=names["plain"], h=names["Holder"](), o=names["outer"])
    mutated = SOURCE.replace(before, after)
    assert mutated != SOURCE

    assert swap("swapped.py", SOURCE, mutated, function)

    assert eval(shown, names) == 2


def test_a_function_that_is_not_loaded_is_not_swapped() -> None:
    assert not swap("nowhere.py", SOURCE, SOURCE.replace("1", "2"), "plain")


def test_lines_belong_to_their_outermost_function_with_its_class() -> None:
    assert function_at(SOURCE) == {
        2: "plain",
        7: "Holder.size",
        11: "Holder.size",
        14: "outer",
        15: "outer",
        16: "outer",
    }


ENTRY = '[[equivalent]]\nfile = "a.py"\nbefore = "x < y"\nafter = "x <= y"\nreason = "{}"\n'


@pytest.mark.parametrize(
    ("source", "reason", "complaint"),
    [("x < y\n", "equal", "say why"), ("x > y\n", "x and y are never equal", "no line")],
)
def test_an_entry_needs_a_reason_and_its_line(
    tmp_path: Path, source: str, reason: str, complaint: str
) -> None:
    (tmp_path / "a.py").write_text(source)
    (tmp_path / "list.toml").write_text(ENTRY.format(reason))

    with pytest.raises(ValueError, match=complaint):
        equivalent.load(tmp_path / "list.toml", tmp_path)
