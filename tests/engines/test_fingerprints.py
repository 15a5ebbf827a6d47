"""Fingerprints follow the code, not its place."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odavl.engines.insight.fingerprints import assign_fingerprints, enclosing_scopes
from odavl.wire.analysis import Diagnostic
from tests.engines.matching import Comparison, compare
from tests.yardstick import yardsticks_of

FORM = re.compile(r"[0-9a-f]{32}")


def finding(line: int, message: str = "Bad", **fields) -> Diagnostic:
    defaults = {"severity": "low", "source": "lint", "code": "X1"}
    return Diagnostic(**{**defaults, **fields, "line": line, "message": message})


def check(files: dict[str, list[str]]) -> dict[str, list[Diagnostic]]:
    """A detector for the tests: every line with ``bad`` in it is a finding, told with its line."""
    found = {
        path: [
            finding(number, f"bad in line {number} of {len(lines)}", column=line.index("bad") + 1)
            for number, line in enumerate(lines, 1)
            if "bad" in line
        ]
        for path, lines in files.items()
    }
    assign_fingerprints(found, files.get)
    return {path: each for path, each in found.items() if each}


def module(*functions: tuple[str, list[str]]) -> list[str]:
    lines = ["import bad"]
    for name, body in functions:
        lines += ["", f"def {name}():", *(f"    {line}" for line in body)]
    return lines


class TestForm:
    def test_is_128_bits_in_lower_case_hex(self):
        found = check({"a.py": ["bad", "bad()", "x = bad"]})["a.py"]
        assert all(FORM.fullmatch(each.fingerprint) for each in found)

    def test_like_findings_share_the_first_half(self):
        first, second = check({"a.py": ["bad()", "bad()"]})["a.py"]
        assert first.fingerprint != second.fingerprint
        assert first.fingerprint[:16] == second.fingerprint[:16]

    def test_the_rule_counts(self):
        found = {"a.py": [finding(1), finding(1, code="X2"), finding(1, source="other")]}
        assign_fingerprints(found, lambda _: ["bad"])
        assert len({each.fingerprint[:16] for each in found["a.py"]}) == 3

    def test_the_marked_piece_tells_findings_of_one_line_apart(self):
        found = {"a.py": [finding(1, column=15, end_column=16), finding(1, column=18)]}
        assign_fingerprints(found, lambda _: ["from x import a, b"])
        assert len({each.fingerprint[:16] for each in found["a.py"]}) == 2


class TestWhatIsGiven:
    def test_a_fingerprint_that_is_there_is_kept(self):
        found = {"a.py": [finding(1, fingerprint="Foreign/1"), finding(2, fingerprint="b" * 90)]}
        assign_fingerprints(found)
        assert [each.fingerprint for each in found["a.py"]] == ["Foreign/1", "b" * 90]

    def test_equal_ones_in_one_file_become_distinct_and_the_first_is_kept(self):
        found = {"a.py": [finding(7, fingerprint="same"), finding(2, fingerprint="same")]}
        assign_fingerprints(found)
        later, first = found["a.py"]
        assert first.fingerprint == "same"
        assert FORM.fullmatch(later.fingerprint)

    def test_ours_give_way_to_given_ones(self):
        alone = {"a.py": [finding(1)]}
        assign_fingerprints(alone)
        both = {"a.py": [finding(1), finding(9, fingerprint=alone["a.py"][0].fingerprint)]}
        assign_fingerprints(both)
        assert len({each.fingerprint for each in both["a.py"]}) == 2

    def test_a_second_call_changes_nothing(self):
        found = check({"a.py": ["bad", "bad", "bad x"]})
        before = [each.fingerprint for each in found["a.py"]]
        assign_fingerprints(found)
        assert [each.fingerprint for each in found["a.py"]] == before


class TestSnippets:
    def test_are_filled_from_the_lines_of_the_finding(self):
        found = {"a.py": [finding(2, end_line=3)]}
        assign_fingerprints(found, lambda _: ["a", "  b  ", "c", "d"])
        assert found["a.py"][0].snippet == "  b\nc"

    def test_are_kept_where_they_are(self):
        found = {"a.py": [finding(1, snippet="mine")]}
        assign_fingerprints(found, lambda _: ["a"])
        assert found["a.py"][0].snippet == "mine"

    def test_are_bounded(self):
        found = {"a.py": [finding(1, end_line=5000), finding(5001)]}
        assign_fingerprints(found, lambda _: ["x" * 30] * 5000 + ["y" * 100_000])
        assert [len(each.snippet) for each in found["a.py"]] == [309, 4000]

    def test_a_line_beyond_the_file_has_none(self):
        found = {"a.py": [finding(9)]}
        assign_fingerprints(found, lambda _: ["a"])
        assert found["a.py"][0].snippet == ""
        assert found["a.py"][0].fingerprint


class TestWithoutSources:
    def test_the_snippet_counts_before_the_message(self):
        one = {"a.py": [finding(3, "1 problem", snippet="  bad( x )")]}
        two = {"a.py": [finding(8, "another text", snippet="bad( x )\n")]}
        assign_fingerprints(one)
        assign_fingerprints(two)
        assert compare(one, two) == Comparison(0, 0, 1)

    def test_numbers_in_a_message_do_not_count(self):
        one = {"a.py": [finding(3, "Defined twice, see line 12")]}
        two = {"a.py": [finding(4, "Defined twice, see line 1099")]}
        assign_fingerprints(one)
        assign_fingerprints(two)
        assert compare(one, two) == Comparison(0, 0, 1)

    def test_equal_findings_are_counted(self):
        def run(count: int) -> dict[str, list[Diagnostic]]:
            found = {"a.py": [finding(1) for _ in range(count)]}
            assign_fingerprints(found)
            return found

        assert compare(run(5), run(3)) == Comparison(new=0, fixed=2, unchanged=3)
        assert compare(run(3), run(7)) == Comparison(new=4, fixed=0, unchanged=3)

    def test_a_hundred_thousand_are_a_matter_of_a_moment(self):
        numbers = random.Random(1)
        found: dict[str, list[Diagnostic]] = {}
        for number in range(100_000):
            text = f"Line too long ({numbers.randrange(89, 400)} > 88)"
            place = numbers.randrange(1, 3000)
            one = finding(place, text, code=f"E{number % 200}")
            found.setdefault(f"{number % 1500}.py", []).append(one)
        # One to two where it takes its goal of 0.4 s.
        assert yardsticks_of(lambda: assign_fingerprints(found)) < 6
        for each in found.values():
            assert len({one.fingerprint for one in each}) == len(each)


class TestEdits:
    BEFORE = module(("pay", ["bad(1)", "fine", "bad(2)"]), ("ship", ["bad(1)", "x = bad"]))

    def test_lines_put_before_change_nothing(self):
        after = ["# new", "", *self.BEFORE]
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 0, 5)

    def test_indentation_changes_nothing(self):
        after = ["if True:", *(f"\t{line}" if line else line for line in self.BEFORE)]
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 0, 5)

    def test_neighbours_change_nothing(self):
        after = [line.replace("fine", "other(1, 2)") for line in self.BEFORE]
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 0, 5)

    def test_a_renamed_file_changes_nothing(self):
        assert compare(check({"a.py": self.BEFORE}), check({"b/c.py": self.BEFORE})) == (0, 0, 5)

    def test_functions_in_another_order_change_nothing(self):
        after = module(("ship", ["bad(1)", "x = bad"]), ("pay", ["bad(1)", "fine", "bad(2)"]))
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 0, 5)

    @pytest.mark.parametrize(
        "marker", ["# noqa: E501", "# nosec", "# type: ignore[x]", "// NOSONAR"]
    )
    def test_silencing_one_rule_leaves_the_others_of_the_line(self, marker):
        after = [f"{line}  {marker}" if "bad" in line else line for line in self.BEFORE]
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 0, 5)

    def test_one_more_like_finding_before_the_others_is_one_new(self):
        after = ["bad(1)", *self.BEFORE]
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (1, 0, 5)

    @pytest.mark.parametrize("name", ["pay", "ship"])
    def test_one_fewer_of_like_findings_is_one_fixed(self, name):
        bodies = {"pay": ["bad(1)", "fine", "bad(2)"], "ship": ["bad(1)", "x = bad"]}
        bodies[name].remove("bad(1)")
        after = module(*bodies.items())
        assert compare(check({"a.py": self.BEFORE}), check({"a.py": after})) == (0, 1, 4)

    def test_of_three_like_findings_the_right_one_is_gone(self):
        def run(*names: str) -> list[Diagnostic]:
            return check({"a.py": module(*((name, ["bad(1)"]) for name in names))})["a.py"][1:]

        smallest, middle, last = run("a", "b", "c")
        kept = [each.fingerprint for each in run("a", "c")]
        assert kept == [smallest.fingerprint, last.fingerprint]
        assert middle.fingerprint not in kept

    def test_the_acceptance_edit(self):
        """Fix one, add one, move ten, rename a file: one fixed, one new, the rest unchanged."""
        names = [f"step_{number}" for number in range(12)]
        before = {
            "work.py": module(*((name, ["bad(1)", f"bad({name})"]) for name in names)),
            "old_name.py": module(("f", ["bad(1)", "bad(1)"])),
        }
        kept = [*names[6:], *names[:6]]
        bodies = {name: ["bad(1)", "gap", f"bad({name})"] for name in kept}
        bodies["step_3"].remove("bad(step_3)")
        bodies["step_8"].append("y = bad")
        after = {
            "work.py": ["# moved", *module(*bodies.items())],
            "new_name.py": before["old_name.py"],
        }
        total = sum(map(len, check(before).values()))
        assert compare(check(before), check(after)) == Comparison(1, 1, total - 1)


LINES = st.sampled_from(["bad(1)", "bad(2)", "x = bad", "fine", "other", "# words"])
FUNCTIONS = st.dictionaries(
    st.sampled_from(["alpha", "beta", "gamma", "delta"]),
    st.lists(LINES, max_size=6),
    max_size=4,
)
FILES = st.dictionaries(st.sampled_from(["a.py", "b.py", "c/d.py"]), FUNCTIONS, min_size=1)


def tree(files) -> dict[str, list[str]]:
    return {path: module(*functions.items()) for path, functions in files.items()}


def count(run) -> int:
    return sum(map(len, run.values()))


class TestRandomEdits:
    @given(FILES)
    def test_all_are_distinct_within_a_file(self, files):
        for found in check(tree(files)).values():
            assert len({each.fingerprint for each in found}) == len(found)

    @given(FILES, st.randoms(use_true_random=False))
    def test_the_order_of_findings_does_not_count(self, files, chance):
        lines = tree(files)
        ordered = check(lines)
        for path, found in ordered.items():
            mixed = [finding(each.line, each.message, column=each.column) for each in found]
            chance.shuffle(mixed)
            assign_fingerprints({path: mixed}, lines.get)
            assert {each.line: each.fingerprint for each in mixed} == {
                each.line: each.fingerprint for each in found
            }

    @given(FILES, st.randoms(use_true_random=False))
    def test_harmless_lines_anywhere_change_nothing(self, files, chance):
        before = tree(files)
        after = {
            path: [text for line in lines for text in ("",) * chance.randrange(3) + (line,)]
            for path, lines in before.items()
        }
        assert compare(check(before), check(after)) == (0, 0, count(check(before)))

    @given(FILES, st.randoms(use_true_random=False))
    def test_functions_in_any_order_change_nothing(self, files, chance):
        shuffled = {
            path: dict(chance.sample(sorted(functions.items()), len(functions)))
            for path, functions in files.items()
        }
        before = check(tree(files))
        assert compare(before, check(tree(shuffled))) == (0, 0, count(before))

    @given(FILES)
    def test_renamed_files_change_nothing(self, files):
        before = check(tree(files))
        after = check({f"moved/{path}": lines for path, lines in tree(files).items()})
        assert compare(before, after) == (0, 0, count(before))

    @given(FILES, st.data())
    def test_one_finding_less_is_one_fixed(self, files, data):
        lines = tree(files)
        before = check(lines)
        path = data.draw(st.sampled_from(sorted(before)))
        gone = data.draw(st.sampled_from(before[path])).line
        after = {**lines, path: lines[path][: gone - 1] + lines[path][gone:]}
        assert compare(before, check(after)) == (0, 1, count(before) - 1)

    @given(FILES, st.sampled_from(["bad(1)", "bad(2)", "bad(new)"]), st.data())
    def test_one_finding_more_is_one_new(self, files, text, data):
        path = data.draw(st.sampled_from(sorted(files)))
        before = check(tree(files))
        functions = {name: list(body) for name, body in files[path].items()}
        name = data.draw(st.sampled_from(sorted({*functions, "epsilon"})))
        body = functions.setdefault(name, [])
        body.insert(data.draw(st.integers(0, len(body))), text)
        after = check(tree({**files, path: functions}))
        assert compare(before, after) == (1, 0, count(before))

    @given(st.lists(LINES, max_size=12), st.lists(LINES, max_size=12))
    def test_within_one_scope_it_is_the_difference_of_multisets(self, one, two):
        old = sorted(line for line in one if "bad" in line)
        new = sorted(line for line in two if "bad" in line)
        same = sum(min(old.count(line), new.count(line)) for line in set(old))
        result = compare(check({"a.py": one}), check({"a.py": two}))
        assert result == Comparison(len(new) - same, len(old) - same, same)


class TestScopes:
    def test_python(self):
        lines = [
            "class Cart:", "    def total(", "        self,", "    ) -> int:", "        return 1",
            "", "    def empty(self):", "        pass", "x = 1",
        ]  # fmt: skip
        assert enclosing_scopes(lines) == [
            "", "Cart", "Cart.total", "Cart.total", "Cart.total", "Cart.total",
            "Cart", "Cart.empty", "",
        ]  # fmt: skip

    def test_javascript(self):
        lines = [
            "export class Cart {", "  total(a, b) {", "    if (a) {", "      return 1;", "    }",
            "  }", "}", "const add = (a) => {", "  return a;", "};", "async function go() {",
            "  x();", "}",
        ]  # fmt: skip
        assert enclosing_scopes(lines) == [
            "", "Cart", "Cart.total", "Cart.total", "Cart.total", "Cart.total", "Cart.total",
            "", "add", "add", "", "go", "go",
        ]  # fmt: skip

    def test_a_line_of_a_megabyte_is_no_trouble(self):
        def look() -> None:
            assert enclosing_scopes(["(" * 500_000 + ")" * 500_000 + "{"]) == [""]
            found = {"a.min.js": [finding(1, column=400_000 + n) for n in range(300)]}
            assign_fingerprints(found, lambda _: ["ab;" * 300_000])

        assert yardsticks_of(look) < 5
