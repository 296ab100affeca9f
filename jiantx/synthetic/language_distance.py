"""How far an artificial language is from English."""

from __future__ import annotations

import itertools
import random
from difflib import SequenceMatcher

from jiantx.synthetic.events import draw_event
from jiantx.synthetic.languages import ENGLISH, Language, lexicon
from jiantx.synthetic.rendering import Sentence, render


def distance(language: Language, *, sample: int = 200) -> dict[str, float]:
    """Measure how far a language is from English, on its lexicon and on sentences.

    Args:
        language: One of `LANGUAGES`.
        sample: How many sentences to compare; they are the same ones at each call.

    Returns:
        Four distances in [0, 1]. `lexicon` is the share of lemmas and names whose form is not
        similar to the English one (matching ratio under 0.6). `order` is the share of pairs of
        aligned words whose order is reversed (Kendall's tau distance). `script` is 1 if most
        letters are not Latin, else 0. `overall` is their mean, weighted 0.5, 0.3, 0.2.
    """
    rng = random.Random("distance")
    pairs = reversed_pairs = letters = latin_letters = 0
    for _ in range(sample):
        event = draw_event(rng)
        english_sentence = render(event, ENGLISH)
        sentence = render(event, language)
        positions = _aligned_positions(english_sentence, sentence)
        for left, right in itertools.combinations(positions, 2):
            pairs += 1
            reversed_pairs += left > right
        for character in sentence.text:
            if character.isalpha():
                letters += 1
                latin_letters += character.isascii()
    lexicon_distance = _lexicon_distance(language)
    order_distance = reversed_pairs / pairs
    script_distance = float(latin_letters < letters / 2)
    overall = 0.5 * lexicon_distance + 0.3 * order_distance + 0.2 * script_distance
    return {
        "lexicon": lexicon_distance,
        "order": order_distance,
        "script": script_distance,
        "overall": overall,
    }


def _lexicon_distance(language: Language) -> float:
    english_stems = lexicon("en")
    stems = lexicon(language.code)
    dissimilar = 0
    for lemma, english_stem in english_stems.items():
        ratio = SequenceMatcher(None, english_stem, stems[lemma], autojunk=False).ratio()
        dissimilar += ratio < 0.6
    return dissimilar / len(english_stems)


def _aligned_positions(source: Sentence, target: Sentence) -> list[int]:
    """Return the target positions of the source's words, without those that have no partner."""
    position_of = {word.key: position for position, word in enumerate(target.syntactic_words)}
    return [position_of[word.key] for word in source.syntactic_words if word.key in position_of]
