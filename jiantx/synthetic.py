"""A small multilingual world, written in the real datasets' own columns.

The world has people, towns, organisations, things and what happened to them. A *meaning* (`Event`) is a small
frozen value; a `Language` renders it into tagged words, so that sentences are parallel by construction.
`write_root` says the world in the columns of the real datasets; whoever reads those reads this.

**The languages are artificial.** They borrow the codes `en, de, es, ru, ar, zh` because the task declarations list
real codes; no score on them says anything about German or Chinese. English is a plain subset of English, so
that a person can read along. Each of the others differs from it by amounts that `distance` measures: how many
words look like the English ones, how the words are ordered, and the script.

Everything here is a function of a seed: the same arguments write the same rows.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.sources import cache_dir

if TYPE_CHECKING:
    from transformers import XLMRobertaConfig

VERSION = "1"  # a part of the cached root's name: raise it with every change of what is written
MANIFEST = "jiantx-synthetic.json"

# --- The world ---------------------------------------------------------------------------------------------------
# A lemma is its English word. Words between bars are synonyms; what stands in one line excludes one another.


def _groups(text: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    return tuple(tuple(tuple(words.split()) for words in line.split("|")) for line in text.strip().splitlines())


@dataclass(frozen=True)
class Domain:
    """Things of one kind, where they are found and who deals with them."""

    kind: str
    things: tuple[str, ...]
    places: tuple[str, ...]
    people: tuple[str, ...]


DOMAINS = tuple(
    Domain(kind[0], things, places, people)
    for kind, things, places, people in _groups("""
fruit | apple pear plum lemon melon | orchard market | farmer grocer
beast | horse goat hen donkey rabbit | stable meadow | rider shepherd
tool | hammer spade ladder shovel bucket | workshop cellar | carpenter mason
garment | coat shirt scarf glove hat | laundry attic | tailor weaver
vessel | jar bottle kettle barrel bowl | kitchen tavern | cook potter
text | letter book map poem novel | library museum | clerk writer
toy | doll kite drum marble puppet | nursery school | teacher nurse
vehicle | wagon boat sled cart raft | harbor station | sailor driver
""")
)
VERBS = _groups("""
collect gather | scatter
clean wash | stain soil
load fill | unload drain
deliver transport | return
open unlock | close seal
display exhibit | conceal cover
praise admire | scorn
order request | cancel
accept welcome | refuse reject
repair mend | damage ruin
paint decorate | bleach
lift raise | lower
""")
GIVING = _groups("""
hand pass | retain
mail post
offer present | decline
""")
PERSON_ADJECTIVES = _groups("""
happy cheerful | sad gloomy
rich wealthy | poor needy
young youthful | elderly aged
clever wise | foolish silly
brave bold | timid shy
tall | short
""")
THING_ADJECTIVES = _groups("""
big large | small little
heavy | light
cheap | costly expensive
old ancient | new fresh
strong sturdy | weak fragile
red | blue | green | yellow | white | black
""")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADVERBS = ("yesterday", "today", "recently", "then")
FUNCTION_WORDS = {
    "DET": ("the", "a", "every"), "ADP": ("in", "on", "to"), "AUX": ("did", "is"), "PART": ("not",),
    "CCONJ": ("and",), "PRON": ("who", "what"), "ADV": ("where", "when", *ADVERBS),
}  # fmt: skip
QUESTION_WORDS = {"agent": "who", "object": "what", "recipient": "who", "place": "where", "time": "when"}
ORGANISATIONS = ("bank", "council", "theatre", "union")
REGIONS = ("port", "mount", "lake")
_NAMES = _groups("""
Mira Tomas Lena Oskar Petra Hugo Nadia Felix Clara Bruno Irene Viktor Alma Jonas Selma Marco Dora Anton Rosa Emil
Halden Morrow Keller Vance Lindt Sorel Barden Quist
Dorvale Kelmar Ostrin Brenholm Tavira Lunden Marosk Velden Ansburg Corvino Ruthen Selby
""")
PEOPLE, SURNAMES, TOWNS = (names for (names,) in _NAMES)

KIND_OF = {thing: domain.kind for domain in DOMAINS for thing in domain.things}
THINGS_OF = {domain.kind: domain.things for domain in DOMAINS}
PLACES = tuple(place for domain in DOMAINS for place in domain.places)
_GROUPS = (*VERBS, *GIVING, *PERSON_ADJECTIVES, *THING_ADJECTIVES)
SYNONYMS = {word: words for group in _GROUPS for words in group for word in words}
OPPOSITES = {
    word: tuple(w for others in group if others is not words for w in others)
    for group in _GROUPS for words in group for word in words
}  # fmt: skip
UPOS = {word: tag for tag, words in FUNCTION_WORDS.items() for word in words}
ENTITY = {word: tag for tag, words in
          (("PER", PEOPLE), ("ORG", ORGANISATIONS), ("LOC", (*REGIONS, *TOWNS))) for word in words}  # fmt: skip
NAMES = (*PEOPLE, *SURNAMES, *TOWNS)
LEMMAS = tuple(dict.fromkeys((
    *UPOS, *SYNONYMS, "belong", *DAYS, *ORGANISATIONS, *REGIONS,
    *(word for d in DOMAINS for word in (d.kind, *d.things, *d.places, *d.people)),
)))  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A noun with what belongs to it: `3 red apples`, `Mira Vance`, `the Dorvale bank`."""

    noun: str
    adjective: str | None = None
    count: int = 1
    name: str | None = None  # a surname, or the town in an organisation's or a region's name
    article: str = "the"


@dataclass(frozen=True)
class Event:
    """Who did what, to whom, where and when. A negated event is one that did not happen."""

    agent: Phrase
    verb: str
    object: Phrase | None = None
    recipient: Phrase | None = None
    place: Phrase | None = None
    time: str | None = None
    negated: bool = False


# --- Languages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Language:
    """How meanings are said. `order` arranges Subject, Verb, Object, Recipient, Place and Time."""

    code: str
    code3: str  # XTREME's Tatoeba uses three letters
    name: str
    cognates: float = 1.0  # the share of lemmas that keep (nearly) the English form
    order: str = "SVORPT"
    adjective_last: bool = False
    postpositions: bool = False
    articles: bool = True
    fused: bool = False  # adposition and article melt into one word, as in German "zur"
    question_first: bool = True
    bopomofo: bool = False  # all but loans, digits and some names is written in these letters
    plural: str = "s"
    past: str = "ed"
    changes: tuple[tuple[str, str], ...] = ()  # regular sound changes of cognates
    syllables: tuple[str, str, str] = ("", "", "")  # onsets, vowels, codas of the words that are not cognates


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("en", "eng", "English"),
        Language("de", "deu", "German", 0.80, plural="en", past="te",
                 changes=(("th", "d"), ("w", "v"), ("c", "k"), ("ea", "ei")),
                 syllables=("b br g gr k kl m schl st tr z", "a e i u ei au", "ch ft ng rn st t")),
        Language("es", "spa", "Spanish", 0.60, plural="os", past="ado", adjective_last=True, fused=True,
                 changes=(("sh", "s"), ("k", "qu"), ("ee", "i"), ("w", "gu")),
                 syllables=("b c d f ll m n p r t v", "a e i o u ia", "l n r s z ")),
        Language("ru", "rus", "Russian", 0.45, "TSVPOR", plural="iy", past="il", articles=False,
                 changes=(("w", "v"), ("c", "k"), ("h", "g"), ("oo", "u")),
                 syllables=("b d gl kr m n pr sk st v zh", "a e i o u ya", "k l m n sh v ")),
        Language("ar", "ara", "Arabic", 0.25, "TPVSRO", adjective_last=True, plural="aat", past="aha",
                 changes=(("p", "b"), ("v", "f"), ("g", "j"), ("e", "i")),
                 syllables=("kh d f h j m q r s t w", "a i u aa", "b d l m q r")),
        Language("zh", "cmn", "Chinese", 0.10, "TPSROV", postpositions=True, articles=False, question_first=False,
                 bopomofo=True, plural="men", past="le",
                 syllables=("b d g h j l m q sh t x zh", "a e i o u", " n ng")),
    )
}  # fmt: skip
_BOPOMOFO = str.maketrans({chr(97 + i): chr(0x3105 + i) for i in range(26)})


def _invent(rng: random.Random, language: Language) -> str:
    onsets, vowels, codas = (part.split(" ") for part in language.syllables)
    return "".join(rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(2))


@cache
def lexicon(code: str) -> dict[str, str]:
    """Lemma to stem.

    Which lemmas are cognates is nested (what Chinese shares, Spanish shares too), and which cognates are open to
    sound changes likewise: the farther a language, the more.
    """
    language, rng = LANGUAGES[code], random.Random(f"lexicon {code}")
    shared = round(language.cognates * len(LEMMAS))
    cognates = set(random.Random("cognates").sample(LEMMAS, len(LEMMAS))[:shared])
    unchanged = set(random.Random("changes").sample(LEMMAS, len(LEMMAS))[: (len(LEMMAS) + shared) // 2])
    stems, taken = {}, set(LEMMAS)
    for lemma in LEMMAS:
        stem = lemma
        if lemma not in cognates:
            while (stem := _invent(rng, language)) in taken:
                pass
            taken.add(stem)
        elif lemma not in unchanged:
            for old, new in language.changes:
                stem = stem.replace(old, new)
        stems[lemma] = stem.translate(_BOPOMOFO) if language.bopomofo and lemma not in cognates else stem
    for rank, name in enumerate(NAMES):
        # A quarter keeps the Latin script everywhere, as names do in real text: anchors between the scripts.
        stems[name] = name.lower().translate(_BOPOMOFO) if language.bopomofo and rank % 4 else name
    return stems


@cache
def _inflect(code: str, lemma: str, suffix: str) -> str:
    stem, language = lexicon(code)[lemma], LANGUAGES[code]
    if language.bopomofo and not stem.isascii():
        suffix = suffix.translate(_BOPOMOFO)
    return stem + suffix[stem[-1] == suffix[0] :]


@dataclass(frozen=True)
class Word:
    """A syntactic word. `key` names its part in the meaning (`object.adjective`) and aligns languages."""

    form: str
    lemma: str
    upos: str
    key: str
    parent: str  # the key of its syntactic head; "" for the root
    relation: str
    entity: str = ""


@dataclass(frozen=True)
class Sentence:
    """Words in their order, and the tokens that they are written as: one token is one or two words."""

    words: tuple[Word, ...]
    tokens: tuple[tuple[str, int], ...]  # (form, how many words)

    @property
    def text(self) -> str:
        return "".join(form if form in ".?" else f" {form}" for form, _ in self.tokens).lstrip()

    def span(self, key: str) -> tuple[int, int]:
        """Where in the text the meaning's part `key` stands, without adposition and article."""
        start, end, position, words = -1, -1, 0, iter(self.words)
        for form, count in self.tokens:
            position += bool(position) and form not in ".?"
            written = [w for w in itertools.islice(words, count) if w.upos not in ("ADP", "DET")]
            if any(w.key.split(".")[0] == key for w in written):
                start, end = position if start < 0 else start, position + len(form)
            position += len(form)
        return start, end


def _phrase(phrase: Phrase, language: Language, key: str, parent: str, *, relation: str, adposition: str) -> list[Word]:
    code, head, entity = language.code, f"{key}.noun", ENTITY.get(phrase.noun, "")

    def word(lemma: str, upos: str, part: str, relation: str, *, form: str | None = None, entity: str = "") -> Word:
        return Word(form or lexicon(code)[lemma], lemma, upos, f"{key}.{part}", head, relation, entity)

    form = lexicon(code)[phrase.noun]
    if phrase.count > 1:
        form = _inflect(code, phrase.noun, language.plural)
    upos = "PROPN" if entity else "NOUN"
    noun = Word(form.capitalize() if entity else form, phrase.noun, upos, head, parent, relation, entity)
    core = [noun]
    if phrase.adjective:
        core.append(word(phrase.adjective, "ADJ", "adjective", "amod"))
    if not language.adjective_last:
        core.reverse()
    if phrase.name:
        name = word(phrase.name, "PROPN", "name", "flat" if entity == "PER" else "compound", entity=entity)
        core.insert(len(core) if entity == "PER" or language.adjective_last else core.index(noun), name)
    if phrase.count > 1:
        core.insert(0, word(str(phrase.count), "NUM", "count", "nummod", form=str(phrase.count)))
    elif entity in ("", "ORG") and phrase.article and (language.articles or phrase.article == "every"):
        core.insert(0, word(phrase.article, "DET", "article", "det"))
    if adposition:
        core.insert(len(core) if language.postpositions else 0, word(adposition, "ADP", "adposition", "case"))
    return core


def _clause(event: Event, language: Language, *, ask: str, front: str, prefix: str, parent: str) -> list[Word]:
    """The words of one event; `ask` names the part that a question asks for ("polar": none)."""
    code, root = language.code, f"{prefix}verb"

    def word(lemma: str, part: str, relation: str, upos: str = "") -> Word:
        return Word(lexicon(code)[lemma], lemma, upos or UPOS[lemma], f"{prefix}{part}", root, relation)

    parts: dict[str, list[Word]] = {}
    for part, relation, adposition in (("agent", "nsubj", ""), ("object", "obj", ""), ("recipient", "obl", "to"),
                                       ("place", "obl", "in")):  # fmt: skip
        phrase = getattr(event, part)
        if part == ask:
            parts[part] = [word(QUESTION_WORDS[part], f"{part}.noun", "advmod" if part == "place" else relation)]
        elif phrase:
            parts[part] = _phrase(phrase, language, prefix + part, root, relation=relation, adposition=adposition)
    if ask == "time":
        parts["time"] = [word("when", "time.noun", "advmod")]
    elif event.time in DAYS:
        day = Phrase(event.time, article="")
        parts["time"] = _phrase(day, language, f"{prefix}time", root, relation="obl", adposition="on")
    elif event.time:
        parts["time"] = [word(event.time, "time.noun", "advmod")]
    # English do-support, everywhere: "did not open", "what did Mira open", but "who opened".
    support = event.verb != "is" and (event.negated or ask not in ("", "agent"))
    form = lexicon(code)[event.verb] if support or event.verb == "is" else _inflect(code, event.verb, language.past)
    upos = "AUX" if event.verb == "is" else "VERB"
    verb = Word(form, event.verb, upos, root, parent, "conj" if parent else "root")
    auxiliary = [word("did", "auxiliary", "aux")] if support else []
    parts["verb"] = [*([word("not", "negation", "advmod")] if event.negated else []), verb]
    first = [part for part in (front, ask) if part in parts and (part != ask or language.question_first)]
    inverted = bool(ask) and language.question_first and ask != "agent"
    if not inverted:
        parts["verb"] = [*auxiliary, *parts["verb"]]
    if language.order.endswith("V"):
        parts["verb"].reverse()
    letters = {"S": "agent", "V": "verb", "O": "object", "R": "recipient", "P": "place", "T": "time"}
    rest = [letters[x] for x in language.order if letters[x] in parts and letters[x] not in first]
    if inverted and event.verb == "is":
        first, rest = [*first, "verb"], [part for part in rest if part != "verb"]
    words = list(itertools.chain.from_iterable(parts[part] for part in first))
    return [*words, *(auxiliary if inverted else []), *itertools.chain.from_iterable(parts[part] for part in rest)]


def render(events: Event | Sequence[Event], language: Language, *, ask: str = "", front: str = "") -> Sentence:
    """Say one event, or several joined by `and`. The second event's keys begin with `1:`.

    >>> event = Event(Phrase("cook", "happy"), "open", Phrase("jar", "red", count=3), time="monday")
    >>> render(event, LANGUAGES["en"]).text
    'the happy cook opened 3 red jars on monday.'
    >>> render(event, LANGUAGES["en"], ask="object").text
    'what did the happy cook open on monday?'
    """
    words: list[Word] = []
    for index, event in enumerate([events] if isinstance(events, Event) else events):
        prefix = f"{index}:" if index else ""
        if index:
            conjunction = lexicon(language.code)["and"]
            words.append(Word(conjunction, "and", "CCONJ", f"{prefix}and", f"{prefix}verb", "cc"))
        words += _clause(event, language, ask=ask, front=front, prefix=prefix, parent="verb" if index else "")
    mark = "?" if ask else "."
    words.append(Word(mark, mark, "PUNCT", "mark", "verb", "punct"))
    tokens: list[tuple[str, int]] = []
    for left, right in itertools.pairwise([*words, words[-1]]):
        if tokens and tokens[-1][1] == 2 and left.relation == "det":
            continue  # written with the adposition before it
        melts = language.fused and left.upos == "ADP" and right.lemma == "the"
        tokens.append((left.form + right.form[-1], 2) if melts else (left.form, 1))
    return Sentence(tuple(words), tuple(tokens))


def distance(language: Language, *, sample: int = 200) -> dict[str, float]:
    """How far a language is from English, measured on its lexicon and on sentences, each in [0, 1].

    `lexicon`: the share of lemmas and names whose form is not similar to the English one (a matching ratio under 0.6);
    `order`: the share of pairs of aligned words that stand the other way round (Kendall's tau distance);
    `script`: 1 if most letters are not Latin; `overall`: their mean, weighted 0.5, 0.3, 0.2.
    """
    english, own = lexicon("en"), lexicon(language.code)
    unlike = sum(SequenceMatcher(None, english[x], own[x], autojunk=False).ratio() < 0.6 for x in english)
    rng, turned, pairs, latin, letters = random.Random("distance"), 0, 0, 0, 0
    for _ in range(sample):
        event = _event(rng)
        here, there = (render(event, spoken) for spoken in (LANGUAGES["en"], language))
        place = {word.key: position for position, word in enumerate(there.words)}
        positions = np.array([place[word.key] for word in here.words if word.key in place])
        turned += int(np.triu(positions[:, None] > positions[None, :]).sum())
        pairs += len(positions) * (len(positions) - 1) // 2
        characters = [character for character in there.text if character.isalpha()]
        latin, letters = latin + sum(map(str.isascii, characters)), letters + len(characters)
    measured = {"lexicon": unlike / len(english), "order": turned / pairs, "script": float(latin < letters / 2)}
    overall = 0.5 * measured["lexicon"] + 0.3 * measured["order"] + 0.2 * measured["script"]
    return {**measured, "overall": overall}


# --- What happens ------------------------------------------------------------------------------------------------
# Pairs are made backwards: the second text is drawn the same way under every label and the first is made to fit, so
# that the second alone says nothing about the label; nor does a premise, which has two details under each.

DETAILS = ("agent.adjective", "object.adjective", "place", "time")


def _person(rng: random.Random, domain: Domain) -> Phrase:
    if rng.random() < 0.45:
        return Phrase(rng.choice(PEOPLE), name=rng.choice(SURNAMES) if rng.random() < 0.3 else None)
    if rng.random() < 0.12:
        return Phrase(rng.choice(ORGANISATIONS), name=rng.choice(TOWNS))
    return Phrase(rng.choice(domain.people))


def _place(rng: random.Random, domain: Domain) -> Phrase:
    if rng.random() < 0.6:
        return Phrase(rng.choice(domain.places))
    town = rng.choice(TOWNS)
    return Phrase(rng.choice(REGIONS), name=town) if rng.random() < 0.25 else Phrase(town)


def _any(rng: random.Random, groups: Sequence[Sequence[Sequence[str]]]) -> str:
    return rng.choice(rng.choice(rng.choice(groups)))


def _domain(event: Event) -> Domain:
    noun = event.object.noun if event.object else ""
    return next((d for d in DOMAINS if noun in (d.kind, *d.things)), DOMAINS[0])


def _event(rng: random.Random, *, details: int | None = None, giving: bool | None = None) -> Event:
    """Draw an event. Its words suit one another: each kind of thing has its people, places and usual verbs."""
    index = rng.randrange(len(DOMAINS))
    domain = DOMAINS[index]
    noun = domain.kind if rng.random() < 0.1 else rng.choice(domain.things)
    thing = Phrase(noun, count=rng.randint(2, 9) if rng.random() < 0.35 else 1)
    giving = rng.random() < 0.2 if giving is None else giving
    usual = [VERBS[(index + step) % len(VERBS)] for step in (0, 1, 2)] if rng.random() < 0.7 else VERBS
    event = Event(_person(rng, domain), _any(rng, GIVING if giving else usual), thing)
    if giving:
        others = [person for person in PEOPLE if person != event.agent.noun]
        event = replace(event, recipient=Phrase(rng.choice(others)))
    return _add(rng, event, rng.randint(1, 3) if details is None else details)


def _has(event: Event, slot: str) -> bool:
    part, _, inner = slot.partition(".")
    value = getattr(event, part)
    return bool(getattr(value, inner) if inner and value else value)


def _set(event: Event, slot: str, value: Any) -> Event:
    part, _, inner = slot.partition(".")
    return replace(event, **{part: replace(getattr(event, part), **{inner: value}) if inner else value})


def _add(rng: random.Random, event: Event, count: int, *, without: Iterable[str] = ()) -> Event:
    """Add up to `count` details that the event lacks."""
    free = [slot for slot in DETAILS if not _has(event, slot) and slot not in without]
    if event.agent.noun in ENTITY and "agent.adjective" in free:
        free.remove("agent.adjective")  # names stand alone
    for slot in rng.sample(free, min(count, len(free))):
        if slot == "agent.adjective":
            value: Any = _any(rng, PERSON_ADJECTIVES)
        elif slot == "object.adjective":
            value = _any(rng, THING_ADJECTIVES)
        else:
            value = _place(rng, _domain(event)) if slot == "place" else rng.choice((*DAYS, *ADVERBS[:3]))
        event = _set(event, slot, value)
    return event


def _reword(rng: random.Random, event: Event, rate: float = 0.3) -> Event:
    """Say the same in other words: synonyms."""
    for slot in ("verb", "agent.adjective", "object.adjective"):
        if _has(event, slot) and rng.random() < rate:
            part, _, inner = slot.partition(".")
            word = getattr(getattr(event, part), inner) if inner else event.verb
            event = _set(event, slot, rng.choice(SYNONYMS[word]))
    return event


def _contradict(rng: random.Random, event: Event) -> Event:
    """Change one thing so that both cannot be true of the same occasion."""
    assert event.object
    options: list[tuple[str, Any]] = [("negated", not event.negated)]
    if OPPOSITES[event.verb]:
        options += [("verb", rng.choice(OPPOSITES[event.verb]))] * 2
    for slot, adjective in (("agent.adjective", event.agent.adjective), ("object.adjective", event.object.adjective)):
        if adjective:
            options.append((slot, rng.choice(OPPOSITES[adjective])))
    if event.object.count > 1:
        options.append(("object.count", rng.choice([n for n in range(2, 10) if n != event.object.count])))
    if event.object.noun in KIND_OF:
        siblings = [x for x in THINGS_OF[KIND_OF[event.object.noun]] if x != event.object.noun]
        options.append(("object.noun", rng.choice(siblings)))
    if event.place:
        others = [x for x in (*PLACES, *TOWNS) if x not in (event.place.noun, event.place.name)]
        options.append(("place", Phrase(rng.choice(others))))
    if event.time:
        options.append(("time", rng.choice([day for day in DAYS if day != event.time])))
    return _set(event, *rng.choice(options))


def _forget(rng: random.Random, event: Event, general: float = 0.3) -> tuple[Event, str]:
    """Leave one detail out, or say less of the object (`apple`: `fruit`); and which part it was."""
    options = [slot for slot in DETAILS if _has(event, slot)]
    assert event.object
    if event.object.noun in KIND_OF and (rng.random() < general or not options):
        return _set(event, "object.noun", KIND_OF[event.object.noun]), "object.noun"
    slot = rng.choice(options)
    return _set(event, slot, None), slot


def _specify(rng: random.Random, event: Event) -> Event:
    things = THINGS_OF.get(event.object.noun) if event.object else None
    return _set(event, "object.noun", rng.choice(things)) if things else event


def _detailed(rng: random.Random) -> Event:
    while not any(_has(event := _event(rng), slot) for slot in DETAILS):
        pass
    return replace(event, negated=rng.random() < 0.1)


# --- Items: one function a task type, meanings without a language -------------------------------------------------
# An item is a function of a language to canonical fields; the tables below name the columns.

Fields = dict[str, Any]
Item = Callable[[Language], Fields]
NLI_LABELS = ("entailment", "neutral", "contradiction")


def nli(rng: random.Random) -> Item:
    """Entailed: the premise says all that the hypothesis says; neutral: less; contradiction: otherwise."""
    label, hypothesis = rng.randrange(3), _add(rng, _event(rng, details=0), rng.randint(1, 2))
    hypothesis = replace(hypothesis, negated=rng.random() < 0.25)
    premise, forgotten = hypothesis, ""
    if label == 0:
        premise = _specify(rng, hypothesis) if rng.random() < 0.5 else hypothesis
    elif label == 1:
        premise, forgotten = _forget(rng, hypothesis, general=0.1)
    else:
        premise = _contradict(rng, hypothesis)
    lacking = 2 - sum(_has(premise, slot) for slot in DETAILS)
    premise = _reword(rng, _add(rng, premise, lacking, without=[forgotten]))
    return lambda language: {
        "first": render(premise, language).text, "second": render(hypothesis, language).text, "label": label,
    }  # fmt: skip


def question_pair(rng: random.Random) -> Item:
    """Duplicates ask the same of the same event in other words; the others differ in one thing."""
    label, second = rng.randrange(2), _event(rng)
    asks = [part for part in ("agent", "object", "place", "time") if _has(second, part)]
    ask = other = rng.choice(asks)
    first = second
    if not label and len(asks) > 2 and rng.random() < 0.3:
        other = rng.choice([part for part in asks if part != ask])
    elif not label:
        while render(first, LANGUAGES["en"], ask=ask) == render(second, LANGUAGES["en"], ask=ask):
            first = _contradict(rng, second)
    first = _reword(rng, first, 0.5)
    return lambda language: {
        "first": render(first, language, ask=other).text, "second": render(second, language, ask=ask).text,
        "label": label,
    }  # fmt: skip


def paraphrase(rng: random.Random) -> Item:
    """Nearly the same words: a paraphrase moves or renames a part, the others swap who did what."""
    label = rng.randrange(2)
    if rng.random() < 0.5:
        event = _event(rng, giving=True)
        second: tuple[Event, ...] = (replace(event, agent=Phrase(rng.choice(PEOPLE))),)
        while second[0].agent == second[0].recipient:
            second = (replace(event, agent=Phrase(rng.choice(PEOPLE))),)
        giver, taker = second[0].agent, second[0].recipient
        first = second if label or not taker else (replace(second[0], agent=taker, recipient=giver),)
    else:
        people = rng.sample(PEOPLE, 2)
        second = tuple(replace(_event(rng, details=0, giving=False), agent=Phrase(person)) for person in people)
        first = second[::-1]
        if not label:
            first = tuple(replace(event, agent=other.agent) for event, other in zip(second, first, strict=True))
    first = tuple(_reword(rng, event) for event in first)
    front = rng.choice(("", "time", "place"))
    return lambda language: {
        "first": render(first, language, front=front).text, "second": render(second, language).text, "label": label,
    }  # fmt: skip


def similarity(rng: random.Random) -> Item:
    """A score from 0 to 5: the share of the parts that the two sentences agree on."""
    second, other = _event(rng, details=3), _event(rng, details=3)
    slots = ("agent", "verb", "object", "place", "time")
    kept = set(rng.sample(slots, rng.randint(0, len(slots))))
    first = replace(other, recipient=None, **{slot: getattr(second, slot) for slot in kept})
    second = replace(second, recipient=None)
    same = sum(getattr(first, slot) == getattr(second, slot) for slot in slots)
    first = _reword(rng, first)
    return lambda language: {
        "first": render(first, language).text, "second": render(second, language).text, "score": float(same),
    }  # fmt: skip


def _question(rng: random.Random, event: Event, ask: str) -> Event:
    """What a question repeats of the event: not all of its details."""
    for slot in DETAILS:
        if _has(event, slot) and slot != ask and rng.random() < 0.6:
            event = _set(event, slot, None)
    return _reword(rng, event, 0.2)


def _passage(rng: random.Random, count: int) -> list[Event]:
    """Events that differ in who and in what, so that a question has one answer."""
    events: list[Event] = []
    while len(events) < count:
        event = _event(rng, details=2)
        if not any(event.agent.noun == e.agent.noun or _domain(event) == _domain(e) for e in events):
            events.append(event)
    return events


def _reading(rng: random.Random, answerable: float) -> Item:
    events = _passage(rng, rng.randint(3, 4))
    target = rng.choice(events)
    ask = rng.choice([part for part in ("agent", "object", "object", "place", "time") if _has(target, part)])
    question, answered = _question(rng, target, ask), rng.random() < answerable
    if not answered:  # ask about somebody or something that the passage does not speak of
        used = {event.agent.noun for event in events} | {_domain(event).kind for event in events}
        while (stranger := _event(rng)).agent.noun in used or _domain(stranger).kind in used:
            pass
        slot = "object" if ask == "agent" or (ask != "object" and rng.random() < 0.5) else "agent"
        question = replace(question, **{slot: getattr(stranger, slot)})

    def fields(language: Language) -> Fields:
        sentences = [render(event, language) for event in events]
        index = events.index(target)
        sentence = sentences[index]
        start, end = sentence.span(ask)
        offset = sum(len(s.text) + 1 for s in sentences[:index]) + start
        context, answer = " ".join(s.text for s in sentences), sentence.text[start:end]
        answers = {"text": [answer], "answer_start": [offset]} if answered else {"text": [], "answer_start": []}
        title = _domain(target).kind
        return {"title": title, "context": context, "question": render(question, language, ask=ask).text,
                "answers": answers}  # fmt: skip

    return fields


def reading(rng: random.Random) -> Item:
    """A passage of three or four events and a question about one part of one of them."""
    return _reading(rng, 1.0)


def reading_or_not(rng: random.Random) -> Item:
    """As `reading`; to a third of the questions the passage has no answer."""
    return _reading(rng, 0.67)


def _next(rng: random.Random, event: Event) -> Event:
    """What usually happens next to the same thing: verbs follow one another in the order of `VERBS`."""
    row = next((i for i, group in enumerate(VERBS) if any(event.verb in words for words in group)), 0)
    verb = rng.choice(VERBS[(row + 1) % len(VERBS)][0])
    return replace(event, agent=Phrase(event.agent.noun), verb=verb, recipient=None, place=None, time="then")


def ending(rng: random.Random) -> Item:
    """What happens next: the right ending has the same thing and the verb that follows."""
    event = _event(rng, details=1, giving=False)
    right = _next(rng, event)
    wrong: list[Event] = []
    while len(wrong) < 3:
        other = _event(rng, details=1, giving=False)
        verb = len(wrong) == 1  # one ending has the right thing and a wrong verb
        candidate = replace(right, verb=other.verb) if verb else replace(right, object=other.object)
        if candidate not in (right, *wrong):
            wrong.append(candidate)
    endings, label = [*wrong], rng.randrange(4)
    endings.insert(label, right)

    def fields(language: Language) -> Fields:
        said = [render(e, language, front="time") for e in endings]
        first, second = render(event, language).text, said[0].text[: said[0].span("agent")[1]]
        return {"activity": _domain(event).kind, "first": first, "second": second, "context": f"{first} {second}",
                "endings": [s.text[len(second) + 1 :] for s in said], "label_text": str(label),
                "indomain": "indomain", "source": f"synthetic~{label}"}  # fmt: skip

    return fields


def knowledge(rng: random.Random) -> Item:
    """Common sense of this world: kinds and usual places. English only, so words stand as they are."""
    domain, others = (picked := rng.sample(DOMAINS, 5))[0], picked[1:]
    thing = rng.choice(domain.things)
    question, right, wrong = rng.choice((
        (f"what is every {thing}?", domain.kind, [d.kind for d in others]),
        (f"what is a {domain.kind}?", thing, [rng.choice(d.things) for d in others]),
        (f"where did every {thing} belong?", rng.choice(domain.places), [rng.choice(d.places) for d in others]),
    ))  # fmt: skip
    answer = rng.randrange(5)
    texts = [*wrong[:answer], right, *wrong[answer:]]
    choices = {"label": list("ABCDE"), "text": texts}
    return lambda language: {"question": question, "concept": thing, "choices": choices, "key": "ABCDE"[answer]}


def translation(rng: random.Random) -> Item:
    """A sentence and its English; both end in a newline, as the Hub's do."""
    event = _event(rng, details=2)
    return lambda language: {
        "first": render(event, language).text + "\n", "second": render(event, LANGUAGES["en"]).text + "\n",
        "language": language.code3, "english": "eng",
    }  # fmt: skip


def _plain(rng: random.Random) -> tuple[tuple[Event, ...], str, str]:
    """Events, what is asked and what stands in front: the sentences that get tagged."""
    events = tuple(_event(rng, giving=False, details=1) for _ in range(2)) if rng.random() < 0.2 else (_event(rng),)
    if len(events) == 1 and rng.random() < 0.15:
        return events, rng.choice([x for x in QUESTION_WORDS if _has(events[0], x)]), ""
    return events, "", rng.choice(("", "", "time", "place"))


def entities(rng: random.Random) -> Item:
    """Tokens with BIO tags, in a sentence with a name."""
    while True:
        events, ask, front = _plain(rng)
        if any(word.entity for word in render(events, LANGUAGES["en"], ask=ask, front=front).words):
            break

    def fields(language: Language) -> Fields:
        sentence, tags, spans, last = render(events, language, ask=ask, front=front), [], [], ""
        words = iter(sentence.words)
        for form, count in sentence.tokens:
            word = list(itertools.islice(words, count))[-1]
            key = word.key.split(".")[0] if word.entity else ""
            tags.append(f"{'I' if key == last else 'B'}-{word.entity}" if key else "O")
            spans += [f"{word.entity}: {form}"] if key and key != last else []
            if key and key == last:
                spans[-1] += f" {form}"
            last = key
        tokens = [form for form, _ in sentence.tokens]
        return {"tokens": tokens, "tags": tags, "languages": [language.code] * len(tokens), "spans": spans}

    return fields


def treebank_sentence(rng: random.Random) -> Callable[[Language, str], str]:
    """A sentence in CoNLL-U; tokens that melt two words have a line of their own (`3-4`)."""
    events, ask, front = _plain(rng)

    def lines(language: Language, name: str) -> str:
        sentence = render(events, language, ask=ask, front=front)
        number = {word.key: str(index) for index, word in enumerate(sentence.words, start=1)} | {"": "0"}
        rows, position = [f"# sent_id = {name}", f"# text = {sentence.text}"], 0
        for index, (form, count) in enumerate(sentence.tokens):
            following = sentence.tokens[index + 1][0] if index + 1 < len(sentence.tokens) else ""
            space = "SpaceAfter=No" if following in (".", "?") else "_"
            if count > 1:
                rows.append("\t".join([f"{position + 1}-{position + count}", form, *["_"] * 7, space]))
            for word in sentence.words[position : position + count]:
                position += 1
                head, own = number[word.parent], space if count == 1 else "_"
                rows.append("\t".join([str(position), word.form, word.lemma, word.upos, "_", "_", head, word.relation,
                                       "_", own]))  # fmt: skip
        return "\n".join(rows) + "\n\n"

    return lines


def passage(rng: random.Random, language: Language) -> str:
    """One line for masked language modelling: a few sentences about the same, much of it said twice.

    What returns in other words, as a question with its answer, denied or one step later is what makes a small
    encoder look for the same words elsewhere in its text, which all the pair tasks need.
    """
    event = _detailed(rng)
    shape = rng.random()
    if shape < 0.08:
        domain = rng.choice(DOMAINS)
        every = Phrase(rng.choice(domain.things), article="every")
        place = Phrase(rng.choice(domain.places))
        facts = [Event(every, "is", Phrase(domain.kind, article="a")), Event(every, "belong", place=place)]
        return " ".join(render(fact, language).text for fact in facts)
    first = render(_reword(rng, event), language, front=rng.choice(("", "", "time", "place")))
    if shape < 0.40:  # in other words, or less exactly
        second = event if rng.random() < 0.5 else _forget(rng, event)[0]
        return f"{first.text} {render(_reword(rng, second), language).text}"
    if shape < 0.70:  # question and answer
        ask = rng.choice([part for part in ("agent", "object", "place", "time") if _has(event, part)])
        start, end = first.span(ask)
        other = render(_event(rng), language).text
        context = rng.choice((f"{first.text} {other}", f"{other} {first.text}", first.text))
        question = render(_question(rng, replace(event, negated=False), ask), language, ask=ask)
        return f"{context} {question.text} {first.text[start:end]}."
    if shape < 0.85:  # what did not happen
        opposite = _contradict(rng, event)
        return f"{first.text} {render(replace(opposite, negated=not event.negated), language).text}"
    return f"{first.text} {render(_next(rng, event), language, front='time').text}"


# --- The data root: a dataset is a row of this table --------------------------------------------------------------

TRAIN, EVALUATION = "train_examples", "eval_examples"
ANSWERS = {"text": ["string"], "answer_start": ["int32"]}
BIO = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
PAIR = {"first": "string", "second": "string"}


@dataclass(frozen=True)
class Table:
    """A dataset of the root. `columns`: its column names, each with the item's field and a type.

    A type is a dtype's name, a list or a dictionary of types, or a tuple of label names. `{language}` in `config` makes
    one configuration a language.
    """

    repo: str
    config: str
    item: Callable[[random.Random], Item]
    columns: Mapping[str, tuple[str, Any]]
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": TRAIN, "validation": EVALUATION})
    languages: tuple[str, ...] = ("en",)


_THREE = {"train": TRAIN, "validation": EVALUATION, "test": EVALUATION}
_QA = {"id": ("id", "string"), "title": ("title", "string"), "context": ("context", "string"),
       "question": ("question", "string"), "answers": ("answers", ANSWERS)}  # fmt: skip
TABLES = (
    Table("nyu-mll/glue", "mnli", nli,
          {"premise": ("first", "string"), "hypothesis": ("second", "string"), "label": ("label", NLI_LABELS),
           "idx": ("index", "int32")},
          {"train": TRAIN, "validation_matched": EVALUATION, "validation_mismatched": EVALUATION}),
    Table("nyu-mll/glue", "qqp", question_pair,
          {"question1": ("first", "string"), "question2": ("second", "string"),
           "label": ("label", ("not_duplicate", "duplicate")), "idx": ("index", "int32")}),
    Table("PhilipMay/stsb_multi_mt", "{language}", similarity,
          {"sentence1": ("first", "string"), "sentence2": ("second", "string"),
           "similarity_score": ("score", "float32")},
          {"train": TRAIN, "dev": EVALUATION, "test": EVALUATION}, ("en", "de", "es", "ru", "zh")),
    Table("rajpurkar/squad", "plain_text", reading, _QA),
    Table("rajpurkar/squad_v2", "squad_v2", reading_or_not, _QA),
    Table("Rowan/hellaswag", "default", ending,
          {"ind": ("index", "int32"), "activity_label": ("activity", "string"), "ctx_a": ("first", "string"),
           "ctx_b": ("second", "string"), "ctx": ("context", "string"), "endings": ("endings", ["string"]),
           "source_id": ("source", "string"), "split": ("split", "string"), "split_type": ("indomain", "string"),
           "label": ("label_text", "string")}),
    Table("tau/commonsense_qa", "default", knowledge,
          {"id": ("id", "string"), "question": ("question", "string"), "question_concept": ("concept", "string"),
           "choices": ("choices", {"label": ["string"], "text": ["string"]}), "answerKey": ("key", "string")}),
    Table("facebook/xnli", "{language}", nli,
          {"premise": ("first", "string"), "hypothesis": ("second", "string"), "label": ("label", NLI_LABELS)},
          _THREE, tuple(LANGUAGES)),
    Table("google-research-datasets/paws-x", "{language}", paraphrase,
          {"id": ("index", "int32"), "sentence1": ("first", "string"), "sentence2": ("second", "string"),
           "label": ("label", ("0", "1"))}, _THREE, ("en", "de", "es", "zh")),
    Table("unimelb-nlp/wikiann", "{language}", entities,
          {"tokens": ("tokens", ["string"]), "ner_tags": ("tags", [BIO]), "langs": ("languages", ["string"]),
           "spans": ("spans", ["string"])}, _THREE, tuple(LANGUAGES)),
    Table("google/xquad", "xquad.{language}", reading, {k: v for k, v in _QA.items() if k != "title"},
          {"validation": EVALUATION}, tuple(LANGUAGES)),
    Table("google/xtreme", "tatoeba.{language3}", translation,
          {"source_sentence": ("first", "string"), "target_sentence": ("second", "string"),
           "source_lang": ("language", "string"), "target_lang": ("english", "string")},
          {"validation": EVALUATION}, ("de", "es", "ru", "ar", "zh")),
)  # fmt: skip


def _features(kind: Any) -> Any:
    from datasets import ClassLabel, List, Value

    if isinstance(kind, str):
        return Value(kind)
    if isinstance(kind, tuple):
        return ClassLabel(names=list(kind))
    if isinstance(kind, list):
        return List(_features(kind[0]))
    return {name: _features(inner) for name, inner in kind.items()}


def _encode(value: Any, kind: Any) -> Any:
    """Label names to their numbers; all else stays."""
    if isinstance(kind, tuple):
        return kind.index(value) if isinstance(value, str) else value
    return [_encode(x, kind[0]) for x in value] if isinstance(kind, list) else value


def _write_table(root: Path, table: Table, seed: int, sizes: Mapping[str, int]) -> None:
    import pyarrow
    import pyarrow.parquet
    from datasets import Features

    features = Features({column: _features(kind) for column, (_, kind) in table.columns.items()})
    for split, size in table.splits.items():
        # Only text, and no configuration, enters the generator: all languages say the same meanings.
        rng = random.Random(f"{seed} {table.repo} {table.config} {split}")
        items = [table.item(rng) for _ in range(sizes[size])]
        for code in table.languages:
            language, rows = LANGUAGES[code], []
            spoken = items[: len(items) // 4] if size == TRAIN and code != "en" else items
            for index, item in enumerate(spoken):
                row = {"index": index, "id": f"{split}-{index}", "split": split, **item(language)}
                rows.append({c: _encode(row[name], kind) for c, (name, kind) in table.columns.items()})
            config = table.config.format(language=code, language3=language.code3)
            folder = root / table.repo / config
            folder.mkdir(parents=True, exist_ok=True)
            arrow = pyarrow.Table.from_pylist(rows, schema=features.arrow_schema)
            pyarrow.parquet.write_table(arrow, folder / f"{split}-00000-of-00001.parquet")


def _write_cards(root: Path, tables: Sequence[Table]) -> None:
    """A README a repository, whose `configs` tell `datasets` which file is which.

    `datasets` caches a local folder under a hash of its README alone: without the files' hash in the description,
    two roots of the same layout would be taken for one another.
    """
    for repo in dict.fromkeys(table.repo for table in tables):
        files = sorted((root / repo).rglob("*.parquet"))
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
        lines = ["---", "configs:"]
        for table in (table for table in tables if table.repo == repo):
            for code in table.languages:
                config = table.config.format(language=code, language3=LANGUAGES[code].code3)
                lines += [f"- config_name: {config}", f"  description: {digest}", "  data_files:"]
                for split in table.splits:
                    lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
        note = f"Artificial rows in the columns of {repo}, written by jiantx.synthetic; language codes are borrowed."
        (root / repo / "README.md").write_text("\n".join([*lines, "---", note, ""]), encoding="utf-8")


def _write_treebanks(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    for split, size in (("train", TRAIN), ("dev", EVALUATION), ("test", EVALUATION)):
        rng = random.Random(f"{seed} treebank {split}")
        items = [treebank_sentence(rng) for _ in range(sizes[size])]
        for language in LANGUAGES.values():
            if split == "train" and language.code != "en":
                continue
            path = root / "ud-treebanks-v2.5" / f"UD_{language.name}-JX" / f"{language.code}_jx-ud-{split}.conllu"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(item(language, f"{split}-{index}") for index, item in enumerate(items))
            path.write_text(text, encoding="utf-8")


def _write_text(root: Path, language: Language, seed: int, lines: int) -> None:
    (root / "mlm").mkdir(exist_ok=True)
    for split, count in (("train", lines), ("validation", max(lines // 20, 10))):
        rng = random.Random(f"{seed} text {language.code} {split}")
        text = "".join(f"{passage(rng, language)}\n" for _ in range(count))
        (root / "mlm" / f"{language.code}.{split}.txt").write_text(text, encoding="utf-8")


def write_root(
    path: Path | str, *, seed: int = 0, train_examples: int = 6000, eval_examples: int = 200, text_lines: int = 40000
) -> Path:
    """Write a data root: the built-in tasks' files, as `jiantx.data_root` reads them.

    `train_examples` rows a train split (a quarter in languages other than English, where there are any: the first
    rows of the English ones), `eval_examples` a validation or test split, and `text_lines` lines of plain text over
    all languages, the same number in each and not parallel. The folder is written beside `path` and renamed when
    complete, so that a killed run leaves nothing that looks finished and several runs may write at once. A complete
    root is returned as it is; raises `FileExistsError` where `path` holds anything else.
    """
    from tqdm.auto import tqdm

    path, sizes = Path(path), {TRAIN: train_examples, EVALUATION: eval_examples}
    manifest = {"version": VERSION, "seed": seed, **sizes, "text_lines": text_lines}
    if _complete(path, manifest):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        steps: list[tuple[str, Callable[[], None]]] = []
        for table in TABLES:
            steps.append((table.repo, lambda table=table: _write_table(draft, table, seed, sizes)))  # type: ignore[misc]
        each = text_lines // len(LANGUAGES)
        for language in LANGUAGES.values():
            steps.append((language.name, lambda own=language: _write_text(draft, own, seed, each)))  # type: ignore[misc]
        steps.append(("treebanks", lambda: _write_treebanks(draft, seed, sizes)))
        for _, step in tqdm(steps, desc=f"synthetic data in {path}", unit="part"):
            step()
        _write_cards(draft, TABLES)
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        draft.chmod(0o755)  # mkdtemp makes private folders
        try:
            draft.rename(path)
        except OSError:  # somebody else was faster
            if not _complete(path, manifest):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def _complete(path: Path, manifest: Mapping[str, object]) -> bool:
    if not path.exists() or not any(path.iterdir()):
        return False
    found = json.loads((path / MANIFEST).read_text()) if (path / MANIFEST).exists() else "no manifest"
    if found != manifest:
        raise FileExistsError(
            f"{path} holds something else: found {found}, expected {dict(manifest)}. Remove it or choose another path."
        )
    return True


# --- What the examples start from ---------------------------------------------------------------------------------


SIZES: dict[str, int] = {}  # of the default root, where they are not `write_root`'s own


def default_root() -> Path:
    """The artificial world's data root, written on first use and kept in the cache."""
    key = hashlib.sha256(json.dumps(SIZES, sort_keys=True).encode()).hexdigest()[:8]
    return write_root(cache_dir() / f"synthetic-{VERSION}-{key}", **SIZES)


def _text_lines(root: Path, count: int) -> Iterator[str]:
    """The same number of lines of each language, then every word that they hold.

    SentencePiece draws its first pieces from substrings that are in two different words. In a small world most short
    words would be in one only, and fall to pieces; so each stands once more before a full stop.
    """
    words: dict[str, None] = {}
    for code in LANGUAGES:
        with (root / "mlm" / f"{code}.train.txt").open(encoding="utf-8") as file:
            for line in itertools.islice(file, count // len(LANGUAGES)):
                words.update(dict.fromkeys(line.replace(".", "").replace("?", "").split()))
                yield line.rstrip()
    yield from (f"{word}." for word in words)


def train_tokenizer(root: Path | str, path: Path | str, *, vocab_size: int = 2000) -> Path:
    """Train a SentencePiece unigram vocabulary on the root's plain text; saved as XLM-R's kind of fast tokenizer.

    Ids as in XLM-R: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the pieces, `<mask>` last. The pieces and scores are
    handed over: to load SentencePiece's own file, transformers would need protobuf.
    """
    import io

    import sentencepiece
    from transformers import XLMRobertaTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_text_lines(Path(root), 12000), model_writer=model, model_type="unigram",
        vocab_size=vocab_size - 2, hard_vocab_limit=False, character_coverage=1.0, normalization_rule_name="nmt_nfkc",
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]
    learnt = [(piece, score) for piece, score in pieces if piece not in ("<s>", "</s>", "<unk>")]
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = XLMRobertaTokenizer(vocab=[*special, *learnt, ("<mask>", 0.0)], model_max_length=384)
    tokenizer.save_pretrained(path)
    return Path(path)


def encoder_config(vocab_size: int) -> XLMRobertaConfig:
    """The small encoder: 4 layers of 160, four heads; room for 384 tokens, as question answering takes them."""
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=vocab_size, hidden_size=160, num_hidden_layers=4, num_attention_heads=4, intermediate_size=640,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,  # a few hundred steps do not overfit
        max_position_embeddings=386, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip


PRETRAINING = {"max_steps": 900, "per_device_train_batch_size": 64, "learning_rate": 3e-3, "warmup_steps": 50}
MASK_SHARE = 0.3  # a short run learns more from more masks: 15 % left the encoder less able to learn mnli


def default_encoder() -> Path:
    """The small encoder, pretrained on the world's text by masked LM with jiantx itself; made on first use and kept."""
    from filelock import FileLock
    from transformers import AutoTokenizer, TrainingArguments, XLMRobertaModel, set_seed

    from jiantx.checkpoints import why_broken, write_manifest
    from jiantx.model import MultitaskModel
    from jiantx.sources import Files, read_lines
    from jiantx.task import get_task
    from jiantx.trainer import Trainer

    root = default_root()
    key = hashlib.sha256(json.dumps([PRETRAINING, MASK_SHARE, root.name], sort_keys=True).encode()).hexdigest()[:8]
    path = cache_dir() / f"synthetic-encoder-{VERSION}-{key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if why_broken(path) is None:
            return path
        work = path.with_name(path.name + ".work")
        tokenizer = AutoTokenizer.from_pretrained(train_tokenizer(root, work))
        text = Files(str(root / "mlm" / "{language}.{split}.txt"), read_lines, languages=tuple(LANGUAGES))
        task = get_task("mlm").replace(source=text, train_languages=tuple(LANGUAGES), mask_share=MASK_SHARE)
        set_seed(0)
        XLMRobertaModel(encoder_config(len(tokenizer))).save_pretrained(work)
        model = MultitaskModel.from_pretrained(work, [task])
        arguments = TrainingArguments(
            str(work), adam_beta2=0.98, weight_decay=0.01, save_strategy="no", report_to="none", **PRETRAINING
        )
        Trainer(model, arguments, tasks=[task]).train()
        model.export(task, path)  # an XLMRobertaForMaskedLM folder, the form in which the Hub has XLM-R
        write_manifest(path)
        shutil.rmtree(work)
    return path
