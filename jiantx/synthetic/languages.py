"""Six artificial languages and their lexicons."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from jiantx.synthetic.world import LEMMAS, NAMES


@dataclass(frozen=True)
class Language:
    """The grammar of a language, and how its words differ from English.

    Args:
        code: The code that task declarations use, such as "de".
        code3: Three letters, as in XTREME's Tatoeba.
        name: The English name, as in Universal Dependencies.
        cognates: The share of lemmas that keep (nearly) their English form.
        order: First letters of agent, verb, object, recipient, location and time, in the order in
            which a clause says them.
        adjective_last: Whether an adjective follows its noun.
        postpositions: Whether an adposition follows its phrase.
        articles: Whether nouns have articles.
        fused: Whether adposition and article become one token, as in German "zur".
        question_first: Whether a question word moves to the front.
        bopomofo: Whether words are written in Bopomofo letters. Digits, loans and a quarter of the
            names stay Latin.
        plural: Suffix of nouns.
        past: Suffix of verbs.
        changes: Regular sound changes of cognates: (old, new), applied in this order.
        syllables: Onsets, vowels and codas of the words that are not cognates, each joined by
            spaces. A space at either end stands for an empty coda.
    """

    code: str
    code3: str
    name: str
    cognates: float = 1.0
    order: str = "avorlt"
    adjective_last: bool = False
    postpositions: bool = False
    articles: bool = True
    fused: bool = False
    question_first: bool = True
    bopomofo: bool = False
    plural: str = "s"
    past: str = "ed"
    changes: tuple[tuple[str, str], ...] = ()
    syllables: tuple[str, str, str] = ("", "", "")


ENGLISH = Language("en", "eng", "English")
_GERMAN = Language(
    "de",
    "deu",
    "German",
    cognates=0.80,
    plural="en",
    past="te",
    changes=(("th", "d"), ("w", "v"), ("c", "k"), ("ea", "ei")),
    syllables=("b br g gr k kl m schl st tr z", "a e i u ei au", "ch ft ng rn st t"),
)
_SPANISH = Language(
    "es",
    "spa",
    "Spanish",
    cognates=0.60,
    adjective_last=True,
    fused=True,
    plural="os",
    past="ado",
    changes=(("sh", "s"), ("k", "qu"), ("ee", "i"), ("w", "gu")),
    syllables=("b c d f ll m n p r t v", "a e i o u ia", "l n r s z "),
)
_RUSSIAN = Language(
    "ru",
    "rus",
    "Russian",
    cognates=0.45,
    order="tavlor",
    articles=False,
    plural="iy",
    past="il",
    changes=(("w", "v"), ("c", "k"), ("h", "g"), ("oo", "u")),
    syllables=("b d gl kr m n pr sk st v zh", "a e i o u ya", "k l m n sh v "),
)
_ARABIC = Language(
    "ar",
    "ara",
    "Arabic",
    cognates=0.25,
    order="tlvaro",
    adjective_last=True,
    plural="aat",
    past="aha",
    changes=(("p", "b"), ("v", "f"), ("g", "j"), ("e", "i")),
    syllables=("kh d f h j m q r s t w", "a i u aa", "b d l m q r"),
)
_CHINESE = Language(
    "zh",
    "cmn",
    "Chinese",
    cognates=0.10,
    order="tlarov",
    postpositions=True,
    articles=False,
    question_first=False,
    bopomofo=True,
    plural="men",
    past="le",
    syllables=("b d g h j l m q sh t x zh", "a e i o u", " n ng"),
)
LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (ENGLISH, _GERMAN, _SPANISH, _RUSSIAN, _ARABIC, _CHINESE)
}

_LATIN_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST_BOPOMOFO_LETTER = 0x3105
_BOPOMOFO = {
    ord(letter): chr(_FIRST_BOPOMOFO_LETTER + index) for index, letter in enumerate(_LATIN_LETTERS)
}


@cache
def lexicon(code: str) -> dict[str, str]:
    """Return the stems of a language: lemma or name -> stem.

    Which lemmas are cognates is nested: what Chinese shares with English, Spanish shares too. So
    is which cognates undergo sound changes: the farther the language, the more of them.
    """
    language = LANGUAGES[code]
    rng = random.Random(f"lexicon {code}")
    shared = round(language.cognates * len(LEMMAS))
    cognates = set(_shuffled_lemmas("cognates")[:shared])
    unchanged = set(_shuffled_lemmas("changes")[: (len(LEMMAS) + shared) // 2])
    stems = {}
    taken = set(LEMMAS)
    for lemma in LEMMAS:
        if lemma not in cognates:
            stem = _invent_stem(rng, language, taken)
        elif lemma not in unchanged:
            stem = _apply_changes(lemma, language)
        else:
            stem = lemma
        stems[lemma] = stem
    for rank, name in enumerate(NAMES):
        # A quarter keeps the Latin script everywhere, as names do in real text. They anchor the
        # scripts to one another.
        is_transcribed = language.bopomofo and rank % 4
        stems[name] = name.lower().translate(_BOPOMOFO) if is_transcribed else name
    return stems


def _shuffled_lemmas(seed: str) -> list[str]:
    return random.Random(seed).sample(LEMMAS, len(LEMMAS))


def _invent_stem(rng: random.Random, language: Language, taken: set[str]) -> str:
    """Draw two syllables that are not `taken` yet, and add them to it."""
    onsets, vowels, codas = (letters.split(" ") for letters in language.syllables)
    while True:
        first = rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas)
        second = rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas)
        stem = first + second
        if stem not in taken:
            taken.add(stem)
            return stem.translate(_BOPOMOFO) if language.bopomofo else stem


def _apply_changes(stem: str, language: Language) -> str:
    for old, new in language.changes:
        stem = stem.replace(old, new)
    return stem


def inflect(stem: str, suffix: str) -> str:
    """Append a suffix in the stem's script; a letter that would stand twice is written once.

    >>> inflect("paste", "ed")
    'pasted'

    Args:
        stem: A form of the lexicon.
        suffix: Latin letters.

    Returns:
        The inflected form.
    """
    if not stem.isascii():
        suffix = suffix.translate(_BOPOMOFO)
    if stem[-1] == suffix[0]:
        return stem + suffix[1:]
    return stem + suffix
