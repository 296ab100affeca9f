"""How events are drawn and changed.

Text pairs are made backwards: the second text is drawn in the same way under every label, and the
first is made to fit. So the second text alone says nothing about the label. Nor does the premise
alone, because it has two details under each label.

A *slot* is the path of a value in an event, such as `time` or `object.adjective`. Every function
takes a random generator, and the order of its draws is a part of the format: another order writes
other rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from jiantx.synthetic.world import (
    ADVERBS,
    DAYS,
    DOMAIN_OF,
    DOMAINS,
    ENTITY_TYPES,
    GIVING_VERBS,
    LOCATIONS,
    OPPOSITES,
    ORGANISATIONS,
    PEOPLE,
    PERSON_ADJECTIVES,
    REGIONS,
    SURNAMES,
    SYNONYMS,
    THING_ADJECTIVES,
    TOWNS,
    VERBS,
    Domain,
    Event,
    Phrase,
)

DETAILS = ("agent.adjective", "object.adjective", "location", "time")
_REWORDED_SLOTS = ("verb", "agent.adjective", "object.adjective")


def filled_slots(event: Event, slots: Iterable[str]) -> list[str]:
    """Return those slots that have a value in the event.

    Args:
        event: The event.
        slots: Paths such as `object.adjective`. The phrases that they go through must exist.

    Returns:
        The filled slots, in the order of `slots`.
    """
    return [slot for slot in slots if attrgetter(slot)(event)]


def with_slot(event: Event, slot: str, value: Any) -> Event:
    """Return a copy of the event in which a slot has another value.

    >>> event = Event(Phrase("cook"), "open", Phrase("jar"))
    >>> with_slot(event, "object.adjective", "red").object
    Phrase(noun='jar', adjective='red', count=1, name=None, article='the')

    Args:
        event: The event.
        slot: A path such as `time` or `object.adjective`.
        value: The new value; None empties the slot.

    Returns:
        The changed copy.
    """
    role, _, attribute = slot.partition(".")
    if attribute:
        value = getattr(event, role)._replace(**{attribute: value})
    return event._replace(**{role: value})


def domain_of(event: Event) -> Domain:
    """Return the domain of the event's object."""
    assert event.object
    return DOMAIN_OF[event.object.noun]


def _draw_word(rng: random.Random, groups: Sequence[Sequence[Sequence[str]]]) -> str:
    group = rng.choice(groups)
    return rng.choice(rng.choice(group))


def _draw_agent(rng: random.Random, domain: Domain) -> Phrase:
    if rng.random() < 0.45:
        first_name = rng.choice(PEOPLE)
        surname = rng.choice(SURNAMES) if rng.random() < 0.3 else None
        return Phrase(first_name, name=surname)
    if rng.random() < 0.12:
        return Phrase(rng.choice(ORGANISATIONS), name=rng.choice(TOWNS))
    return Phrase(rng.choice(domain.people))


def _draw_location(rng: random.Random, domain: Domain) -> Phrase:
    if rng.random() < 0.6:
        return Phrase(rng.choice(domain.locations))
    town = rng.choice(TOWNS)
    if rng.random() < 0.25:
        return Phrase(rng.choice(REGIONS), name=town)
    return Phrase(town)


def draw_event(
    rng: random.Random, *, details: int | None = None, giving: bool | None = None
) -> Event:
    """Draw an event whose words suit one another.

    Each kind of thing has its own people, locations and usual verbs.

    Args:
        rng: The random generator.
        details: How many of `DETAILS` to fill at most; None draws 1 to 3.
        giving: Whether something is given to a recipient; None draws it (20 %).

    Returns:
        An event with an agent, a verb and an object.
    """
    domain_index = rng.randrange(len(DOMAINS))
    domain = DOMAINS[domain_index]
    noun = domain.kind if rng.random() < 0.1 else rng.choice(domain.things)
    count = rng.randint(2, 9) if rng.random() < 0.35 else 1
    if giving is None:
        giving = rng.random() < 0.2
    is_usual = rng.random() < 0.7
    verbs = VERBS[domain_index : domain_index + 3] if is_usual else VERBS
    agent = _draw_agent(rng, domain)
    verb = _draw_word(rng, GIVING_VERBS if giving else verbs)
    event = Event(agent, verb, Phrase(noun, count=count))
    if giving:
        receivers = [person for person in PEOPLE if person != agent.noun]
        event = event._replace(recipient=Phrase(rng.choice(receivers)))
    if details is None:
        details = rng.randint(1, 3)
    return add_details(rng, event, details)


def add_details(rng: random.Random, event: Event, count: int, *, without: str = "") -> Event:
    """Fill some of the event's empty detail slots.

    Args:
        rng: The random generator.
        event: The event.
        count: How many details to add; fewer where fewer slots are empty.
        without: A slot that must stay empty.

    Returns:
        The event with its new details.
    """
    taken = {*filled_slots(event, DETAILS), without}
    if event.agent.noun in ENTITY_TYPES:
        taken.add("agent.adjective")  # a name has no adjective
    free = [slot for slot in DETAILS if slot not in taken]
    for slot in rng.sample(free, min(count, len(free))):
        event = with_slot(event, slot, _draw_detail(rng, event, slot))
    return event


def _draw_detail(rng: random.Random, event: Event, slot: str) -> str | Phrase:
    if slot == "location":
        return _draw_location(rng, domain_of(event))
    if slot == "time":
        return rng.choice((*DAYS, *ADVERBS[:3]))
    if slot == "agent.adjective":
        return _draw_word(rng, PERSON_ADJECTIVES)
    return _draw_word(rng, THING_ADJECTIVES)


def reword(rng: random.Random, event: Event, rate: float = 0.3) -> Event:
    """Replace words by synonyms; the meaning stays.

    Args:
        rng: The random generator.
        event: The event.
        rate: The probability that a word is drawn anew from its synonyms, itself included.

    Returns:
        The reworded event.
    """
    for slot in filled_slots(event, _REWORDED_SLOTS):
        if rng.random() < rate:
            synonyms = SYNONYMS[attrgetter(slot)(event)]
            event = with_slot(event, slot, rng.choice(synonyms))
    return event


def contradict(rng: random.Random, event: Event) -> Event:
    """Change one value so that both events cannot be true of the same occasion.

    Args:
        rng: The random generator.
        event: An event with an object.

    Returns:
        The event with one slot changed.
    """
    assert event.object
    domain = domain_of(event)
    noun = event.object.noun
    options: list[tuple[str, Any]] = [("negated", not event.negated)]
    if OPPOSITES[event.verb]:
        verb = rng.choice(OPPOSITES[event.verb])
        options += [("verb", verb), ("verb", verb)]  # twice as likely as another change
    for slot in filled_slots(event, ("agent.adjective", "object.adjective")):
        opposites = OPPOSITES[attrgetter(slot)(event)]
        options.append((slot, rng.choice(opposites)))
    if event.object.count > 1:
        counts = [count for count in range(2, 10) if count != event.object.count]
        options.append(("object.count", rng.choice(counts)))
    if noun != domain.kind:
        things = [thing for thing in domain.things if thing != noun]
        options.append(("object.noun", rng.choice(things)))
    if event.location:
        taken = (event.location.noun, event.location.name)
        nouns = [location for location in (*LOCATIONS, *TOWNS) if location not in taken]
        options.append(("location", Phrase(rng.choice(nouns))))
    if event.time:
        days = [day for day in DAYS if day != event.time]
        options.append(("time", rng.choice(days)))
    slot, value = rng.choice(options)
    return with_slot(event, slot, value)


def generalize(rng: random.Random, event: Event, rate: float = 0.3) -> tuple[Event, str]:
    """Make an event less specific.

    The object is named by its kind (`apple` becomes `fruit`), or a detail is dropped.

    Args:
        rng: The random generator.
        event: An event with an object.
        rate: The probability of naming the kind, where the object is not a kind already. An
            event without details always names the kind.

    Returns:
        The less specific event, and the slot that was changed.
    """
    details = filled_slots(event, DETAILS)
    with_kind = with_slot(event, "object.noun", domain_of(event).kind)
    if with_kind != event and (rng.random() < rate or not details):
        return with_kind, "object.noun"
    slot = rng.choice(details)
    return with_slot(event, slot, None), slot


def next_event(rng: random.Random, event: Event, step: int = 1) -> Event:
    """Return what usually happens next to the same thing: verbs follow the order of `VERBS`.

    Args:
        rng: The random generator.
        event: The event.
        step: How far to go in `VERBS`, cyclically; -1 is what usually happened before.

    Returns:
        An event with the same agent and object, without details other than `then`.
    """
    synonyms = SYNONYMS[event.verb]
    verb_index = 0  # for verbs of giving
    for index, group in enumerate(VERBS):
        if synonyms in group:
            verb_index = index
            break
    following = VERBS[(verb_index + step) % len(VERBS)]
    return event._replace(
        agent=Phrase(event.agent.noun),
        verb=rng.choice(following[0]),
        recipient=None,
        location=None,
        time="then",
    )


def general_facts(rng: random.Random, thing: str) -> list[Event]:
    """Return two facts about a thing: its kind (`is a fruit`), and where it belongs.

    Args:
        rng: The random generator; it draws one of the two usual locations.
        thing: One of a domain's things.

    Returns:
        Two events whose agent is "every thing".
    """
    domain = DOMAIN_OF[thing]
    every_thing = Phrase(thing, article="every")
    location = Phrase(rng.choice(domain.locations))
    return [
        Event(every_thing, "is", Phrase(domain.kind, article="a")),
        Event(every_thing, "belong", location=location),
    ]


def question_about(rng: random.Random, event: Event, ask: str) -> Event:
    """Return the event as a question repeats it: reworded, and without some of its details.

    Args:
        rng: The random generator.
        event: The event.
        ask: The role that the question asks for; its slot is kept.

    Returns:
        The event to render with `ask`.
    """
    for slot in filled_slots(event, DETAILS):
        if slot != ask and rng.random() < 0.6:
            event = with_slot(event, slot, None)
    return reword(rng, event, 0.2)
