"""Lines as detectors count them."""

from odavl.engines.insight.source_text import SourceFiles, split_lines


def test_only_line_ends_end_lines():
    assert split_lines("a\r\nb\rc\nd\x0ce\u2028f") == ["a", "b", "c", "d\x0ce\u2028f"]
    assert split_lines("\ufeffa") == ["a"]


def test_what_is_no_text_has_no_lines(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"a\0b")
    (tmp_path / "a.ipynb").write_text("{}")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    source = SourceFiles(tmp_path)
    assert source.lines("a.bin") is None
    assert source.lines("a.ipynb") is None
    assert source.lines("none.py") is None
    assert source.lines("nul\0name") is None
    assert source.lines("latin.py") == ["x = '\ufffd'", ""]
