"""The translations: complete, current, and with the same placeholders as the original."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

from scripts.compile_messages import Message, read_messages
from tests.rooms import ROOMS

ROOT = Path(settings.BASE_DIR)
CATALOGUES = sorted(ROOT.glob("locale/*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")
GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}


def catalogue(path: Path) -> list[Message]:
    return [
        message for message in read_messages(path.read_text(encoding="utf-8")) if message.singular
    ]


def marked_in_templates() -> Iterator[str]:
    for app in ROOMS:
        for path in (ROOT / app).glob("templates/**/*.html"):
            source = templatize(path.read_text(encoding="utf-8"), origin=str(path))
            for call in re.finditer(r"\b_\(|\bgettext\(|\bngettext\(", source):
                yield from _first_text(source[call.end() :])


def _first_text(source: str) -> Iterator[str]:
    found = re.match(r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", source, re.DOTALL)
    if found:
        yield ast.literal_eval(found.group(1))


def marked_in_code() -> Iterator[str]:
    for app in ROOMS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    first = node.args[0] if node.args else None
                    if node.func.id in GETTEXT and isinstance(first, ast.Constant):
                        yield str(first.value)


def test_there_is_a_catalogue_for_every_language_but_the_original():
    translated = {path.parts[-3] for path in CATALOGUES}
    assert translated == {code for code, _ in settings.LANGUAGES} - {settings.LANGUAGE_CODE}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_nothing_is_untranslated_or_guessed(path):
    for message in catalogue(path):
        assert not message.fuzzy, message.singular
        assert message.translations, message.singular
        assert all(text.strip() for text in message.translations.values()), message.singular


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_plurals_have_all_forms_of_the_language(path):
    forms = int(re.search(r"nplurals=(\d+)", path.read_text(encoding="utf-8")).group(1))
    for message in catalogue(path):
        if message.plural is not None:
            assert sorted(message.translations) == list(range(forms)), message.singular


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_translations_use_only_the_placeholders_of_the_original(path):
    for message in catalogue(path):
        given = set(PLACEHOLDER.findall(message.singular + (message.plural or "")))
        for text in message.translations.values():
            assert set(PLACEHOLDER.findall(text)) <= given, message.singular
        if message.plural is None:
            used = set(PLACEHOLDER.findall(message.translations[0]))
            assert used == given, message.singular


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_every_marked_text_is_in_the_catalogue(path):
    marked = {*marked_in_templates(), *marked_in_code()}
    assert len(marked) > 150, "the search for marked texts finds hardly any"
    known = {message.singular for message in catalogue(path)}
    assert marked - known == set()


def test_templates_show_no_text_that_is_not_marked():
    """Words between tags that no gettext tag wraps would stay English for everybody."""
    allowed = {"ODAVL", "SHA-256", "Enter", "j", "k", "x", "404", "403", "400", "odavl"}
    for app in ROOMS:
        for path in (ROOT / app).glob("templates/**/*.html"):
            if path.name == "api_docs.html":
                continue  # for developers, in the language of the API itself
            source = re.sub(
                r"{%\s*blocktranslate.*?{%\s*endblocktranslate\s*%}"
                r"|<(?:script|style).*?</(?:script|style)>|{#.*?#}|{%.*?%}|{{.*?}}",
                " ",
                path.read_text(encoding="utf-8"),
                flags=re.DOTALL,
            )
            for text in re.findall(r">([^<>]*)<", source):
                words = re.findall(r"[A-Za-z][A-Za-z0-9-]+", re.sub(r"&\w+;", "", text))
                assert set(words) <= allowed, f"{path.name}: {text.strip()!r}"
