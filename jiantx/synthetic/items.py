"""Items of pair and tagging tasks: meanings without a language, one function per task type.

Each function draws the meaning of one example and returns an *item*: a function that takes a
language and returns the example's fields in it. The tables of `hub_datasets` name the columns.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from jiantx.synthetic.events import (
    DETAILS,
    add_details,
    contradict,
    domain_of,
    draw_event,
    filled_slots,
    generalize,
    reword,
    with_slot,
)
from jiantx.synthetic.languages import ENGLISH, Language
from jiantx.synthetic.rendering import ROLES, Sentence, render, render_text
from jiantx.synthetic.world import PEOPLE, Event, Phrase

Fields = dict[str, Any]
Item = Callable[[Language], Fields]
NLI_LABELS = ("entailment", "neutral", "contradiction")
BIO_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UNIVERSAL_TAGS = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)
QUESTION_ROLES = ("agent", "object", "location", "time")


def nli(rng: random.Random, undecided: float = 0.0) -> Item:
    """Draw a pair for natural language inference.

    Entailment: the premise says all that the hypothesis says. Neutral: it says less.
    Contradiction: both cannot be true.

    Args:
        rng: The random generator.
        undecided: The share of pairs labelled -1, as in SNLI where annotators disagree.

    Returns:
        An item with `first` (premise), `second` (hypothesis) and `label`.
    """
    label = rng.randrange(3)
    plain_event = draw_event(rng, details=0)
    hypothesis = add_details(rng, plain_event, rng.randint(1, 2))
    hypothesis = hypothesis._replace(negated=rng.random() < 0.25)
    premise, dropped_slot = _draw_premise(rng, hypothesis, label)
    missing = 2 - len(filled_slots(premise, DETAILS))
    premise = add_details(rng, premise, missing, without=dropped_slot)
    premise = reword(rng, premise)
    # Drawn last, and only where it is wanted: other tables' rows do not depend on it.
    if undecided and rng.random() < undecided:
        label = -1

    def fields(language: Language) -> Fields:
        return {
            "first": render_text(premise, language),
            "second": render_text(hypothesis, language),
            "label": label,
        }

    return fields


def _draw_premise(rng: random.Random, hypothesis: Event, label: int) -> tuple[Event, str]:
    """Return the premise, and the slot that must stay empty in it ("" if there is none)."""
    if NLI_LABELS[label] == "contradiction":
        return contradict(rng, hypothesis), ""
    if NLI_LABELS[label] == "neutral":
        return generalize(rng, hypothesis, rate=0.1)
    domain = domain_of(hypothesis)
    if rng.random() < 0.5 and with_slot(hypothesis, "object.noun", domain.kind) == hypothesis:
        # "apple" in the premise entails "fruit" in the hypothesis.
        return with_slot(hypothesis, "object.noun", rng.choice(domain.things)), ""
    return hypothesis, ""


def question_pair(rng: random.Random) -> Item:
    """Draw two questions; duplicates ask the same of the same event in other words.

    Questions that are no duplicates ask for another role, or of an event that differs in one slot.

    Returns:
        An item with `first`, `second` and `label` (1 for duplicates).
    """
    label = rng.randrange(2)
    event = draw_event(rng)
    roles = filled_slots(event, QUESTION_ROLES)
    ask = rng.choice(roles)
    first_ask = ask
    first_event = event
    if not label:
        if len(roles) > 2 and rng.random() < 0.3:
            first_ask = rng.choice([role for role in roles if role != ask])
        else:
            question = render(event, ENGLISH, ask=ask)
            while render(first_event, ENGLISH, ask=ask) == question:
                first_event = contradict(rng, event)
    first_event = reword(rng, first_event, 0.5)

    def fields(language: Language) -> Fields:
        return {
            "first": render_text(first_event, language, ask=first_ask),
            "second": render_text(event, language, ask=ask),
            "label": label,
        }

    return fields


def paraphrase(rng: random.Random) -> Item:
    """Draw two sentences of nearly the same words.

    A paraphrase moves or rewords a phrase; the other pairs swap who did what.

    Returns:
        An item with `first`, `second` and `label` (1 for paraphrases).
    """
    label = rng.randrange(2)
    if rng.random() < 0.5:
        first, second = _draw_giver_pair(rng, label)
    else:
        first, second = _draw_agents_pair(rng, label)
    first = [reword(rng, event) for event in first]
    front = rng.choice(("", "time", "location"))

    def fields(language: Language) -> Fields:
        return {
            "first": render_text(first, language, front=front),
            "second": render_text(second, language),
            "label": label,
        }

    return fields


def _draw_giver_pair(rng: random.Random, label: int) -> tuple[list[Event], list[Event]]:
    """Return twice the same event (label 1), or with giver and receiver swapped."""
    event = draw_event(rng, giving=True)
    receiver = event.recipient
    giver = receiver
    while giver == receiver:
        giver = Phrase(rng.choice(PEOPLE))
    event = with_slot(event, "agent", giver)
    if label:
        return [event], [event]
    swapped = with_slot(event, "agent", receiver)
    swapped = with_slot(swapped, "recipient", giver)
    return [swapped], [event]


def _draw_agents_pair(rng: random.Random, label: int) -> tuple[list[Event], list[Event]]:
    """Return two events in either order (label 1), or with their agents swapped."""
    people = rng.sample(PEOPLE, 2)
    events = []
    for person in people:
        event = draw_event(rng, details=0, giving=False)
        events.append(event._replace(agent=Phrase(person)))
    first_event, second_event = events
    if label:
        return [second_event, first_event], events
    swapped = [
        first_event._replace(agent=second_event.agent),
        second_event._replace(agent=first_event.agent),
    ]
    return swapped, events


def similarity(rng: random.Random) -> Item:
    """Draw two sentences; their score from 0 to 5 counts the roles that they agree on.

    Returns:
        An item with `first`, `second` and `score`.
    """
    second = draw_event(rng, details=3)._replace(recipient=None)
    first = draw_event(rng, details=3)._replace(recipient=None)
    slots = ("agent", "verb", "object", "location", "time")
    for slot in rng.sample(slots, rng.randint(0, len(slots))):
        first = with_slot(first, slot, getattr(second, slot))
    score = 0.0
    for slot in slots:
        score += getattr(first, slot) == getattr(second, slot)
    first = reword(rng, first)

    def fields(language: Language) -> Fields:
        return {
            "first": render_text(first, language),
            "second": render_text(second, language),
            "score": score,
        }

    return fields


def translation(rng: random.Random) -> Item:
    """Draw a sentence to be paired with its English translation.

    Returns:
        An item with `first`, `second` (English), `language` and `english` (three letters each).
        Both texts end in a newline, as in Tatoeba on the Hub.
    """
    event = draw_event(rng, details=2)

    def fields(language: Language) -> Fields:
        return {
            "first": render_text(event, language) + "\n",
            "second": render_text(event, ENGLISH) + "\n",
            "language": language.code3,
            "english": "eng",
        }

    return fields


def draw_sentence(rng: random.Random) -> Callable[[Language], Sentence]:
    """Draw a sentence for tagging: one event, two events or a question.

    Returns:
        A function that takes a language and returns the sentence in it.
    """
    if rng.random() < 0.2:
        events = [draw_event(rng, giving=False, details=1) for _ in range(2)]
    else:
        events = [draw_event(rng)]
        if rng.random() < 0.15:
            ask = rng.choice(filled_slots(events[0], ROLES))
            return lambda language: render(events, language, ask=ask)
    front = rng.choice(("", "", "time", "location"))
    return lambda language: render(events, language, front=front)


def tagged(rng: random.Random) -> Item:
    """Draw a sentence with universal part-of-speech tags.

    Returns:
        An item with `tokens` (syntactic words) and `tags` (indices into `UNIVERSAL_TAGS`).
    """
    sentence_in = draw_sentence(rng)

    def fields(language: Language) -> Fields:
        sentence = sentence_in(language)
        return {
            "tokens": [word.form for word in sentence.syntactic_words],
            "tags": [UNIVERSAL_TAGS.index(word.upos) for word in sentence.syntactic_words],
        }

    return fields


def entities(rng: random.Random) -> Item:
    """Draw a sentence with at least one name, and its BIO tags.

    Returns:
        An item with `tokens` (as they are written), `tags` (indices into `BIO_LABELS`),
        `languages` (a code per token) and `spans` (such as "PER: Mira Vance").
    """
    sentence_in = draw_sentence(rng)
    while not any(word.entity for word in sentence_in(ENGLISH).syntactic_words):
        sentence_in = draw_sentence(rng)

    def fields(language: Language) -> Fields:
        sentence = sentence_in(language)
        tokens = [form for form in sentence.written if form]
        tags, spans = _entity_tags(sentence)
        return {
            "tokens": tokens,
            "tags": tags,
            "languages": [language.code] * len(tokens),
            "spans": spans,
        }

    return fields


def _entity_tags(sentence: Sentence) -> tuple[list[int], list[str]]:
    """Return the label index of each token, and the names with their types."""
    tags = []
    spans: list[str] = []
    previous_role = ""
    for word, form in zip(sentence.syntactic_words, sentence.written, strict=True):
        role = word.key.split(".")[0] if word.entity else ""
        continues = role == previous_role
        if form:
            prefix = "I" if continues else "B"
            tags.append(BIO_LABELS.index(f"{prefix}-{word.entity}" if role else "O"))
        if role and continues:
            spans[-1] += f" {form}"
        elif role:
            spans.append(f"{word.entity}: {form}")
        if form:
            previous_role = role
    return tags, spans
