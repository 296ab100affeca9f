"""Items of reading comprehension and multiple choice: meanings without a language.

As in `items`, each function draws the meaning of one example and returns a function that takes a
language and returns the example's fields in it.
"""

from __future__ import annotations

import random

from jiantx.synthetic.events import (
    domain_of,
    draw_event,
    filled_slots,
    next_event,
    question_about,
    with_slot,
)
from jiantx.synthetic.items import Fields, Item
from jiantx.synthetic.languages import LANGUAGES, Language
from jiantx.synthetic.rendering import render, render_text
from jiantx.synthetic.world import DOMAINS, Event


def reading(rng: random.Random, answerable: float = 1.0) -> Item:
    """Draw a passage of three or four events, and a question about one role of one of them.

    Args:
        rng: The random generator.
        answerable: The share of questions that the passage answers; the others ask about somebody
            or something that it does not mention, as in SQuAD 2.0.

    Returns:
        An item with `title`, `context`, `question` and `answers` (`text` and `answer_start`, two
        lists of at most one entry).
    """
    events = _draw_passage(rng)
    target_index = events.index(rng.choice(events))
    target = events[target_index]
    # An object is asked for twice as often as another role.
    ask = rng.choice(filled_slots(target, ("agent", "object", "object", "location", "time")))
    question = question_about(rng, target, ask)
    is_answerable = rng.random() < answerable
    if not is_answerable:
        question = _make_unanswerable(rng, question, ask, events)

    def fields(language: Language) -> Fields:
        sentences = [render(event, language) for event in events]
        answers: dict[str, list[str] | list[int]] = {"text": [], "answer_start": []}
        if is_answerable:
            start, end = sentences[target_index].span(ask)
            offset = 0
            for sentence in sentences[:target_index]:
                offset += len(sentence.text) + 1
            answer = sentences[target_index].text[start:end]
            answers = {"text": [answer], "answer_start": [offset + start]}
        return {
            "title": domain_of(target).kind,
            "context": " ".join(sentence.text for sentence in sentences),
            "question": render_text(question, language, ask=ask),
            "answers": answers,
        }

    return fields


def _draw_passage(rng: random.Random) -> list[Event]:
    """Draw events that differ in agent and domain, so that a question has one answer."""
    events: list[Event] = []
    count = rng.randint(3, 4)
    agents: set[str] = set()
    kinds: set[str] = set()
    while len(events) < count:
        event = draw_event(rng, details=2)
        kind = domain_of(event).kind
        if event.agent.noun not in agents and kind not in kinds:
            events.append(event)
            agents.add(event.agent.noun)
            kinds.add(kind)
    return events


def _make_unanswerable(rng: random.Random, question: Event, ask: str, events: list[Event]) -> Event:
    """Replace the question's agent or object by one that the passage does not mention."""
    agents = {event.agent.noun for event in events}
    kinds = {domain_of(event).kind for event in events}
    stranger = draw_event(rng)
    while stranger.agent.noun in agents | kinds or domain_of(stranger).kind in agents | kinds:
        stranger = draw_event(rng)
    if ask == "agent" or (ask != "object" and rng.random() < 0.5):
        return with_slot(question, "object", stranger.object)
    return with_slot(question, "agent", stranger.agent)


def reading_anywhere(rng: random.Random) -> Item:
    """Draw reading comprehension in one of three languages, as in TyDi QA.

    Returns:
        An item that ignores its language; its `id` begins with the name of the drawn one.
    """
    item = reading(rng)
    language_of_item = LANGUAGES[rng.choice(("en", "ru", "ar"))]
    example_id = f"{language_of_item.name.lower()}-{rng.getrandbits(60)}-0"
    return lambda language: {**item(language_of_item), "id": example_id}


def ending(rng: random.Random) -> Item:
    """Draw a sentence and four endings; the right one has the same thing and the verb that follows.

    Returns:
        An item with the fields of HellaSwag: `activity`, `first`, `second`, `context`, `endings`,
        `label_text`, `indomain` and `source`.
    """
    event = draw_event(rng, details=1, giving=False)
    right = next_event(rng, event)
    endings: list[Event] = []
    while len(endings) < 3:
        other = draw_event(rng, details=1, giving=False)
        if len(endings) == 1:  # the right thing with a wrong verb
            wrong = right._replace(verb=other.verb)
        else:  # the right verb with a wrong thing
            wrong = right._replace(object=other.object)
        if wrong not in (right, *endings):
            endings.append(wrong)
    label = rng.randrange(4)
    endings.insert(label, right)

    def fields(language: Language) -> Fields:
        sentences = [render(event, language, front="time") for event in endings]
        first = render_text(event, language)
        # All endings begin with the same words, up to the agent: "then the cook".
        _, agent_end = sentences[0].span("agent")
        second = sentences[0].text[:agent_end]
        return {
            "activity": domain_of(event).kind,
            "first": first,
            "second": second,
            "context": f"{first} {second}",
            "endings": [sentence.text[len(second) + 1 :] for sentence in sentences],
            "label_text": str(label),
            "indomain": "indomain",
            "source": f"synthetic~{label}",
        }

    return fields


def consequence(rng: random.Random, choices: int = 2) -> Item:
    """Draw a sentence and choices of what happened before or after it.

    One wrong choice happened on the other side of the event; the others tell of another thing.

    Args:
        rng: The random generator.
        choices: The number of choices.

    Returns:
        An item with the fields of COPA, Cosmos QA and Social IQa: `first`, `context`, `question`
        ("cause" or "effect"), `changed`, `label` (from 0), `number` (the label from 1, as text),
        `asked` (the question as a sentence), and `choice0`, `choice1`, ….
    """
    event = draw_event(rng, details=1, giving=False)
    earlier_event = draw_event(rng)
    step = rng.choice((-1, 1))
    right = next_event(rng, event, step)._replace(time=None)
    wrong = [next_event(rng, event, -step)._replace(time=None)]
    while len(wrong) < choices:
        candidate = right._replace(object=draw_event(rng).object)
        if candidate not in (right, *wrong):
            wrong.append(candidate)
    label = rng.randrange(choices)
    choice_events = rng.sample(wrong, choices - 1)
    choice_events.insert(label, right)

    def fields(language: Language) -> Fields:
        first = render_text(event, language)
        row: Fields = {
            "first": first,
            "context": f"{render_text(earlier_event, language)} {first}",
            "question": "cause" if step < 0 else "effect",
            "changed": False,
            "label": label,
            "number": str(label + 1),
            "asked": f"what happened {'before' if step < 0 else 'then'}?",
        }
        for index, choice in enumerate(choice_events):
            row[f"choice{index}"] = render_text(choice, language)
        return row

    return fields


def knowledge(rng: random.Random) -> Item:
    """Draw a common-sense question about this world: kinds of things and their usual locations.

    Returns:
        An item with the fields of CommonsenseQA, in English in every language: `question`,
        `concept`, `choices` (`label` and `text`) and `key`.
    """
    domain, *other_domains = rng.sample(DOMAINS, 5)
    thing = rng.choice(domain.things)
    other_things = [rng.choice(other.things) for other in other_domains]
    location = rng.choice(domain.locations)
    other_locations = [rng.choice(other.locations) for other in other_domains]
    other_kinds = [other.kind for other in other_domains]
    question, right, texts = rng.choice(
        (
            (f"what is every {thing}?", domain.kind, other_kinds),
            (f"what is a {domain.kind}?", thing, other_things),
            (f"where did every {thing} belong?", location, other_locations),
        )
    )
    answer_index = rng.randrange(5)
    texts.insert(answer_index, right)
    labels = list("ABCDE")

    def fields(language: Language) -> Fields:
        return {
            "question": question,
            "concept": thing,
            "choices": {"label": labels, "text": texts},
            "key": labels[answer_index],
        }

    return fields
