"""The treebanks of the data root: Universal Dependencies in all languages, CCGbank in English."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from jiantx.synthetic.hub_datasets import EVALUATION, TRAIN, draw_many
from jiantx.synthetic.items import draw_sentence
from jiantx.synthetic.languages import ENGLISH, LANGUAGES
from jiantx.synthetic.published_files import write_lines
from jiantx.synthetic.rendering import Sentence, Word

# Categories of Combinatory Categorial Grammar, by an English word or by its tag. "^" marks a tag
# at the front of the sentence, and "who did" is "who" in a clause with do-support.
_CCG_CATEGORIES = {
    "NOUN": "N",
    "PROPN": "N",
    "ADJ": "N/N",
    "NUM": "N/N",
    "DET": "NP[nb]/N",
    "CCONJ": "conj",
    "PUNCT": ".",
    "ADP": r"((S\NP)\(S\NP))/NP",
    "^ADP": "(S/S)/NP",
    "to": "PP/NP",
    "ADV": r"(S\NP)\(S\NP)",
    "^ADV": "S/S",
    "where": "S[wq]/S[q]",
    "when": "S[wq]/S[q]",
    "what": "S[wq]/(S[q]/NP)",
    "did": r"(S[q]/(S[b]\NP))/NP",
    "who": r"S[wq]/(S[dcl]\NP)",
    "who did": "S[wq]/(S[q]/PP)",
}


def write_treebanks(root: Path, seed: int, sizes: Mapping[str, int]) -> None:
    """Write both treebanks. The sentences of Universal Dependencies are parallel over languages.

    Args:
        root: The data root.
        seed: The seed of the whole root.
        sizes: Sentences per split, under the keys `TRAIN` and `EVALUATION`. Only English has a
            training split.
    """
    split_sizes = {"train": sizes[TRAIN], "dev": sizes[EVALUATION], "test": sizes[EVALUATION]}
    _write_universal_dependencies(root / "ud-treebanks-v2.5", seed, split_sizes)
    _write_ccgbank(root / "ccg", seed, split_sizes)


def _write_universal_dependencies(folder: Path, seed: int, split_sizes: dict[str, int]) -> None:
    for split, size in split_sizes.items():
        sentences = draw_many(draw_sentence, f"{seed} treebank {split}", size)
        for language in [ENGLISH] if split == "train" else LANGUAGES.values():
            blocks = []
            for index, sentence_in in enumerate(sentences):
                blocks.append(_format_conllu(sentence_in(language), f"{split}-{index}"))
            file_name = f"{language.code}_jx-ud-{split}.conllu"
            write_lines(folder / f"UD_{language.name}-JX" / file_name, blocks)


def _format_conllu(sentence: Sentence, sentence_id: str) -> str:
    """Return the CoNLL-U block of a sentence, which ends in an empty line."""
    ids = {word.key: index for index, word in enumerate(sentence.syntactic_words, start=1)}
    last_before_mark = len(sentence.syntactic_words) - 1
    lines = [f"# sent_id = {sentence_id}", f"# text = {sentence.text}"]
    pairs = zip(sentence.syntactic_words, sentence.written, strict=True)
    for word_id, (word, written) in enumerate(pairs, start=1):
        if written not in (word.form, ""):
            # A multiword token: this word and the next one are written together.
            lines.append("\t".join([f"{word_id}-{word_id + 1}", written, *"________"]))
        head_key = _head_key(word.key)
        columns = [
            str(word_id),
            word.form,
            word.lemma,
            word.upos,
            "_",
            "_",
            str(ids[head_key]) if head_key else "0",
            word.relation,
            "_",
            "SpaceAfter=No" if word_id == last_before_mark else "_",
        ]
        lines.append("\t".join(columns))
    return "\n".join([*lines, ""])


def _head_key(key: str) -> str:
    """Return the key of a word's syntactic head; "" for the root.

    The head of a modifier is the noun of its phrase. The head of a noun is the verb of its clause,
    and the head of a second clause's verb is the first verb.
    """
    role, _, slot = key.partition(".")
    if slot not in ("", "noun"):
        return f"{role}.noun"
    if role == "verb":
        return ""
    if role.endswith("verb"):
        return "verb"
    clause_prefix = role[: role.find(":") + 1]
    return f"{clause_prefix}verb"


def _write_ccgbank(folder: Path, seed: int, split_sizes: dict[str, int]) -> None:
    all_categories: set[str] = set()
    for split, size in split_sizes.items():
        lines = []
        for sentence_in in draw_many(draw_sentence, f"{seed} ccg {split}", size):
            sentence = sentence_in(ENGLISH)
            forms = [word.form for word in sentence.syntactic_words]
            categories = [_ccg_category(word, sentence) for word in sentence.syntactic_words]
            lines.append(" ".join(forms) + "\t" + " ".join(categories))
            all_categories.update(categories)
        write_lines(folder / f"ccg.{split}", lines)
    tag_ids = {category: index for index, category in enumerate(sorted(all_categories))}
    write_lines(folder / "tags_to_id.json", [json.dumps(tag_ids)])


def _ccg_category(word: Word, sentence: Sentence) -> str:
    """Return the CCG category of an English word."""
    keys = {other.key for other in sentence.syntactic_words}
    has_support = "auxiliary" in keys
    if word.upos == "VERB":
        form = "b" if has_support else "dcl"
        if "recipient.noun" in keys:
            return rf"((S[{form}]\NP)/PP)/NP"
        return rf"(S[{form}]\NP)/NP"
    surname_key = word.key.replace("noun", "name")
    is_first_name = word.entity == "PER" and surname_key != word.key and surname_key in keys
    if word.relation == "compound" or is_first_name:
        return "N/N"
    names = [word.lemma, word.upos]
    if word is sentence.syntactic_words[0]:
        names.insert(1, f"^{word.upos}")
    if has_support:
        names.insert(0, f"{word.lemma} did")
    for name in names:
        if name in _CCG_CATEGORIES:
            return _CCG_CATEGORIES[name]
    raise LookupError(f"no CCG category for {word}")
