"""Events as sentences of a language: tagged words in order, and the text that they make."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jiantx.synthetic.languages import LANGUAGES, Language, inflect, lexicon
from jiantx.synthetic.world import ENTITY_TYPES, UPOS, Event, Phrase


class Word(NamedTuple):
    """A syntactic word of a sentence.

    Args:
        form: How it is said.
        lemma: Its English lemma.
        upos: Universal part-of-speech tag.
        key: Its slot in the meaning, such as `object.adjective`. The same key aligns the words of
            different languages.
        relation: Universal Dependencies relation to its head.
        entity: "PER", "ORG", "LOC", or "" outside of names.
    """

    form: str
    lemma: str
    upos: str
    key: str
    relation: str
    entity: str = ""


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence in their order.

    Args:
        syntactic_words: The last one is the final punctuation mark.
        written: The written form of each word: "" where it is fused with the word before.
    """

    syntactic_words: tuple[Word, ...]
    written: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(form for form in self.written[:-1] if form) + self.written[-1]

    def span(self, slot: str) -> tuple[int, int]:
        """Return start and end of a slot's words in the text, without adposition and article."""
        text = self.text
        spans = []
        end = 0
        for word, form in zip(self.syntactic_words, self.written, strict=True):
            start = text.index(form, end)
            end = start + len(form)
            is_in_slot = f"{word.key}.".startswith(f"{slot}.")
            if is_in_slot and word.upos not in ("ADP", "DET"):
                spans.append((start, end))
        return spans[0][0], spans[-1][1]


class _Role(NamedTuple):
    """How a phrase of an event is asked for and attached to the verb."""

    question_word: str
    relation: str
    adposition: str


ROLES = {
    "agent": _Role("who", "nsubj", ""),
    "object": _Role("what", "obj", ""),
    "recipient": _Role("who", "obl", "to"),
    "location": _Role("where", "obl", "in"),
    "time": _Role("when", "obl", "on"),
}


def _phrase_words(phrase: Phrase, language: Language, role: str) -> list[Word]:
    """Return the words of a phrase in the order of the language."""
    stems = lexicon(language.code)
    entity = ENTITY_TYPES.get(phrase.noun, "")
    is_person = entity == "PER"
    relation = ROLES[role].relation
    adposition = ROLES[role].adposition

    def word(slot: str, lemma: str, upos: str, relation: str, entity: str = "") -> Word:
        return Word(stems.get(lemma, lemma), lemma, upos, f"{role}.{slot}", relation, entity)

    form = stems[phrase.noun]
    if phrase.count > 1:
        form = inflect(form, language.plural)
    if entity:
        form = form.capitalize()
    upos = "PROPN" if entity else "NOUN"
    phrase_words = [Word(form, phrase.noun, upos, f"{role}.noun", relation, entity)]
    modifier = None
    if phrase.name:
        name_relation = "flat" if is_person else "compound"
        modifier = word("name", phrase.name, "PROPN", name_relation, entity)
    elif phrase.adjective:
        modifier = word("adjective", phrase.adjective, "ADJ", "amod")
    if modifier:
        is_last = language.adjective_last or is_person
        phrase_words.insert(1 if is_last else 0, modifier)
    takes_article = entity in ("", "ORG") and phrase.article
    has_article = language.articles or phrase.article == "every"
    if phrase.count > 1:
        phrase_words.insert(0, word("count", str(phrase.count), "NUM", "nummod"))
    elif takes_article and has_article:
        phrase_words.insert(0, word("article", phrase.article, "DET", "det"))
    if adposition:
        position = len(phrase_words) if language.postpositions else 0
        phrase_words.insert(position, word("adposition", adposition, "ADP", "case"))
    return phrase_words


@functools.lru_cache(maxsize=1 << 16)  # the same few phrases come up again and again
def _role_words(value: str | Phrase, language_code: str, role: str) -> Sequence[Word]:
    """Return the words of one role: those of a question word, an adverb, a phrase or a day."""
    language = LANGUAGES[language_code]
    if isinstance(value, Phrase):
        return tuple(_phrase_words(value, language, role))
    if value in UPOS:  # a question word, or an adverb of time
        upos = UPOS[value]
        relation = "advmod" if upos == "ADV" else ROLES[role].relation
        return (Word(lexicon(language_code)[value], value, upos, f"{role}.noun", relation),)
    return tuple(_phrase_words(Phrase(value, article=""), language, role))  # a day


def _verb_words(event: Event, language: Language, has_support: bool) -> list[Word]:
    """Return the verb, after its negation. With do-support ("did not open") it has no suffix."""
    stems = lexicon(language.code)
    form = stems[event.verb]
    if not has_support and event.verb != "is":
        form = inflect(form, language.past)
    verb = Word(form, event.verb, UPOS.get(event.verb, "VERB"), "verb", "root")
    if not event.negated:
        return [verb]
    return [Word(stems["not"], "not", UPOS["not"], "negation", "advmod"), verb]


def _clause_words(event: Event, language: Language, ask: str, front: str) -> list[Word]:
    """Return the words of a clause, without punctuation."""
    # English do-support, everywhere: "did not open", "what did Mira open", but "who opened".
    has_support = event.negated or ask not in ("", "agent")
    verb = _verb_words(event, language, has_support)
    auxiliary: list[Word] = []
    if has_support:
        auxiliary = [Word(lexicon(language.code)["did"], "did", UPOS["did"], "auxiliary", "aux")]
    auxiliary_precedes_verb = ask in ("", "agent") or not language.question_first
    if auxiliary_precedes_verb:  # else it follows the question word
        verb = auxiliary + verb
        auxiliary = []
    if language.order.endswith("v"):
        verb.reverse()

    words_of: dict[str, Sequence[Word]] = {}
    for role, description in ROLES.items():
        value = description.question_word if role == ask else getattr(event, role)
        if value:
            words_of[role] = _role_words(value, language.code, role)
    words_of["verb"] = verb

    fronted = [front] if front in words_of else []
    if ask and language.question_first:
        fronted.append(ask)
    remaining = [role for role in words_of if role not in fronted]
    remaining.sort(key=lambda role: language.order.index(role[0]))

    clause: list[Word] = []
    for role in fronted:
        clause += words_of[role]
    clause += auxiliary
    for role in remaining:
        clause += words_of[role]
    return clause


def render(
    events: Event | Sequence[Event], language: Language, *, ask: str = "", front: str = ""
) -> Sentence:
    """Say one event, or several joined by `and`.

    >>> from jiantx.synthetic import LANGUAGES
    >>> event = Event(Phrase("cook", "happy"), "open", Phrase("jar", "red", count=3), time="monday")
    >>> render(event, LANGUAGES["en"]).text
    'the happy cook opened 3 red jars on monday.'
    >>> render(event, LANGUAGES["en"], ask="object").text
    'what did the happy cook open on monday?'

    Args:
        events: One event, or several. The keys of the second event's words begin with `1:`.
        language: One of `LANGUAGES`.
        ask: The role to ask for, such as "object"; "" makes a statement.
        front: The role that stands first; "" keeps the language's order.

    Returns:
        The sentence.
    """
    sentence_words: list[Word] = []
    for index, event in enumerate([events] if isinstance(events, Event) else events):
        clause = _clause_words(event, language, ask, front)
        if index:
            conjunction = lexicon(language.code)["and"]
            sentence_words.append(Word(conjunction, "and", "CCONJ", f"{index}:and", "cc"))
            clause = [_as_conjunct(word, index) for word in clause]
        sentence_words += clause
    mark = "?" if ask else "."
    sentence_words.append(Word(mark, mark, "PUNCT", "mark", "punct"))
    written = [word.form for word in sentence_words]
    if language.fused:
        for index, (left, right) in enumerate(itertools.pairwise(sentence_words)):
            if left.upos == "ADP" and right.lemma == "the":
                written[index] = left.form + right.form[-1]
                written[index + 1] = ""
    return Sentence(tuple(sentence_words), tuple(written))


def _as_conjunct(word: Word, clause_index: int) -> Word:
    relation = word.relation.replace("root", "conj")
    return word._replace(key=f"{clause_index}:{word.key}", relation=relation)


def render_text(
    events: Event | Sequence[Event], language: Language, *, ask: str = "", front: str = ""
) -> str:
    """Return the text of `render`, which documents the arguments.

    Returns:
        The sentence with its punctuation mark.
    """
    return render(events, language, ask=ask, front=front).text
