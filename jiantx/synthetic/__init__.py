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
import io
import itertools
import json
import os
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jiantx.cache import cache_dir

if TYPE_CHECKING:
    from transformers import XLMRobertaConfig

VERSION = "2"  # a part of the cached root's name: raise it with every change of what is written
MANIFEST = "jiantx-synthetic.json"

# --- The world ---------------------------------------------------------------------------------------------------
# A lemma is its English word. Words between bars are synonyms; what stands between commas excludes one another.


def _groups(text: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    return tuple(
        tuple(tuple(words.split()) for words in group.split("|")) for group in text.split(",")
    )


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
    fruit | apple pear plum lemon melon | orchard market | farmer grocer,
    beast | horse goat hen donkey rabbit | stable meadow | rider shepherd,
    tool | hammer spade ladder shovel bucket | workshop cellar | carpenter mason,
    garment | coat shirt scarf glove hat | laundry attic | tailor weaver,
    vessel | jar bottle kettle barrel bowl | kitchen tavern | cook potter,
    text | letter book map poem novel | library museum | clerk writer,
    toy | doll kite drum marble puppet | nursery school | teacher nurse,
    vehicle | wagon boat sled cart raft | harbor station | sailor driver
    """)
)
# A thing is first collected, then cleaned, then loaded: `_next` follows this order, and starts anew.
VERBS = _groups("""
    collect gather | scatter, clean wash | stain soil, load fill | unload drain, deliver transport | return,
    open unlock | close seal, display exhibit | conceal cover, praise admire | scorn, order request | cancel,
    accept welcome | refuse reject, repair mend | damage ruin, paint decorate | bleach, lift raise | lower
""")
GIVING = _groups("hand pass | retain, mail post, offer present | decline")
PERSON_ADJECTIVES = _groups("""
    happy cheerful | sad gloomy, rich wealthy | poor needy, young youthful | elderly aged,
    clever wise | foolish silly, brave bold | timid shy, tall | short
""")
THING_ADJECTIVES = _groups("""
    big large | small little, heavy | light, cheap | costly expensive, old ancient | new fresh,
    strong sturdy | weak fragile, red | blue | green | yellow | white | black
""")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADVERBS = ("yesterday", "today", "recently", "then")
FUNCTION_WORDS = {
    "DET": ("the", "a", "every"), "ADP": ("in", "on", "to"), "AUX": ("did", "is"), "PART": ("not",),
    "CCONJ": ("and",), "PRON": ("who", "what"), "ADV": ("where", "when", *ADVERBS),
}  # fmt: skip
ORGANISATIONS = ("bank", "council", "theatre", "union")
REGIONS = ("port", "mount", "lake")
((PEOPLE, SURNAMES, TOWNS),) = _groups("""
    Mira Tomas Lena Oskar Petra Hugo Nadia Felix Clara Bruno Irene Viktor Alma Jonas Selma Marco Dora Anton Rosa Emil |
    Halden Morrow Keller Vance Lindt Sorel Barden Quist |
    Dorvale Kelmar Ostrin Brenholm Tavira Lunden Marosk Velden Ansburg Corvino Ruthen Selby
""")
DOMAIN_OF = {noun: domain for domain in DOMAINS for noun in (domain.kind, *domain.things)}
PLACES = tuple(place for domain in DOMAINS for place in domain.places)
_GROUPS = (*VERBS, *GIVING, *PERSON_ADJECTIVES, *THING_ADJECTIVES)
SYNONYMS = {word: words for group in _GROUPS for words in group for word in words}
OPPOSITES = {
    word: [other for others in group if others is not words for other in others]
    for group in _GROUPS for words in group for word in words
}  # fmt: skip
UPOS = {word: tag for tag, words in FUNCTION_WORDS.items() for word in words}
ENTITY = (
    dict.fromkeys(PEOPLE, "PER")
    | dict.fromkeys(ORGANISATIONS, "ORG")
    | dict.fromkeys((*REGIONS, *TOWNS), "LOC")
)
NAMES = (*PEOPLE, *SURNAMES, *TOWNS)
LEMMAS = (
    *UPOS, *SYNONYMS, "belong", *DAYS, *ORGANISATIONS, *REGIONS,
    *(word for d in DOMAINS for word in (d.kind, *d.things, *d.places, *d.people)),
)  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """A noun with what belongs to it: `3 red apples`, `Mira Vance`, `the Dorvale bank`."""

    noun: str
    adjective: str | None = None
    count: int = 1
    name: str | None = (
        None  # a surname, or the town in an organisation's or a region's name; then no adjective
    )
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
    """How meanings are said."""

    code: str
    code3: str  # XTREME's Tatoeba uses three letters
    name: str
    cognates: float = 1.0  # the share of lemmas that keep (nearly) the English form
    order: str = "avorpt"  # agent, verb, object, recipient, place, time
    adjective_last: bool = False
    postpositions: bool = False
    articles: bool = True
    fused: bool = False  # adposition and article melt into one word, as in German "zur"
    question_first: bool = True
    bopomofo: bool = False  # all but loans, digits and some names is written in these letters
    plural: str = "s"
    past: str = "ed"
    changes: tuple[tuple[str, str], ...] = ()  # regular sound changes of cognates
    syllables: tuple[str, str, str] = (
        "",
        "",
        "",
    )  # onsets, vowels, codas of the words that are not cognates


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
        Language("ru", "rus", "Russian", 0.45, "tavpor", plural="iy", past="il", articles=False,
                 changes=(("w", "v"), ("c", "k"), ("h", "g"), ("oo", "u")),
                 syllables=("b d gl kr m n pr sk st v zh", "a e i o u ya", "k l m n sh v ")),
        Language("ar", "ara", "Arabic", 0.25, "tpvaro", adjective_last=True, plural="aat", past="aha",
                 changes=(("p", "b"), ("v", "f"), ("g", "j"), ("e", "i")),
                 syllables=("kh d f h j m q r s t w", "a i u aa", "b d l m q r")),
        Language("zh", "cmn", "Chinese", 0.10, "tparov", postpositions=True, articles=False, question_first=False,
                 bopomofo=True, plural="men", past="le",
                 syllables=("b d g h j l m q sh t x zh", "a e i o u", " n ng")),
    )
}  # fmt: skip
ENGLISH = LANGUAGES["en"]
_BOPOMOFO = str.maketrans({chr(97 + i): chr(0x3105 + i) for i in range(26)})


@cache
def lexicon(code: str) -> dict[str, str]:
    """Lemma to stem.

    Which lemmas are cognates is nested (what Chinese shares, Spanish shares too), and which cognates are open to
    sound changes likewise: the farther a language, the more.
    """
    language, rng = LANGUAGES[code], random.Random(f"lexicon {code}")
    onsets, vowels, codas = (part.split(" ") for part in language.syllables)
    shared = round(language.cognates * len(LEMMAS))
    cognates = set(random.Random("cognates").sample(LEMMAS, len(LEMMAS))[:shared])
    unchanged = set(
        random.Random("changes").sample(LEMMAS, len(LEMMAS))[: (len(LEMMAS) + shared) // 2]
    )
    stems, taken = {}, set(LEMMAS)
    for lemma in LEMMAS:
        stem = lemma
        if lemma not in cognates:
            while stem in taken:
                stem = "".join(
                    rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(2)
                )
            taken.add(stem)
            stem = stem.translate(_BOPOMOFO) if language.bopomofo else stem
        elif lemma not in unchanged:
            for old, new in language.changes:
                stem = stem.replace(old, new)
        stems[lemma] = stem
    for rank, name in enumerate(NAMES):
        # A quarter keeps the Latin script everywhere, as names do in real text: anchors between the scripts.
        stems[name] = name.lower().translate(_BOPOMOFO) if language.bopomofo and rank % 4 else name
    return stems


def _inflect(stem: str, suffix: str) -> str:
    if not stem.isascii():
        suffix = suffix.translate(_BOPOMOFO)
    return stem + suffix[stem[-1] == suffix[0] :]


class Word(NamedTuple):
    """A syntactic word. `key` names its part in the meaning (`object.adjective`) and aligns languages."""

    form: str
    lemma: str
    upos: str
    key: str
    relation: str
    entity: str = ""


@dataclass(frozen=True)
class Sentence:
    """Words in their order, and how each is written: "" where it has melted into the one before."""

    words: tuple[Word, ...]
    written: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(form for form in self.written[:-1] if form) + self.written[-1]

    def span(self, part: str) -> tuple[int, int]:
        """Where in the text a part of the meaning stands, without adposition and article."""
        text, spans, end = self.text, [], 0
        for word, form in zip(self.words, self.written, strict=True):
            start = text.index(form, end)
            end = start + len(form)
            if f"{word.key}.".startswith(f"{part}.") and word.upos not in ("ADP", "DET"):
                spans.append((start, end))
        return spans[0][0], spans[-1][1]


def _phrase(
    phrase: Phrase, language: Language, part: str, relation: str, adposition: str
) -> list[Word]:
    stems, entity = lexicon(language.code), ENTITY.get(phrase.noun, "")

    def word(role: str, lemma: str, upos: str, relation: str, entity: str = "") -> Word:
        return Word(stems.get(lemma, lemma), lemma, upos, f"{part}.{role}", relation, entity)

    form = _inflect(stems[phrase.noun], language.plural) if phrase.count > 1 else stems[phrase.noun]
    upos = "PROPN" if entity else "NOUN"
    noun = Word(
        form.capitalize() if entity else form, phrase.noun, upos, f"{part}.noun", relation, entity
    )
    own = [word("adjective", phrase.adjective, "ADJ", "amod")] if phrase.adjective else []
    if phrase.name:
        own = [
            word("name", phrase.name, "PROPN", "flat" if entity == "PER" else "compound", entity)
        ]
    words = [noun, *own] if language.adjective_last or entity == "PER" else [*own, noun]
    if phrase.count > 1:
        words.insert(0, word("count", str(phrase.count), "NUM", "nummod"))
    elif (
        entity in ("", "ORG")
        and phrase.article
        and (language.articles or phrase.article == "every")
    ):
        words.insert(0, word("article", phrase.article, "DET", "det"))
    if adposition:
        words.insert(
            len(words) if language.postpositions else 0,
            word("adposition", adposition, "ADP", "case"),
        )
    return words


PARTS = {  # of an event that are phrases: question word, syntactic relation, adposition
    "agent": ("who", "nsubj", ""), "object": ("what", "obj", ""), "recipient": ("who", "obl", "to"),
    "place": ("where", "obl", "in"), "time": ("when", "obl", "on"),
}  # fmt: skip


def _clause(event: Event, language: Language, ask: str, front: str) -> list[Word]:
    stems = lexicon(language.code)

    def word(lemma: str, key: str, relation: str) -> Word:
        return Word(stems[lemma], lemma, UPOS[lemma], key, relation)

    parts: dict[str, list[Word]] = {}
    for part, (question, relation, adposition) in PARTS.items():
        said = question if part == ask else getattr(event, part)
        if said in UPOS:  # a question word, or an adverb of time
            parts[part] = [
                word(said, f"{part}.noun", "advmod" if UPOS[said] == "ADV" else relation)
            ]
        elif said:
            phrase = said if isinstance(said, Phrase) else Phrase(said, article="")  # a day
            parts[part] = _phrase(phrase, language, part, relation, adposition)
    # English do-support, everywhere: "did not open", "what did Mira open", but "who opened".
    support = event.negated or ask not in ("", "agent")
    form = (
        stems[event.verb]
        if support or event.verb == "is"
        else _inflect(stems[event.verb], language.past)
    )
    verb = [Word(form, event.verb, UPOS.get(event.verb, "VERB"), "verb", "root")]
    if event.negated:
        verb.insert(0, word("not", "negation", "advmod"))
    auxiliary = [word("did", "auxiliary", "aux")] if support else []
    first = [front] if front in parts else []
    if ask and language.question_first:
        first.append(ask)
    if (
        ask in ("", "agent") or not language.question_first
    ):  # else the question word draws it forward
        verb, auxiliary = [*auxiliary, *verb], []
    parts["verb"] = verb[::-1] if language.order.endswith("v") else verb
    rest = sorted(parts.keys() - first, key=lambda part: language.order.index(part[0]))
    parts["auxiliary"] = auxiliary
    return [word for part in (*first, "auxiliary", *rest) for word in parts[part]]


def render(
    events: Event | Sequence[Event], language: Language, *, ask: str = "", front: str = ""
) -> Sentence:
    """Say one event, or several joined by `and`. The second event's keys begin with `1:`.

    `ask` makes it a question for that part of the event; `front` is the part that stands first.

    >>> event = Event(Phrase("cook", "happy"), "open", Phrase("jar", "red", count=3), time="monday")
    >>> render(event, LANGUAGES["en"]).text
    'the happy cook opened 3 red jars on monday.'
    >>> render(event, LANGUAGES["en"], ask="object").text
    'what did the happy cook open on monday?'
    """
    words: list[Word] = []
    for index, event in enumerate([events] if isinstance(events, Event) else events):
        clause = _clause(event, language, ask, front)
        if index:
            clause.insert(0, Word(lexicon(language.code)["and"], "and", "CCONJ", "and", "cc"))
            clause = [
                w._replace(key=f"{index}:{w.key}", relation=w.relation.replace("root", "conj"))
                for w in clause
            ]
        words += clause
    mark = "?" if ask else "."
    words.append(Word(mark, mark, "PUNCT", "mark", "punct"))
    written = [word.form for word in words]
    for index, (left, right) in enumerate(itertools.pairwise(words)):
        if language.fused and left.upos == "ADP" and right.lemma == "the":
            written[index : index + 2] = left.form + right.form[-1], ""
    return Sentence(tuple(words), tuple(written))


def say(
    events: Event | Sequence[Event], language: Language, *, ask: str = "", front: str = ""
) -> str:
    """The text of `render`."""
    return render(events, language, ask=ask, front=front).text


def distance(language: Language, *, sample: int = 200) -> dict[str, float]:
    """How far a language is from English, measured on its lexicon and on sentences, each in [0, 1].

    `lexicon`: the share of lemmas and names whose form is not similar to the English one (a matching ratio under 0.6);
    `order`: the share of pairs of aligned words that stand the other way round (Kendall's tau distance);
    `script`: 1 if most letters are not Latin; `overall`: their mean, weighted 0.5, 0.3, 0.2.
    """
    english, own = lexicon("en"), lexicon(language.code)
    unlike = [
        SequenceMatcher(None, english[x], own[x], autojunk=False).ratio() < 0.6 for x in english
    ]
    rng, turned, latin = random.Random("distance"), [], []
    for _ in range(sample):
        event = _event(rng)
        here, there = (render(event, spoken) for spoken in (ENGLISH, language))
        place = {word.key: position for position, word in enumerate(there.words)}
        positions = [place[word.key] for word in here.words if word.key in place]
        turned += [left > right for left, right in itertools.combinations(positions, 2)]
        latin += [character.isascii() for character in there.text if character.isalpha()]
    own_order, own_script = sum(turned) / len(turned), float(sum(latin) < len(latin) / 2)
    measured = {"lexicon": sum(unlike) / len(unlike), "order": own_order, "script": own_script}
    return {**measured, "overall": 0.5 * measured["lexicon"] + 0.3 * own_order + 0.2 * own_script}


# --- What happens ------------------------------------------------------------------------------------------------
# Pairs are made backwards: the second text is drawn the same way under every label and the first is made to fit, so
# that the second alone says nothing about the label; nor does a premise, which has two details under each.
# A slot is the path of a value in an event: `time`, `object.adjective`.

DETAILS = ("agent.adjective", "object.adjective", "place", "time")


def _filled(event: Event, slots: Iterable[str]) -> list[str]:
    return [slot for slot in slots if attrgetter(slot)(event)]


def _set(event: Event, slot: str, value: Any) -> Event:
    part, _, inner = slot.partition(".")
    return replace(
        event, **{part: replace(getattr(event, part), **{inner: value}) if inner else value}
    )


def _domain(event: Event) -> Domain:
    assert event.object
    return DOMAIN_OF[event.object.noun]


def _any(rng: random.Random, groups: Sequence[Sequence[Sequence[str]]]) -> str:
    return rng.choice(rng.choice(rng.choice(groups)))


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


def _event(rng: random.Random, *, details: int | None = None, giving: bool | None = None) -> Event:
    """Draw an event. Its words suit one another: each kind of thing has its people, places and usual verbs."""
    index = rng.randrange(len(DOMAINS))
    domain = DOMAINS[index]
    noun = domain.kind if rng.random() < 0.1 else rng.choice(domain.things)
    thing = Phrase(noun, count=rng.randint(2, 9) if rng.random() < 0.35 else 1)
    giving = rng.random() < 0.2 if giving is None else giving
    usual = VERBS[index : index + 3] if rng.random() < 0.7 else VERBS
    event = Event(_person(rng, domain), _any(rng, GIVING if giving else usual), thing)
    if giving:
        others = [person for person in PEOPLE if person != event.agent.noun]
        event = replace(event, recipient=Phrase(rng.choice(others)))
    return _add(rng, event, rng.randint(1, 3) if details is None else details)


def _add(rng: random.Random, event: Event, count: int, *, without: str = "") -> Event:
    """Add up to `count` details that the event lacks."""
    taken = {*_filled(event, DETAILS), without}
    if event.agent.noun in ENTITY:
        taken.add("agent.adjective")  # names stand alone
    free = [slot for slot in DETAILS if slot not in taken]
    for slot in rng.sample(free, min(count, len(free))):
        value: Any
        if slot == "place":
            value = _place(rng, _domain(event))
        elif slot == "time":
            value = rng.choice((*DAYS, *ADVERBS[:3]))
        else:
            value = _any(rng, PERSON_ADJECTIVES if slot == "agent.adjective" else THING_ADJECTIVES)
        event = _set(event, slot, value)
    return event


def _reword(rng: random.Random, event: Event, rate: float = 0.3) -> Event:
    """Say the same in other words: synonyms."""
    for slot in _filled(event, ("verb", "agent.adjective", "object.adjective")):
        if rng.random() < rate:
            event = _set(event, slot, rng.choice(SYNONYMS[attrgetter(slot)(event)]))
    return event


def _contradict(rng: random.Random, event: Event) -> Event:
    """Change one thing so that both cannot be true of the same occasion."""
    assert event.object
    noun, count, domain = event.object.noun, event.object.count, _domain(event)
    options: list[tuple[str, Any]] = [("negated", not event.negated)]
    if OPPOSITES[event.verb]:
        options += [("verb", rng.choice(OPPOSITES[event.verb]))] * 2
    for slot in _filled(event, ("agent.adjective", "object.adjective")):
        options.append((slot, rng.choice(OPPOSITES[attrgetter(slot)(event)])))
    if count > 1:
        options.append(("object.count", rng.choice([n for n in range(2, 10) if n != count])))
    if noun != domain.kind:
        options.append(("object.noun", rng.choice([x for x in domain.things if x != noun])))
    if event.place:
        others = [x for x in (*PLACES, *TOWNS) if x not in (event.place.noun, event.place.name)]
        options.append(("place", Phrase(rng.choice(others))))
    if event.time:
        options.append(("time", rng.choice([day for day in DAYS if day != event.time])))
    return _set(event, *rng.choice(options))


def _forget(rng: random.Random, event: Event, general: float = 0.3) -> tuple[Event, str]:
    """Leave one detail out, or say less of the object (`apple`: `fruit`); and which slot it was."""
    options, less = _filled(event, DETAILS), _set(event, "object.noun", _domain(event).kind)
    if less != event and (rng.random() < general or not options):
        return less, "object.noun"
    slot = rng.choice(options)
    return _set(event, slot, None), slot


def _next(rng: random.Random, event: Event, step: int = 1) -> Event:
    """What usually happens next to the same thing: verbs follow one another in the order of `VERBS`."""
    row = next((i for i, group in enumerate(VERBS) if SYNONYMS[event.verb] in group), 0)
    verb = rng.choice(VERBS[(row + step) % len(VERBS)][0])
    return replace(
        event, agent=Phrase(event.agent.noun), verb=verb, recipient=None, place=None, time="then"
    )


def _facts(rng: random.Random, thing: str) -> list[Event]:
    """What every such thing is, and where it belongs."""
    domain, every = DOMAIN_OF[thing], Phrase(thing, article="every")
    place = Phrase(rng.choice(domain.places))
    return [
        Event(every, "is", Phrase(domain.kind, article="a")),
        Event(every, "belong", place=place),
    ]


def _question(rng: random.Random, event: Event, ask: str) -> Event:
    """What a question repeats of the event: not all of its details."""
    for slot in _filled(event, DETAILS):
        if slot != ask and rng.random() < 0.6:
            event = _set(event, slot, None)
    return _reword(rng, event, 0.2)


# --- Items: one function a task type, meanings without a language -------------------------------------------------
# An item is a function of a language to canonical fields; the tables below name the columns.

Fields = dict[str, Any]
Item = Callable[[Language], Fields]
NLI_LABELS = ("entailment", "neutral", "contradiction")
BIO = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UNIVERSAL = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)
ASKED = ("agent", "object", "place", "time")


def nli(rng: random.Random, undecided: float = 0.0) -> Item:
    """Entailed: the premise says all that the hypothesis says; neutral: less; contradiction: otherwise."""
    label, hypothesis = rng.randrange(3), _add(rng, _event(rng, details=0), rng.randint(1, 2))
    premise = hypothesis = replace(hypothesis, negated=rng.random() < 0.25)
    forgotten, domain = "", _domain(hypothesis)
    if (
        label == 0
        and rng.random() < 0.5
        and _set(hypothesis, "object.noun", domain.kind) == hypothesis
    ):
        premise = _set(hypothesis, "object.noun", rng.choice(domain.things))  # "fruit", so "apple"
    elif label == 1:
        premise, forgotten = _forget(rng, hypothesis, general=0.1)
    elif label == 2:
        premise = _contradict(rng, hypothesis)
    premise = _reword(
        rng, _add(rng, premise, 2 - len(_filled(premise, DETAILS)), without=forgotten)
    )
    label = (
        -1 if undecided and rng.random() < undecided else label
    )  # drawn last, and only where it is wanted
    return lambda language: {
        "first": say(premise, language),
        "second": say(hypothesis, language),
        "label": label,
    }


def question_pair(rng: random.Random) -> Item:
    """Duplicates ask the same of the same event in other words; the others differ in one thing."""
    label, second = rng.randrange(2), _event(rng)
    asks = _filled(second, ASKED)
    ask = other = rng.choice(asks)
    first = second
    if not label and len(asks) > 2 and rng.random() < 0.3:
        other = rng.choice([part for part in asks if part != ask])
    elif not label:
        while render(first, ENGLISH, ask=ask) == render(second, ENGLISH, ask=ask):
            first = _contradict(rng, second)
    first = _reword(rng, first, 0.5)
    return lambda language: {
        "first": say(first, language, ask=other), "second": say(second, language, ask=ask), "label": label,
    }  # fmt: skip


def paraphrase(rng: random.Random) -> Item:
    """Nearly the same words: a paraphrase moves or renames a part, the others swap who did what."""
    label = rng.randrange(2)
    if rng.random() < 0.5:
        event = _event(rng, giving=True)
        giver = taker = event.recipient
        while giver == taker:
            giver = Phrase(rng.choice(PEOPLE))
        second = [_set(event, "agent", giver)]
        first = second if label else [_set(_set(event, "agent", taker), "recipient", giver)]
    else:
        people = rng.sample(PEOPLE, 2)
        second = [
            replace(_event(rng, details=0, giving=False), agent=Phrase(person)) for person in people
        ]
        first = second[::-1]
        if not label:
            first = [
                replace(event, agent=other.agent)
                for event, other in zip(second, first, strict=True)
            ]
    first = [_reword(rng, event) for event in first]
    front = rng.choice(("", "time", "place"))
    return lambda language: {
        "first": say(first, language, front=front), "second": say(second, language), "label": label,
    }  # fmt: skip


def similarity(rng: random.Random) -> Item:
    """A score from 0 to 5: the share of the parts that the two sentences agree on."""
    second, other = (replace(_event(rng, details=3), recipient=None) for _ in range(2))
    slots = ("agent", "verb", "object", "place", "time")
    kept = set(rng.sample(slots, rng.randint(0, len(slots))))
    first = replace(other, **{slot: getattr(second, slot) for slot in kept})
    same = float(sum(getattr(first, slot) == getattr(second, slot) for slot in slots))
    first = _reword(rng, first)
    return lambda language: {
        "first": say(first, language),
        "second": say(second, language),
        "score": same,
    }


def reading(rng: random.Random, answerable: float = 1.0) -> Item:
    """A passage of three or four events and a question about one part of one of them."""
    events: list[Event] = []
    count = rng.randint(3, 4)
    while len(events) < count:  # they differ in who and in what, so that a question has one answer
        event = _event(rng, details=2)
        if not any(
            event.agent.noun == e.agent.noun or _domain(event) == _domain(e) for e in events
        ):
            events.append(event)
    target = rng.choice(events)
    ask = rng.choice(_filled(target, ("agent", "object", "object", "place", "time")))
    question, answered = _question(rng, target, ask), rng.random() < answerable
    if not answered:  # ask about somebody or something that the passage does not speak of
        used = {event.agent.noun for event in events} | {_domain(event).kind for event in events}
        while (stranger := _event(rng)).agent.noun in used or _domain(stranger).kind in used:
            pass
        slot = "object" if ask == "agent" or (ask != "object" and rng.random() < 0.5) else "agent"
        question = _set(question, slot, getattr(stranger, slot))

    def fields(language: Language) -> Fields:
        said, place = [render(event, language) for event in events], events.index(target)
        start, end = said[place].span(ask)
        offset = sum(len(sentence.text) + 1 for sentence in said[:place])
        answers = {"text": [said[place].text[start:end]], "answer_start": [offset + start]}
        return {
            "title": _domain(target).kind, "context": " ".join(sentence.text for sentence in said),
            "question": say(question, language, ask=ask),
            "answers": answers if answered else {"text": [], "answer_start": []},
        }  # fmt: skip

    return fields


def reading_anywhere(rng: random.Random) -> Item:
    """Reading in any of three languages, which the id tells."""
    item, own = reading(rng), LANGUAGES[rng.choice(("en", "ru", "ar"))]
    id = f"{own.name.lower()}-{rng.getrandbits(60)}-0"
    return lambda language: {**item(own), "id": id}


def ending(rng: random.Random) -> Item:
    """What happens next: the right ending has the same thing and the verb that follows."""
    event = _event(rng, details=1, giving=False)
    right = _next(rng, event)
    endings: list[Event] = []
    while len(endings) < 3:
        other = _event(rng, details=1, giving=False)
        # The second has the right thing and a wrong verb, the others the right verb and a wrong thing.
        wrong = (
            replace(right, verb=other.verb)
            if len(endings) == 1
            else replace(right, object=other.object)
        )
        if wrong not in (right, *endings):
            endings.append(wrong)
    label = rng.randrange(4)
    endings.insert(label, right)

    def fields(language: Language) -> Fields:
        said = [render(event, language, front="time") for event in endings]
        first, second = say(event, language), said[0].text[: said[0].span("agent")[1]]
        return {
            "activity": _domain(event).kind, "first": first, "second": second, "context": f"{first} {second}",
            "endings": [s.text[len(second) + 1 :] for s in said], "label_text": str(label),
            "indomain": "indomain", "source": f"synthetic~{label}",
        }  # fmt: skip

    return fields


def consequence(rng: random.Random, choices: int = 2) -> Item:
    """What came before, or after: the wrong choices are the other of the two, or tell of another thing."""
    event, before, step = _event(rng, details=1, giving=False), _event(rng), rng.choice((-1, 1))
    right, other = (replace(_next(rng, event, way), time=None) for way in (step, -step))
    wrong = [other]
    while len(wrong) < choices:
        wrong += {replace(right, object=_event(rng).object)} - {right, *wrong}
    label, said = rng.randrange(choices), rng.sample(wrong, choices - 1)
    said.insert(label, right)
    return lambda language: {
        "first": say(event, language), "context": f"{say(before, language)} {say(event, language)}",
        "question": "cause" if step < 0 else "effect", "changed": False, "label": label, "number": str(label + 1),
        "asked": f"what happened {'before' if step < 0 else 'then'}?",
        **{f"choice{index}": say(choice, language) for index, choice in enumerate(said)},
    }  # fmt: skip


def knowledge(rng: random.Random) -> Item:
    """Common sense of this world: kinds and usual places. English only, so words stand as they are."""
    domain, *others = rng.sample(DOMAINS, 5)
    thing = rng.choice(domain.things)
    question, right, texts = rng.choice((
        (f"what is every {thing}?", domain.kind, [d.kind for d in others]),
        (f"what is a {domain.kind}?", thing, [rng.choice(d.things) for d in others]),
        (f"where did every {thing} belong?", rng.choice(domain.places), [rng.choice(d.places) for d in others]),
    ))  # fmt: skip
    answer = rng.randrange(5)
    texts.insert(answer, right)
    choices = {"label": list("ABCDE"), "text": texts}
    return lambda language: {
        "question": question,
        "concept": thing,
        "choices": choices,
        "key": "ABCDE"[answer],
    }


def translation(rng: random.Random) -> Item:
    """A sentence and its English; both end in a newline, as the Hub's do."""
    event = _event(rng, details=2)
    return lambda language: {
        "first": say(event, language) + "\n", "second": say(event, ENGLISH) + "\n",
        "language": language.code3, "english": "eng",
    }  # fmt: skip


def _sentence(rng: random.Random) -> Callable[[Language], Sentence]:
    """What gets tagged: one event, two of them, or a question."""
    if rng.random() < 0.2:
        events = [_event(rng, giving=False, details=1) for _ in range(2)]
    else:
        events = [_event(rng)]
        if rng.random() < 0.15:
            ask = rng.choice(_filled(events[0], PARTS))
            return lambda language: render(events, language, ask=ask)
    front = rng.choice(("", "", "time", "place"))
    return lambda language: render(events, language, front=front)


def tagged(rng: random.Random) -> Item:
    """Syntactic words with their universal tags."""
    sentence = _sentence(rng)

    def fields(language: Language) -> Fields:
        words = sentence(language).words
        return {
            "tokens": [word.form for word in words],
            "tags": [UNIVERSAL.index(word.upos) for word in words],
        }

    return fields


def entities(rng: random.Random) -> Item:
    """Tokens with BIO tags, in a sentence with a name."""
    sentence = _sentence(rng)
    while not any(word.entity for word in sentence(ENGLISH).words):
        sentence = _sentence(rng)

    def fields(language: Language) -> Fields:
        said, last = sentence(language), ""
        tokens = [form for form in said.written if form]
        tags: list[int] = []
        spans: list[str] = []
        for word, form in zip(said.words, said.written, strict=True):
            part = word.key.split(".")[0] if word.entity else ""
            if form:
                tags.append(
                    BIO.index(f"{'I' if part == last else 'B'}-{word.entity}" if part else "O")
                )
            if part and part == last:
                spans[-1] += f" {form}"
            elif part:
                spans.append(f"{word.entity}: {form}")
            last = part if form else last
        return {
            "tokens": tokens,
            "tags": tags,
            "languages": [language.code] * len(tokens),
            "spans": spans,
        }

    return fields


def _head(key: str) -> str:
    """The key of a word's syntactic head: the noun of its phrase, or the verb of its clause; "" for the root."""
    part, _, role = key.partition(".")
    if role not in ("", "noun"):
        return f"{part}.noun"
    if part.endswith("verb"):
        return "" if part == "verb" else "verb"
    return part[: part.find(":") + 1] + "verb"


def _conllu(sentence: Sentence, name: str) -> str:
    number = {"": 0} | {word.key: index for index, word in enumerate(sentence.words, start=1)}
    lines = [f"# sent_id = {name}", f"# text = {sentence.text}"]
    for index, (w, written) in enumerate(
        zip(sentence.words, sentence.written, strict=True), start=1
    ):
        space = "SpaceAfter=No" if index == len(sentence.words) - 1 else "_"  # before the full stop
        if written not in (w.form, ""):  # two words in one token have one more line
            lines.append("\t".join((f"{index}-{index + 1}", written, *"_______", "_")))
        row = (
            index,
            w.form,
            w.lemma,
            w.upos,
            "_",
            "_",
            number[_head(w.key)],
            w.relation,
            "_",
            space,
        )
        lines.append("\t".join(map(str, row)))
    return "\n".join([*lines, ""])


CATEGORIES = {  # of CCG, by word, by tag (^: at the front)
    "NOUN": "N", "PROPN": "N", "ADJ": "N/N", "NUM": "N/N", "DET": "NP[nb]/N", "CCONJ": "conj", "PUNCT": ".",
    "ADP": r"((S\NP)\(S\NP))/NP", "^ADP": "(S/S)/NP", "to": "PP/NP", "ADV": r"(S\NP)\(S\NP)", "^ADV": "S/S",
    "where": "S[wq]/S[q]", "when": "S[wq]/S[q]", "what": "S[wq]/(S[q]/NP)", "did": r"(S[q]/(S[b]\NP))/NP",
    "who": r"S[wq]/(S[dcl]\NP)", "who did": "S[wq]/(S[q]/PP)",
}  # fmt: skip


def _category(word: Word, sentence: Sentence) -> str:
    """An English word's CCG category."""
    keys = {w.key for w in sentence.words}
    form = "b" if "auxiliary" in keys else "dcl"
    if word.upos == "VERB":
        return rf"((S[{form}]\NP)/PP)/NP" if "recipient.noun" in keys else rf"(S[{form}]\NP)/NP"
    if word.relation == "compound" or (
        word.entity == "PER" and word.key.replace("noun", "name") in keys - {word.key}
    ):
        return "N/N"
    front = "^" if word is sentence.words[0] else ""
    names = (f"{word.lemma} did" if form == "b" else "", word.lemma, front + word.upos, word.upos)
    return next(CATEGORIES[name] for name in names if name in CATEGORIES)


ENTITIES = dict.fromkeys(PEOPLE, "agent") | dict.fromkeys(
    TOWNS, "place"
)  # and the part that they play in an event
ENTITIES |= {thing: "object" for domain in DOMAINS for thing in domain.things}


def _spans(text: str) -> list[Fields]:
    """Where its sentences stand."""
    return [
        {"start": found.start(), "end": found.end()}
        for found in re.finditer(r"[^ .][^.]*[.]", text)
    ]


def _mentions(rng: random.Random, language: Language, id: str) -> tuple[Fields, list[Fields]]:
    """A document of three sentences and its mentions of entities, as Mewsli-X writes them."""
    events = [_event(rng, details=2) for _ in range(3)]
    said = [render(event, language) for event in events]
    text = " ".join(sentence.text for sentence in said)
    context = {
        "document_title": id,
        "language": language.code,
        "text": text,
        "sentence_spans": _spans(text),
    }
    found: list[Fields] = []
    for event, sentence, around in zip(events, said, _spans(text), strict=True):
        for part in _filled(event, ("agent", "object", "place")):
            noun = getattr(event, part).noun
            if ENTITIES.get(noun) == part:
                start, end = (around["start"] + offset for offset in sentence.span(f"{part}.noun"))
                span = {"start": start, "end": end, "text": text[start:end]}
                found.append(
                    {"example_id": f"{id}-{len(found)}", "entity_id": noun, "mention_span": span}
                )
    return context, found


def passage(rng: random.Random, language: Language) -> str:
    """One line for masked language modelling: a few sentences about the same, much of it said twice.

    What returns in other words, as a question with its answer, denied or one step later is what makes a small
    encoder look for the same words elsewhere in its text, which all the pair tasks need.
    """
    event, needed = _event(rng), itertools.cycle(DETAILS)  # with a detail, each kind in turn
    while not _filled(event, [next(needed)]):
        event = _event(rng)
    event = replace(event, negated=rng.random() < 0.1)
    shape = rng.random()
    if shape < 0.08:
        return " ".join(
            say(fact, language) for fact in _facts(rng, rng.choice(rng.choice(DOMAINS).things))
        )
    first = render(_reword(rng, event), language, front=rng.choice(("", "", "time", "place")))
    if shape < 0.40:  # in other words, or less exactly
        second = event if rng.random() < 0.5 else _forget(rng, event)[0]
        return f"{first.text} {say(_reword(rng, second), language)}"
    if shape < 0.70:  # question and answer
        ask = rng.choice(_filled(event, ASKED))
        start, end = first.span(ask)
        other = say(_event(rng), language)
        context = rng.choice((f"{first.text} {other}", f"{other} {first.text}", first.text))
        question = say(_question(rng, replace(event, negated=False), ask), language, ask=ask)
        return f"{context} {question} {first.text[start:end]}."
    if shape < 0.85:  # what did not happen
        return f"{first.text} {say(replace(_contradict(rng, event), negated=not event.negated), language)}"
    return f"{first.text} {say(_next(rng, event), language, front='time')}"


# --- The data root: a dataset is a row of this table --------------------------------------------------------------

TRAIN, EVALUATION = "train_examples", "eval_examples"


@dataclass(frozen=True)
class Table:
    """A dataset of the root. `columns`: its column names, each with the item's field and a type: `column=field:type`.

    The field may be left out where it has the column's name, and the type where it is a string; others are in `TYPES`
    or a dtype's name. `{language}` in `config` makes one configuration a language. Splits to train on begin with train.
    """

    repo: str
    config: str
    item: Callable[[random.Random], Item]
    columns: str
    splits: str = "train validation"
    languages: str = "en"

    def fields(self) -> dict[str, tuple[str, Any]]:
        """Column to field and type: a dtype's name, a list or a dictionary of types, or a tuple of label names."""
        parsed = {}
        for word in self.columns.split():
            column, _, kind = word.partition(":")
            column, _, name = column.partition("=")
            parsed[column] = name or column, TYPES.get(kind, kind or "string")
        return parsed

    def configs(self) -> dict[str, Language]:
        """The name of each configuration, and what it is written in."""
        spoken = (LANGUAGES[code] for code in self.languages.split())
        return {
            self.config.format(language=own.code, language3=own.code3, name=own.name): own
            for own in spoken
        }


_ANSWERS = {"text": ["string"], "answer_start": ["int32"]}
TYPES: dict[str, Any] = {
    "strings": ["string"], "answers": _ANSWERS, "answers_mlqa": dict(sorted(_ANSWERS.items())), "nli": NLI_LABELS,
    "choices": {"label": ["string"], "text": ["string"]}, "duplicate": ("not_duplicate", "duplicate"),
    "binary": ("0", "1"), "copa": ("choice1", "choice2"), "bio": [BIO], "universal": [UNIVERSAL],
}  # fmt: skip
_THREE, _ALL = "train validation test", " ".join(LANGUAGES)
_NLI = "premise=first hypothesis=second label:nli"
_QA = "id title context question answers:answers"
_COPA = "premise=first choice1=choice0 choice2=choice1 question"
_UPOS = "tokens:strings pos_tags=tags:universal"
TABLES = (
    Table("nyu-mll/glue", "mnli", nli, f"{_NLI} idx=index:int32", "train validation_matched validation_mismatched"),
    Table("nyu-mll/glue", "qqp", question_pair, "question1=first question2=second label:duplicate idx=index:int32"),
    Table("PhilipMay/stsb_multi_mt", "{language}", similarity,
          "sentence1=first sentence2=second similarity_score=score:float32", "train dev test", "en de es ru zh"),
    Table("rajpurkar/squad", "plain_text", reading, _QA),
    Table("rajpurkar/squad_v2", "squad_v2", partial(reading, answerable=0.67), _QA),
    Table("Rowan/hellaswag", "default", ending,
          "ind=index:int32 activity_label=activity ctx_a=first ctx_b=second ctx=context endings:strings "
          "source_id=source split split_type=indomain label=label_text"),
    Table("tau/commonsense_qa", "default", knowledge,
          "id question question_concept=concept choices:choices answerKey=key"),
    Table("facebook/xnli", "{language}", nli, _NLI, _THREE, _ALL),
    Table("google-research-datasets/paws-x", "{language}", paraphrase,
          "id=index:int32 sentence1=first sentence2=second label:binary", _THREE, "en de es zh"),
    Table("unimelb-nlp/wikiann", "{language}", entities,
          "tokens:strings ner_tags=tags:bio langs=languages:strings spans:strings", _THREE, _ALL),
    Table("google/xquad", "xquad.{language}", reading, _QA.replace("title ", ""), "validation", _ALL),
    Table("google/xtreme", "tatoeba.{language3}", translation,
          "source_sentence=first target_sentence=second source_lang=language target_lang=english",
          "validation", "de es ru ar zh"),
    Table("facebook/anli", "plain_text", nli, f"uid=id {_NLI} reason=none",
          " ".join(f"{split}_r{number}" for split in ("train", "dev", "test") for number in (1, 2, 3))),
    Table("stanfordnlp/snli", "plain_text", partial(nli, undecided=0.02), _NLI, _THREE),
    Table("allenai/cosmos_qa", "default", partial(consequence, choices=4),
          "id context question=asked answer0=choice0 answer1=choice1 answer2=choice2 answer3=choice3 label:int32"),
    Table("lighteval/siqa", "default", partial(consequence, choices=3),
          "context=first question=asked answerA=choice0 answerB=choice1 answerC=choice2 label=number"),
    Table("aps/super_glue", "copa", consequence, f"{_COPA} idx=index:int32 label:copa"),
    Table("cambridgeltl/xcopa", "{language}", consequence, f"{_COPA} label:int32 idx=index:int32 changed:bool",
          "validation test", "zh"),
    Table("google/xtreme", "MLQA.{language}.{language}", reading, f"{_QA}_mlqa", "validation test", "en de es ar zh"),
    Table("google/xtreme", "udpos.{name}", tagged, _UPOS, _THREE),
    Table("google/xtreme", "udpos.{name}", tagged, _UPOS, "validation test", "de es ru ar zh"),
    Table("google-research-datasets/tydiqa", "secondary_task", reading_anywhere, _QA),
)  # fmt: skip


def _drawn(draw: Callable[[random.Random], Any], key: str, count: int) -> list[Any]:
    rng = random.Random(key)
    return [draw(rng) for _ in range(count)]


def _features(kind: Any) -> Any:
    from datasets import ClassLabel, List, Value

    if isinstance(kind, dict):
        return {name: _features(inner) for name, inner in kind.items()}
    if isinstance(kind, list):
        return List(_features(kind[0]))
    return Value(kind) if isinstance(kind, str) else ClassLabel(names=list(kind))


def _write_table(root: Path, table: Table, seed: int, sizes: Mapping[str, int]) -> None:
    import pyarrow
    import pyarrow.parquet
    from datasets import Features

    columns = table.fields()
    schema = Features(
        {column: _features(kind) for column, (_, kind) in columns.items()}
    ).arrow_schema
    for split in table.splits.split():
        size = TRAIN if split.startswith("train") else EVALUATION
        # Only text, and no configuration, enters the generator: all languages say the same meanings.
        items = _drawn(table.item, f"{seed} {table.repo} {table.config} {split}", sizes[size])
        for config, language in table.configs().items():
            rows = []
            for index, item in enumerate(
                items[: len(items) // 4] if size == TRAIN and language != ENGLISH else items
            ):
                fields = {
                    "index": index,
                    "id": f"{split}-{index}",
                    "split": split,
                    "none": "",
                    **item(language),
                }
                rows.append({column: fields[name] for column, (name, _) in columns.items()})
            path = root / table.repo / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


def _write_cards(root: Path) -> None:
    """A README a repository, whose `configs` tell `datasets` which file is which.

    `datasets` caches a local folder under a hash of its README alone: without the files' hash in the description,
    two roots of the same layout would be taken for one another.
    """
    for repo in {table.repo for table in TABLES}:
        files = sorted((root / repo).rglob("*.parquet"))
        digest = hashlib.sha256(
            b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
        ).hexdigest()
        lines = ["---", "configs:"]
        for table in (table for table in TABLES if table.repo == repo):
            for config in table.configs():
                lines += [f"- config_name: {config}", f"  description: {digest}", "  data_files:"]
                for split in table.splits.split():
                    lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
        note = f"Artificial rows in the columns of {repo}, written by jiantx.synthetic; language codes are borrowed."
        (root / repo / "README.md").write_text(
            "\n".join([*lines, "---", note, ""]), encoding="utf-8"
        )


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_treebanks(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Universal Dependencies in all languages, CCGbank in English."""
    tags: set[str] = set()
    for split, size in (("train", TRAIN), ("dev", EVALUATION), ("test", EVALUATION)):
        sentences = _drawn(_sentence, f"{seed} treebank {split}", sizes[size])
        for language in [ENGLISH] if split == "train" else LANGUAGES.values():
            path = (
                root
                / "ud-treebanks-v2.5"
                / f"UD_{language.name}-JX"
                / f"{language.code}_jx-ud-{split}.conllu"
            )
            _write(
                path,
                (
                    _conllu(said(language), f"{split}-{index}")
                    for index, said in enumerate(sentences)
                ),
            )
        lines = []
        for said in (
            draw(ENGLISH) for draw in _drawn(_sentence, f"{seed} ccg {split}", sizes[size])
        ):
            categories = [_category(word, said) for word in said.words]
            lines.append(" ".join(word.form for word in said.words) + "\t" + " ".join(categories))
            tags.update(categories)
        _write(root / "ccg" / f"ccg.{split}", lines)
    _write(
        root / "ccg" / "tags_to_id.json",
        [json.dumps({tag: number for number, tag in enumerate(sorted(tags))})],
    )


def _write_squad(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """SQuAD's JSON: SQuAD's training questions translated, and XQuAD with its sentences (LAReQA)."""
    for key, split, count, codes, name in (
        ("rajpurkar/squad plain_text", "train", sizes[TRAIN] // 4, tuple(LANGUAGES)[1:],
         "xtreme_translations/SQuAD/translate-train/squad.translate.train.en-{}.json"),
        ("google/xquad xquad.{language}", "validation", sizes[EVALUATION], LANGUAGES, "lareqa/xquad-r/{}.json"),
    ):  # fmt: skip
        items = _drawn(reading, f"{seed} {key} {split}", count)
        for code in codes:
            articles = []
            for index, row in enumerate(item(LANGUAGES[code]) for item in items):
                context, spans = (
                    row["context"],
                    [tuple(span.values()) for span in _spans(row["context"])],
                )
                answers = [
                    dict(zip(row["answers"], answer)) for answer in zip(*row["answers"].values())
                ]
                asked = {"id": f"{split}-{index}", "question": row["question"], "answers": answers}
                sentences = {
                    "sentence_breaks": spans,
                    "sentences": [context[start:end] for start, end in spans],
                }
                paragraph = {
                    "context": context,
                    "qas": [asked],
                    **(sentences if split == "validation" else {}),
                }
                articles.append({"title": row["title"], "paragraphs": [paragraph]})
            _write(
                root / name.format(code),
                [json.dumps({"data": articles, "version": "1.1"}, ensure_ascii=False)],
            )


def _write_bucc(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Two sides of as many sentences, two in five of which are translations of one another."""
    for code, split in itertools.product(("de", "ru", "zh"), ("sample", "training")):
        rng, count = random.Random(f"{seed} bucc {code} {split}"), sizes[EVALUATION]
        single, said = count - count * 2 // 5, dict[str, str]()
        while len(said) < count + single:
            event = _event(rng, details=2)
            said[say(event, ENGLISH)] = say(event, LANGUAGES[code])
        pairs, ids = list(said.items()), []
        for side, own in ((code, pairs[:count]), ("en", pairs[single:])):
            own = [*own, own[-1 if side == "en" else 0]]  # one without a partner stands there twice
            rng.shuffle(own)
            ids.append({pair: f"{side}-{number:09}" for number, pair in enumerate(own, start=1)})
            lines = (
                f"{side}-{number:09}\t{pair[side != 'en']}"
                for number, pair in enumerate(own, start=1)
            )
            _write(root / f"bucc2018/{code}-en/{code}-en.{split}.{side}", lines)
        gold = (f"{id}\t{ids[1][pair]}" for pair, id in ids[0].items() if pair in ids[1])
        _write(root / f"bucc2018/{code}-en/{code}-en.{split}.gold", gold)


def _write_mewslix(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    def described(noun: str, language: Language) -> Fields:
        rng, part = random.Random(f"{seed} mewsli-x {noun}"), ENTITIES[noun]
        told = (
            _facts(rng, noun)
            if part == "object"
            else [_set(_event(rng), part, Phrase(noun)) for _ in range(2)]
        )
        text = " ".join(say(event, language) for event in told)
        own = {
            "entity_id": noun,
            "title": lexicon(language.code)[noun],
            "description_language": language.code,
        }
        return {**own, "description": text, "sentence_spans": _spans(text)}

    def mentions(
        kind: str, split: str, count: int, *languages: str
    ) -> list[tuple[Fields, list[Fields]]]:
        rng, spoken = (
            random.Random(f"{seed} mewsli-x {kind} {split}"),
            [LANGUAGES[code] for code in languages],
        )
        return [_mentions(rng, spoken[i % len(spoken)], f"{split}-{i}") for i in range(count)]

    spoken, some = itertools.cycle(LANGUAGES.values()), sizes[EVALUATION] // 2
    files: dict[str, list[Fields]] = {
        "candidate_set_entities": [described(*x) for x in zip(ENTITIES, spoken)]
    }
    for split in ("dev", "test"):
        documents = mentions("news", split, some, "en", "de", "es", "ar")
        files[f"wikinews_mentions-{split}"] = [
            {"context": text, "mentions": found} for text, found in documents
        ]
    for split, count in (("train", sizes[TRAIN] // 4), ("dev", some)):
        files[f"wikipedia_pairs-{split}"] = [
            {"contextual_mention": {"context": text, "mention": own}, "entity": described(own["entity_id"], ENGLISH)}
            for text, found in mentions("pairs", split, count, "en") for own in found[:1]
        ]  # fmt: skip
    for name, rows in files.items():
        _write(
            root / "mewsli-x" / f"{name}.jsonl",
            (json.dumps(row, ensure_ascii=False) for row in rows),
        )


def _write_text(root: Path, language: Language, seed: int, lines: int) -> None:
    for split, count in (("train", lines), ("validation", max(lines // 20, 10))):
        rng = random.Random(f"{seed} text {language.code} {split}")
        _write(
            root / "mlm" / f"{language.code}.{split}.txt",
            (passage(rng, language) for _ in range(count)),
        )


def write_root(
    path: Path | str,
    *,
    seed: int = 0,
    train_examples: int = 6000,
    eval_examples: int = 200,
    text_lines: int = 40000,
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
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        draft.mkdir()
        parts = [partial(_write_table, draft, table, seed, sizes) for table in TABLES]
        parts += [
            partial(_write_text, draft, own, seed, text_lines // len(LANGUAGES))
            for own in LANGUAGES.values()
        ]
        parts += [
            partial(write, draft, seed, sizes)
            for write in (_write_treebanks, _write_squad, _write_bucc)
        ]
        parts += [partial(_write_mewslix, draft, seed, sizes), partial(_write_cards, draft)]
        for write in tqdm(parts, desc=f"synthetic data in {path}", unit="part"):
            write()
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        try:
            draft.rename(path)
        except OSError:  # somebody else was faster
            if not _complete(path, manifest):
                raise
    return path


def _complete(path: Path, manifest: Mapping[str, object]) -> bool:
    if not path.exists() or not any(path.iterdir()):
        return False
    found = (
        json.loads((path / MANIFEST).read_text()) if (path / MANIFEST).exists() else "no manifest"
    )
    if found != manifest:
        raise FileExistsError(
            f"{path} holds something else: found {found}, expected {manifest}. Remove it or choose another path."
        )
    return True


# --- What the examples start from ---------------------------------------------------------------------------------

SIZES: dict[str, int] = {}  # of the default root, where they are not `write_root`'s own
PRETRAINING = {
    "max_steps": 900,
    "per_device_train_batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_steps": 50,
}
MASK_SHARE = (
    0.3  # a short run learns more from more masks: 15 % left the encoder less able to learn mnli
)


def _cached(kind: str, *settings: object) -> Path:
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return cache_dir() / f"{kind}-{VERSION}-{key}"


def default_root() -> Path:
    """The artificial world's data root, written on first use and kept in the cache."""
    return write_root(_cached("synthetic", SIZES), **SIZES)


def _text_lines(root: Path) -> Iterator[str]:
    """The same number of lines of each language, then every word that they hold.

    SentencePiece draws its first pieces from substrings that are in two different words. In a small world most short
    words would be in one only, and fall to pieces; so each stands once more before a full stop.
    """
    words: dict[str, None] = {}
    for code in LANGUAGES:
        with (root / "mlm" / f"{code}.train.txt").open(encoding="utf-8") as file:
            for line in itertools.islice(file, 2000):
                words.update(dict.fromkeys(line.replace(".", "").replace("?", "").split()))
                yield line.rstrip()
    yield from (f"{word}." for word in words)


def train_tokenizer(root: Path | str, path: Path | str, *, vocab_size: int = 2000) -> Path:
    """Train a SentencePiece unigram vocabulary on the root's plain text; saved as XLM-R's kind of fast tokenizer.

    Ids as in XLM-R: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, the pieces, `<mask>` last. The pieces and scores are
    handed over: to load SentencePiece's own file, transformers would need protobuf.
    """
    import sentencepiece
    from transformers import XLMRobertaTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_text_lines(Path(root)), model_writer=model, model_type="unigram",
        vocab_size=vocab_size - 2, hard_vocab_limit=False, character_coverage=1.0, normalization_rule_name="nmt_nfkc",
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    learnt = [
        (trained.id_to_piece(i), trained.get_score(i)) for i in range(3, trained.get_piece_size())
    ]
    tokenizer = XLMRobertaTokenizer(
        vocab=[*special, *learnt, ("<mask>", 0.0)], model_max_length=384
    )
    tokenizer.save_pretrained(path)
    return Path(path)


def encoder_config(vocab_size: int, hidden: int = 160, layers: int = 4) -> XLMRobertaConfig:
    """The small encoder: four heads; room for 384 tokens, as question answering takes them."""
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=vocab_size, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,  # a few hundred steps do not overfit
        max_position_embeddings=386, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip


def default_encoder(
    *,
    hidden: int = 160,
    layers: int = 4,
    languages: Sequence[str] | None = None,
    max_steps: int | None = None,
) -> Path:
    """A small encoder, pretrained on the world's text by masked LM with jiantx itself; made on first use and kept.

    languages: those whose text it learns, all if None; the vocabulary is the same. max_steps: of the pretraining.
    """
    from filelock import FileLock
    from transformers import AutoTokenizer, TrainingArguments, XLMRobertaModel, set_seed

    from jiantx.checkpoints import find_problem, write_manifest
    from jiantx.model import MultitaskModel
    from jiantx.sources import Files, read_lines
    from jiantx.tasks import get_task
    from jiantx.trainer import Trainer

    root, spoken = default_root(), tuple(languages or LANGUAGES)
    pretraining = PRETRAINING if max_steps is None else {**PRETRAINING, "max_steps": max_steps}
    other = (
        [] if (hidden, layers, spoken) == (160, 4, tuple(LANGUAGES)) else [hidden, layers, spoken]
    )
    path = _cached("synthetic-encoder", pretraining, MASK_SHARE, root.name, *other)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and find_problem(path):
        raise RuntimeError(
            "The default encoder is made in one process. Call jiantx.default_encoder() in one first."
        )
    with FileLock(f"{path}.lock"):
        if find_problem(path) is None:
            return path
        work = path.with_name(path.name + ".work")
        tokenizer = AutoTokenizer.from_pretrained(train_tokenizer(root, work))
        text = Files(
            str(root / "mlm" / "{language}.{split}.txt"), read_lines, languages=tuple(LANGUAGES)
        )
        task = get_task("mlm").replace(source=text, train_languages=spoken, mask_share=MASK_SHARE)
        set_seed(0)
        XLMRobertaModel(encoder_config(len(tokenizer), hidden, layers)).save_pretrained(work)
        model = MultitaskModel.from_pretrained(work, [task])
        arguments = TrainingArguments(
            str(work),
            adam_beta2=0.98,
            weight_decay=0.01,
            save_strategy="no",
            report_to="none",
            **pretraining,
        )
        arguments._n_gpu = min(
            arguments.n_gpu, 1
        )  # small: one GPU of several is enough, and starts no processes
        Trainer(model, arguments, tasks=[task]).train()
        model.export(
            task, path
        )  # an XLMRobertaForMaskedLM folder, the form in which the Hub has XLM-R
        write_manifest(path)
        shutil.rmtree(work)
    return path
