"""The data root's files that are not on the Hub: SQuAD's JSON, BUCC, Mewsli-X and plain text.

`treebanks` writes the other two, Universal Dependencies and CCGbank.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from jiantx.synthetic.events import (
    DETAILS,
    contradict,
    draw_event,
    filled_slots,
    general_facts,
    generalize,
    next_event,
    question_about,
    reword,
    with_slot,
)
from jiantx.synthetic.hub_datasets import EVALUATION, TRAIN, draw_many
from jiantx.synthetic.items import QUESTION_ROLES, Fields, Item
from jiantx.synthetic.languages import ENGLISH, LANGUAGES, Language, lexicon
from jiantx.synthetic.question_items import reading
from jiantx.synthetic.rendering import Sentence, render, render_text
from jiantx.synthetic.world import DOMAINS, PEOPLE, TOWNS, Event, Phrase

_BUCC_LANGUAGES = ("de", "ru", "zh")
_MEWSLIX_LANGUAGES = ("en", "de", "es", "ar")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a UTF-8 text file, and its folder where it is missing.

    Args:
        path: The file.
        lines: The lines without their newlines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _sentence_spans(text: str) -> list[dict[str, int]]:
    """Return start and end of each sentence of a text."""
    matches = re.finditer(r"[^ .][^.]*[.]", text)
    return [{"start": match.start(), "end": match.end()} for match in matches]


# --- SQuAD's JSON ---------------------------------------------------------------------------------


def write_squad_files(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Write SQuAD's first training questions in translation, and XQuAD with its sentences (LAReQA).

    Args:
        root: The data root.
        seed: The seed of the whole root.
        sizes: Questions per split, under the keys `TRAIN` and `EVALUATION`.
    """
    train_seed = f"{seed} rajpurkar/squad plain_text train"  # as `write_table` seeds SQuAD
    train_items = draw_many(reading, train_seed, sizes[TRAIN] // 4)
    validation_seed = f"{seed} google/xquad xquad.{{language}} validation"  # and XQuAD
    validation_items = draw_many(reading, validation_seed, sizes[EVALUATION])
    translations = root / "xtreme_translations" / "SQuAD" / "translate-train"
    for language in LANGUAGES.values():
        if language != ENGLISH:
            path = translations / f"squad.translate.train.en-{language.code}.json"
            _write_squad_json(path, train_items, "train", language)
        path = root / "lareqa" / "xquad-r" / f"{language.code}.json"
        _write_squad_json(path, validation_items, "validation", language, with_sentences=True)


def _write_squad_json(
    path: Path,
    items: Sequence[Item],
    split: str,
    language: Language,
    with_sentences: bool = False,
) -> None:
    articles = []
    for index, item in enumerate(items):
        row = item(language)
        context = row["context"]
        answers = []
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            answers.append({"text": text, "answer_start": start})
        question = {"id": f"{split}-{index}", "question": row["question"], "answers": answers}
        paragraph: Fields = {"context": context, "qas": [question]}
        if with_sentences:
            breaks = [(span["start"], span["end"]) for span in _sentence_spans(context)]
            paragraph["sentence_breaks"] = breaks
            paragraph["sentences"] = [context[start:end] for start, end in breaks]
        articles.append({"title": row["title"], "paragraphs": [paragraph]})
    write_lines(path, [json.dumps({"data": articles, "version": "1.1"}, ensure_ascii=False)])


# --- BUCC -----------------------------------------------------------------------------------------


def write_bucc_files(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Write BUCC 2018: two sides of equal size, two in five sentences of which are translations.

    Args:
        root: The data root.
        seed: The seed of the whole root.
        sizes: `EVALUATION` is the number of different sentences of a side, in both splits.
    """
    for code, split in itertools.product(_BUCC_LANGUAGES, ("sample", "training")):
        rng = random.Random(f"{seed} bucc {code} {split}")
        prefix = root / "bucc2018" / f"{code}-en" / f"{code}-en.{split}"
        _write_bucc_split(rng, prefix, LANGUAGES[code], sizes[EVALUATION])


def _write_bucc_split(rng: random.Random, prefix: Path, language: Language, count: int) -> None:
    unpaired = count - count * 2 // 5
    translation_of: dict[str, str] = {}  # English sentence -> sentence in the language
    while len(translation_of) < count + unpaired:
        event = draw_event(rng, details=2)
        translation_of[render_text(event, ENGLISH)] = render_text(event, language)
    pairs = list(translation_of.items())

    # The sides overlap in the middle of `pairs`. On each side, one sentence without a translation
    # on the other side occurs twice.
    foreign_side = [*pairs[:count], pairs[0]]
    rng.shuffle(foreign_side)
    foreign_ids = _number_sentences(foreign_side, language.code)
    foreign_lines = [
        f"{sentence_id}\t{translation}" for sentence_id, (_, translation) in foreign_ids
    ]
    write_lines(prefix.with_name(f"{prefix.name}.{language.code}"), foreign_lines)

    english_side = [*pairs[unpaired:], pairs[-1]]
    rng.shuffle(english_side)
    english_ids = _number_sentences(english_side, "en")
    english_lines = [f"{sentence_id}\t{english}" for sentence_id, (english, _) in english_ids]
    write_lines(prefix.with_name(f"{prefix.name}.en"), english_lines)

    english_id_of = {pair: sentence_id for sentence_id, pair in english_ids}
    gold = []
    for sentence_id, pair in foreign_ids:
        if pair in english_id_of:
            gold.append(f"{sentence_id}\t{english_id_of[pair]}")
    write_lines(prefix.with_name(f"{prefix.name}.gold"), gold)


def _number_sentences(
    pairs: Sequence[tuple[str, str]], code: str
) -> list[tuple[str, tuple[str, str]]]:
    return [(f"{code}-{index:09}", pair) for index, pair in enumerate(pairs, start=1)]


# --- Mewsli-X -------------------------------------------------------------------------------------


def _list_entities() -> dict[str, str]:
    """Return the nouns that are entities, each with the role that it plays in events."""
    role_of = dict.fromkeys(PEOPLE, "agent") | dict.fromkeys(TOWNS, "location")
    for domain in DOMAINS:
        role_of |= dict.fromkeys(domain.things, "object")
    return role_of


_ENTITY_ROLES = _list_entities()


def write_mewslix_files(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Write Mewsli-X: entities with descriptions, mentions in news, and training pairs.

    Args:
        root: The data root.
        seed: The seed of the whole root.
        sizes: `TRAIN` // 4 documents to train on, and `EVALUATION` // 2 in the other splits.
    """
    folder = root / "mewsli-x"
    eval_documents = sizes[EVALUATION] // 2
    entities = []
    for noun, language in zip(_ENTITY_ROLES, itertools.cycle(LANGUAGES.values())):
        entities.append(_describe_entity(seed, noun, language))
    _write_jsonl(folder / "candidate_set_entities.jsonl", entities)

    for split in ("dev", "test"):
        rows = []
        documents = _draw_documents(seed, "news", split, eval_documents, _MEWSLIX_LANGUAGES)
        for context, mentions in documents:
            rows.append({"context": context, "mentions": mentions})
        _write_jsonl(folder / f"wikinews_mentions-{split}.jsonl", rows)

    for split, count in (("train", sizes[TRAIN] // 4), ("dev", eval_documents)):
        rows = []
        for context, mentions in _draw_documents(seed, "pairs", split, count, ("en",)):
            for mention in mentions[:1]:
                entity = _describe_entity(seed, mention["entity_id"], ENGLISH)
                contextual_mention = {"context": context, "mention": mention}
                rows.append({"contextual_mention": contextual_mention, "entity": entity})
        _write_jsonl(folder / f"wikipedia_pairs-{split}.jsonl", rows)


def _write_jsonl(path: Path, rows: Iterable[Fields]) -> None:
    write_lines(path, (json.dumps(row, ensure_ascii=False) for row in rows))


def _describe_entity(seed: int, noun: str, language: Language) -> Fields:
    """Return an entity with a description: two facts, or two events in which it has its role."""
    rng = random.Random(f"{seed} mewsli-x {noun}")
    role = _ENTITY_ROLES[noun]
    if role == "object":
        events = general_facts(rng, noun)
    else:
        events = [with_slot(draw_event(rng), role, Phrase(noun)) for _ in range(2)]
    description = " ".join(render_text(event, language) for event in events)
    return {
        "entity_id": noun,
        "title": lexicon(language.code)[noun],
        "description_language": language.code,
        "description": description,
        "sentence_spans": _sentence_spans(description),
    }


def _draw_documents(
    seed: int, kind: str, split: str, count: int, codes: Sequence[str]
) -> list[tuple[Fields, list[Fields]]]:
    """Return documents with their mentions, in each of the languages in turn."""
    rng = random.Random(f"{seed} mewsli-x {kind} {split}")
    documents = []
    for index in range(count):
        language = LANGUAGES[codes[index % len(codes)]]
        documents.append(_draw_document(rng, language, f"{split}-{index}"))
    return documents


def _draw_document(
    rng: random.Random, language: Language, title: str
) -> tuple[Fields, list[Fields]]:
    """Return a document of three sentences and its mentions of entities, as Mewsli-X has them."""
    events = [draw_event(rng, details=2) for _ in range(3)]
    sentences = [render(event, language) for event in events]
    text = " ".join(sentence.text for sentence in sentences)
    spans = _sentence_spans(text)
    context = {
        "document_title": title,
        "language": language.code,
        "text": text,
        "sentence_spans": spans,
    }
    mentions: list[Fields] = []
    for event, sentence, span in zip(events, sentences, spans, strict=True):
        for role in filled_slots(event, ("agent", "object", "location")):
            noun = getattr(event, role).noun
            if _ENTITY_ROLES.get(noun) != role:
                continue
            start, end = sentence.span(f"{role}.noun")
            start += span["start"]
            end += span["start"]
            mention_span = {"start": start, "end": end, "text": text[start:end]}
            example_id = f"{title}-{len(mentions)}"
            mentions.append(
                {"example_id": example_id, "entity_id": noun, "mention_span": mention_span}
            )
    return context, mentions


# --- Plain text -----------------------------------------------------------------------------------


def write_plain_text(root: Path, language: Language, seed: int, lines: int) -> None:
    """Write a language's text for masked language modelling.

    Args:
        root: The data root.
        language: The language; the texts of different languages are not parallel.
        seed: The seed of the whole root.
        lines: Lines of the training split. The validation split has a twentieth, at least 10.
    """
    for split, count in (("train", lines), ("validation", max(lines // 20, 10))):
        passages = itertools.islice(plain_text(language, seed, split), count)
        write_lines(root / "mlm" / f"{language.code}.{split}.txt", passages)


def plain_text(language: Language, seed: int, split: str) -> Iterator[str]:
    """Yield lines of a language's text without end.

    Args:
        language: The language.
        seed: The seed of the whole root.
        split: "train" or "validation".

    Yields:
        A line, without its newline.
    """
    rng = random.Random(f"{seed} text {language.code} {split}")
    while True:
        yield draw_passage(rng, language)


def draw_passage(rng: random.Random, language: Language) -> str:
    """Draw one line of plain text: a few sentences about one event, much of which is said twice.

    The event returns in other words, as a question with its answer, denied, or one step later.
    That repetition makes a small encoder look for the same words elsewhere in its text, which all
    pair tasks need.

    Args:
        rng: The random generator.
        language: The language to write in.

    Returns:
        The line, without a newline.
    """
    event = _draw_detailed_event(rng)
    kind = rng.random()
    if kind < 0.08:
        thing = rng.choice(rng.choice(DOMAINS).things)
        return " ".join(render_text(fact, language) for fact in general_facts(rng, thing))
    reworded = reword(rng, event)
    front = rng.choice(("", "", "time", "location"))
    first = render(reworded, language, front=front)
    if kind < 0.40:  # in other words, or less specific
        second = event if rng.random() < 0.5 else generalize(rng, event)[0]
        return f"{first.text} {render_text(reword(rng, second), language)}"
    if kind < 0.70:
        return _question_and_answer(rng, event, first, language)
    if kind < 0.85:  # what did not happen
        denied = contradict(rng, event)._replace(negated=not event.negated)
        return f"{first.text} {render_text(denied, language)}"
    following = next_event(rng, event)
    return f"{first.text} {render_text(following, language, front='time')}"


def _draw_detailed_event(rng: random.Random) -> Event:
    """Draw an event with a detail: the first attempt must have `DETAILS[0]`, the second [1], …."""
    for detail in itertools.cycle(DETAILS):
        event = draw_event(rng)
        if filled_slots(event, [detail]):
            break
    return event._replace(negated=rng.random() < 0.1)


def _question_and_answer(
    rng: random.Random, event: Event, sentence: Sentence, language: Language
) -> str:
    """Return the sentence, alone or beside an unrelated one, a question about it and the answer."""
    ask = rng.choice(filled_slots(event, QUESTION_ROLES))
    start, end = sentence.span(ask)
    answer = sentence.text[start:end]
    unrelated = render_text(draw_event(rng), language)
    contexts = (f"{sentence.text} {unrelated}", f"{unrelated} {sentence.text}", sentence.text)
    context = rng.choice(contexts)
    question = question_about(rng, event._replace(negated=False), ask)
    return f"{context} {render_text(question, language, ask=ask)} {answer}."
