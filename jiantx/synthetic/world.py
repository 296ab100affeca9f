"""The words of the artificial world, and the phrases and events that are made of them.

A lemma is an English word. `Phrase` and `Event` are small frozen values that combine lemmas; they
hold a meaning without a language. `jiantx.synthetic.languages` renders them as sentences.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple


def _parse_groups(text: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Parse lemmas: commas separate groups, bars alternatives in a group, spaces synonyms.

    >>> _parse_groups("clean wash | stain, open | close")
    ((('clean', 'wash'), ('stain',)), (('open',), ('close',)))
    """
    groups = []
    for group in text.split(","):
        alternatives = [tuple(synonyms.split()) for synonyms in group.split("|")]
        groups.append(tuple(alternatives))
    return tuple(groups)


@dataclass(frozen=True)
class Domain:
    """Things of one kind, the locations where they belong and the people who deal with them.

    Args:
        kind: The hypernym, such as "fruit".
        things: Nouns of this kind, such as "apple".
        locations: Nouns such as "orchard".
        people: Professions such as "farmer".
    """

    kind: str
    things: tuple[str, ...]
    locations: tuple[str, ...]
    people: tuple[str, ...]


DOMAINS = tuple(
    Domain(kind[0], things, locations, people)
    for kind, things, locations, people in _parse_groups("""
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

# The alternatives of a group exclude one another: what is cleaned is not stained.
# Order matters: a thing is first collected, then cleaned, then loaded (`events.next_event`).
VERBS = _parse_groups("""
    collect gather | scatter, clean wash | stain soil, load fill | unload drain,
    deliver transport | return, open unlock | close seal, display exhibit | conceal cover,
    praise admire | scorn, order request | cancel, accept welcome | refuse reject,
    repair mend | damage ruin, paint decorate | bleach, lift raise | lower
""")
GIVING_VERBS = _parse_groups("hand pass | retain, mail post, offer present | decline")
PERSON_ADJECTIVES = _parse_groups("""
    happy cheerful | sad gloomy, rich wealthy | poor needy, young youthful | elderly aged,
    clever wise | foolish silly, brave bold | timid shy, tall | short
""")
THING_ADJECTIVES = _parse_groups("""
    big large | small little, heavy | light, cheap | costly expensive, old ancient | new fresh,
    strong sturdy | weak fragile, red | blue | green | yellow | white | black
""")

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADVERBS = ("yesterday", "today", "recently", "then")
UPOS = (  # function word -> universal part-of-speech tag
    dict.fromkeys(("the", "a", "every"), "DET")
    | dict.fromkeys(("in", "on", "to"), "ADP")
    | dict.fromkeys(("did", "is"), "AUX")
    | dict.fromkeys(("not",), "PART")
    | dict.fromkeys(("and",), "CCONJ")
    | dict.fromkeys(("who", "what"), "PRON")
    | dict.fromkeys(("where", "when", *ADVERBS), "ADV")
)

ORGANISATIONS = ("bank", "council", "theatre", "union")
REGIONS = ("port", "mount", "lake")
((PEOPLE, SURNAMES, TOWNS),) = _parse_groups("""
    Mira Tomas Lena Oskar Petra Hugo Nadia Felix Clara Bruno
    Irene Viktor Alma Jonas Selma Marco Dora Anton Rosa Emil |
    Halden Morrow Keller Vance Lindt Sorel Barden Quist |
    Dorvale Kelmar Ostrin Brenholm Tavira Lunden Marosk Velden Ansburg Corvino Ruthen Selby
""")
NAMES = (*PEOPLE, *SURNAMES, *TOWNS)
ENTITY_TYPES = (  # noun -> entity type, as in WikiANN
    dict.fromkeys(PEOPLE, "PER")
    | dict.fromkeys(ORGANISATIONS, "ORG")
    | dict.fromkeys((*REGIONS, *TOWNS), "LOC")
)


def _domains_by_noun() -> dict[str, Domain]:
    domain_of: dict[str, Domain] = {}
    for domain in DOMAINS:
        domain_of |= dict.fromkeys((domain.kind, *domain.things), domain)
    return domain_of


DOMAIN_OF = _domains_by_noun()
LOCATIONS = tuple(itertools.chain.from_iterable(domain.locations for domain in DOMAINS))


def _relate_words() -> tuple[dict[str, tuple[str, ...]], dict[str, list[str]]]:
    """Return the synonyms (with the word itself) and the opposites of each verb and adjective."""
    synonyms: dict[str, tuple[str, ...]] = {}
    opposites: dict[str, list[str]] = {}
    for group in (*VERBS, *GIVING_VERBS, *PERSON_ADJECTIVES, *THING_ADJECTIVES):
        for alternative in group:
            excluded: list[str] = []
            for other in group:
                if other is not alternative:
                    excluded.extend(other)
            for word in alternative:
                synonyms[word] = alternative
                opposites[word] = excluded
    return synonyms, opposites


SYNONYMS, OPPOSITES = _relate_words()


def _list_lemmas() -> tuple[str, ...]:
    """Return all lemmas but names. Their order decides which ones languages share."""
    lemmas = [*UPOS, *SYNONYMS, "belong", *DAYS, *ORGANISATIONS, *REGIONS]
    for domain in DOMAINS:
        lemmas += [domain.kind, *domain.things, *domain.locations, *domain.people]
    return tuple(lemmas)


LEMMAS = _list_lemmas()


class Phrase(NamedTuple):
    """A noun with its modifiers, such as `3 red apples`, `Mira Vance` or `the Dorvale bank`.

    Args:
        noun: A lemma or a name.
        adjective: A lemma, or None.
        count: How many; from 2 on, the number is said and the noun is a plural.
        name: A surname, or the town in an organisation's or a region's name. A phrase with a
            name has no adjective.
        article: "the", "a", "every", or "" for none.
    """

    noun: str
    adjective: str | None = None
    count: int = 1  # type: ignore[assignment]  # instead of tuple's method
    name: str | None = None
    article: str = "the"


class Event(NamedTuple):
    """The meaning of a sentence: who did what, to whom, where and when.

    Args:
        agent: Who did it.
        verb: A lemma.
        object: What it was done to.
        recipient: To whom something was given.
        location: Where.
        time: A day or an adverb of time.
        negated: Whether the event did *not* happen.
    """

    agent: Phrase
    verb: str
    object: Phrase | None = None
    recipient: Phrase | None = None
    location: Phrase | None = None
    time: str | None = None
    negated: bool = False
