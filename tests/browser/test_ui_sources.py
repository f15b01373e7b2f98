"""Rules for the files of the page; these tests need no browser."""

import re
from pathlib import Path

import pytest

UI = Path(__file__).resolve().parents[2] / "ui"
SCRIPTS = {path: path.read_text() for path in UI.rglob("*.js")}
STYLES = {path: path.read_text() for path in UI.rglob("*.css")}
STRINGS = UI / "strings" / "en.js"
PAGE = (UI / "index.html").read_text()
KEYS = re.findall(r'^  "([^"]+)":', SCRIPTS[STRINGS], re.MULTILINE)


def test_every_text_that_is_asked_for_exists() -> None:
    code = PAGE + "".join(text for path, text in SCRIPTS.items() if path != STRINGS)
    asked = re.findall(r'\bt\("([^"]+)"', code) + re.findall(r'data-t(?:-label)?="([^"]+)"', code)
    assert sorted(set(asked) - set(KEYS)) == []


def test_no_text_is_left_over() -> None:
    code = PAGE + "".join(text for path, text in SCRIPTS.items() if path != STRINGS)
    made = tuple(re.findall(r"`([a-z]+\.)\$\{", code))
    unused = [key for key in KEYS if f'"{key}"' not in code and not key.startswith(made)]
    assert unused == []


def test_no_text_is_written_twice() -> None:
    assert len(KEYS) == len(set(KEYS))


def test_every_export_is_imported_somewhere() -> None:
    code = {path: text for path, text in SCRIPTS.items() if path != STRINGS}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    unused = []
    for path, text in code.items():
        others = tests + "".join(other for file, other in SCRIPTS.items() if file != path)
        names = re.findall(r"^export (?:const|class) (\w+)", text, re.MULTILINE)
        elements = set(re.findall(r'customElements\.define\("[^"]+", (\w+)\)', text))
        unused += [name for name in names if name not in elements and not re.search(rf"\b{name}\b", others)]
    assert unused == []


def test_every_class_with_a_style_is_used() -> None:
    styles = re.sub(r"/\*.*?\*/", "", "".join(STYLES.values()), flags=re.DOTALL)
    selectors = re.sub(r"\{[^{}]*\}", " ", styles)
    code = PAGE + "".join(SCRIPTS.values())
    classes = set(re.findall(r"\.(-?[a-z][\w-]*)", selectors))
    assert sorted(name for name in classes if not re.search(rf"(?<![\w-]){name}(?![\w-])", code)) == []


def test_markup_is_parsed_in_one_place_only() -> None:
    parsing = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    assert [path.name for path, text in SCRIPTS.items() if parsing.search(text)] == ["html.js"]


def test_nothing_is_inline_that_the_policy_forbids() -> None:
    for path, text in {UI / "index.html": PAGE, **SCRIPTS}.items():
        assert not re.search(r'\sstyle="', text), path
        assert not re.search(r"\son[a-z]+=\"", text), path
    assert re.findall(r"<script(?![^>]*\ssrc=)", PAGE) == []


def test_nobody_else_is_asked_for_anything() -> None:
    for path, text in {UI / "index.html": PAGE, **SCRIPTS, **STYLES}.items():
        addresses = set(re.findall(r"https?://[a-z0-9.-]+", text))
        links = {"https://www.themoviedb.org", "https://www.imdb.com", "http://www.w3.org"}
        assert addresses <= links, path


def test_styles_do_not_know_left_from_right() -> None:
    sided = re.compile(
        r"(?:^|[\s;])(?:margin|padding|border)-(?:left|right)\b|^\s*(?:left|right):", re.MULTILINE
    )
    assert [path.name for path, text in STYLES.items() if sided.search(text)] == []


@pytest.mark.parametrize("path", [*SCRIPTS, *STYLES], ids=lambda path: path.name)
def test_every_file_is_small_and_says_what_belongs_in_it(path: object) -> None:
    text = (SCRIPTS | STYLES)[path]  # type: ignore[index]
    assert len(text.splitlines()) <= 350
    assert text.startswith(("//", "/*"))
