"""A question reduced to what it says: courtesies and light words left out, the rest as it stands.

Whatever may be quoted, listed or code is kept as written: there every sign can matter.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from features.lexicon import (
    ABOUT_WORDS,
    BEFORE_A_WORD,
    CODE,
    COUNTED,
    ENDINGS,
    LIGHT,
    MEANING,
    NEGATION_SIGNS,
    NEGATIONS,
    NUMBERS,
    OPENINGS,
    SPELT_OUT,
    STARTERS,
    UNITS_BY_CAPITALS,
)

READ_CHARS = 2_000
TAIL_CHARS = 60
COURTESIES = 8
# A quotation and what follows a colon are one token each: nothing in them is light. A sign or a
# point before a number is part of it.
TOKEN = re.compile(
    r"\"[^\"]*\"|“[^”]*”|„[^“]*“|«[^»]*»|「[^」]*」|(?::\s|\n)[\s\S]*"
    r"|[^\W\d_]+|(?:[-\u2010-\u2015\u2212]\s*)?[.,!]?\d+(?:[.,:]\d+)*(?:\s*!)*"
    r"|[^\s\w.,;:!?…'\u2019\u2018\"“”„«»「」¿¡()\u2013—、。\uff0c\uff01\uff1f\u061f-]"
)
SIGNS = re.compile("[\u4e00-\u9fff]|[\u3040-\u30ff]+|[^\u3040-\u30ff\u4e00-\u9fff]+")
# What stands after a colon or in quotes is what the question is about: no courtesy ends it.
PAYLOAD = re.compile(r":\s|\n|[\"”»」]$")
ORDINARY = (LIGHT | COUNTED | MEANING.keys() | STARTERS) - NEGATIONS
LETTERS = frozenset("aAiI")
KEPT = re.compile(r"'[^\W\d_]{2,}")
DIGIT = re.compile(r"\d")
# Signs that say another thing than the same letters on the line: 10² is not 102.
OFF_THE_LINE = ("<super>", "<sub>", "<fraction>", "<circle>", "<square>")
ARTICLE = re.compile(r"\s+\w")


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a question in order, its marks, and the names among its words.

    `marks` are what a paraphrase cannot change: numbers, negations, opposites, quotations.
    """

    words: tuple[str, ...]
    marks: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Return the wording; None of a long text, code, raised signs, nothing but courtesies.

        >>> Wording.of("Hi! Could you tell me the capital of France, please?").words
        ('capital', 'of', 'france')
        """
        text = text.strip()
        if len(text) > READ_CHARS:  # before it is looked at: marks of one letter take their square
            return None
        plain = unicodedata.normalize("NFKC", text).strip()
        if len(plain) > READ_CHARS or CODE.search(plain) or _is_off_the_line(text):
            return None
        is_shouted = plain.isupper() and not DIGIT.search(plain)
        plain = _bare(plain.lower() if is_shouted else plain)
        tokens = list(_tokens(plain))
        is_matter = ABOUT_WORDS.search(plain) is not None
        words = _as_written(tokens) if is_matter else [w for w in map(_folded, tokens) if w]
        marks = [mark for mark in map(_mark, tokens) if mark] + NEGATION_SIGNS.findall(plain)
        names = tuple(filter(None, map(_folded, _names(plain))))
        return cls(tuple(words), tuple(sorted(marks)), names) if words else None


def _is_off_the_line(text: str) -> bool:
    """Return whether a sign is raised, lowered or a fraction, or numbers by itself, as ⒈ does."""
    return any(
        unicodedata.category(sign) == "No"
        or unicodedata.decomposition(sign).startswith(OFF_THE_LINE)
        for sign in text
    )


def _bare(text: str) -> str:
    """Return a text without greetings and courtesies, its short forms spelt out."""
    for pattern, spelt in SPELT_OUT:
        text = pattern.sub(spelt, text)
    for _ in range(COURTESIES):
        shorter = text
        if not PAYLOAD.search(text) and not ABOUT_WORDS.search(text):
            shorter = text[:-TAIL_CHARS] + ENDINGS.sub("", text[-TAIL_CHARS:])
        for opening in OPENINGS:
            match = opening.match(shorter)
            shorter = shorter[match.end() :] if match else shorter
        if shorter == text or not shorter.strip():
            break
        text = shorter.strip()
    return text


def _tokens(text: str) -> Iterator[str]:
    before = ""
    for match in TOKEN.finditer(text):
        said = match[0].strip(": \n")
        before = "" if _begins(text, match.start()) else before
        is_letter = said in LETTERS and not _is_word(said, before, text[match.end() :])
        if is_letter or not match[0][0].isalpha() or _is_unit(said, before):
            yield f"'{said}"  # it stands for itself
        else:
            yield from SIGNS.findall(said)
        before = said.casefold()


def _is_word(letter: str, before: str, after: str) -> bool:
    """Return whether a letter of its own is an article or a pronoun, from what is around it."""
    if ARTICLE.match(after) is None or (letter == "A" and before):
        return False
    return not before or before in BEFORE_A_WORD


def _is_unit(said: str, before: str) -> bool:
    """Return whether a word with capitals may be a unit, which with others would be another."""
    is_after_number = before[-1:].isdigit()
    return said != said.lower() and (is_after_number or said.casefold() in UNITS_BY_CAPITALS)


def _begins(text: str, at: int) -> bool:
    """Return whether a sentence begins here."""
    before = text[:at].rstrip()
    return not before or before[-1] in ".?!¿¡"


def _as_written(tokens: list[str]) -> list[str]:
    """Return every word as it is, but for the capital of the first: it is what is to be done."""
    first = tokens[0].casefold() if tokens and tokens[0].isalpha() and tokens[0].istitle() else ""
    return [first, *tokens[1:]] if first else tokens


def _folded(token: str) -> str:
    """Return the word as it is compared; nothing of a light one.

    Capitals are kept where without them it would be another word: US, IT, WHO, a unit.
    """
    word = token.casefold()
    if KEPT.fullmatch(token) or (len(token) > 1 and token.isupper() and word in ORDINARY):
        return token
    return "" if word in LIGHT else word


def _mark(token: str) -> str:
    """Return what must have an equal on the other side, if it is that."""
    word = _folded(token)
    if word in NEGATIONS:
        return "not"
    return MEANING.get(word) or (word if word in NUMBERS or not word.isalpha() else "")


def _names(text: str) -> Iterator[str]:
    """Yield the words with a capital, but for the one that a sentence begins with, and units."""
    before = ""
    for match in TOKEN.finditer(text):
        said = match[0]
        begins = _begins(text, match.start())
        is_ordinary = begins and said.casefold() in STARTERS
        is_unit = _is_unit(said, "" if begins else before)
        if said.isalpha() and said != "I" and said.lower() != said and not is_ordinary | is_unit:
            yield said
        before = said
