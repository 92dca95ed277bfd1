"""Other people's text on a terminal: the names of layers and files, the words of errors."""

from __future__ import annotations

from unicodedata import category

# Control characters, invisible ones that change how others are shown, halves of surrogate pairs, line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_WORD, _WHOLE = 240, 1800  # characters of a word and of a paragraph that somebody can still read


def visible(text: str) -> str:
    r"""The text with everything that steers a terminal, or can't be seen, spelled out.

    >>> visible("fc\x1b[31m")
    'fc\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join([_spelled(character) for character in text])


def _spelled(character: str) -> str:
    if character in "\n\t" or category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode()


def paragraph(text: str) -> str:
    """The text in one visible paragraph; of what is too long to be read, the two ends."""
    words = [shortened(word, _WORD) for word in text.split()]
    return shortened(visible(" ".join(words)), _WHOLE)


def shortened(text: str, most: int) -> str:
    """The text, or its two ends with the number of characters that are left out.

    >>> shortened("x" * 1000, 20)
    'xxxxxxxxxxxxxxx … (980 more characters) … xxxxx'
    """
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]} … ({len(text) - most} more characters) … {text[-end:]}"
