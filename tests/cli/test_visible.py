"""Other people's text on a terminal: seen, and nothing but seen."""

from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st

from bitfront.cli.visible import paragraph, visible


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_steers_a_terminal(text: str) -> None:
    assert {
        category(character) for character in visible(text).replace("\n", "").replace("\t", "")
    }.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


@given(st.text(max_size=50), st.integers(0, 3000))
def test_paragraphs_have_an_end(text: str, times: int) -> None:
    assert len(paragraph(text * times)) < 2000


def test_both_ends_of_a_long_word_are_kept() -> None:
    said = paragraph("begin" + "x" * 10_000 + "end is unknown")
    assert said.startswith("beginxxx")
    assert "(9768 more characters)" in said
    assert said.endswith("xxxend is unknown")
