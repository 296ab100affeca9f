"""Print every metric of jiantx beside an independent computation, on the same noisy predictions.

    python tests/parity.py
    python tests/parity.py --data-root my/mirror --output parity.txt

The gold is real (../shared/hub, or --data-root), and made up by `jiantx.synthetic` where there is
none. scikit-learn, SciPy and both rules of seqeval (each version in a process and a folder of its
own, fetched by pip if need be) count a second time; what has no package (the scripts of SQuAD, MLQA
and BUCC) is restated here from its rules, in slow loops. The exit status is 1 if anything differs
by more than TOLERANCE."""

from __future__ import annotations

import argparse
import getpass
import itertools
import json
import math
import random
import string
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.preprocessing import MultiLabelBinarizer

import jiantx as jx
from jiantx import metrics, synthetic
from jiantx.metrics import Answer, Answers
from jiantx.nearest_neighbors import margin_pairs
from jiantx.task_types.masked_lm import masked_accuracy

SHARED = Path(jx.__file__).resolve().parents[2] / "shared"
TOLERANCE = 1e-9  # of numbers on 0–100, and of thresholds
OLD, NEW = "0.0.12", "1.2.2"  # of seqeval
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
BIO = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()

Part = tuple[Sequence[Any], Sequence[Any]]
"""Predictions and references of one language."""
Scorer = Callable[[Any, Any], float]


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        root = options.data_root or SHARED / "hub"
        gold = f"Gold: {'real, the slices of ../shared/hub' if root == SHARED / 'hub' else f'of {root}'}."
        if not Path(root).is_dir():
            root = synthetic.write_root(
                Path(folder) / "root", train_examples=40, eval_examples=200, text_lines=200
            )
            gold = "Gold: artificial, of `jiantx.synthetic`."
        jx.data_root(root)
        text, differing = report(options.seqeval_dir)
    print(f"{gold}\n\n{text}")
    if options.output:
        options.output.write_text(f"{gold}\n\n{text}\n", encoding="utf-8")
    return 1 if differing else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, help="as jiantx.data_root; ../shared/hub")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    cache = Path(tempfile.gettempdir()) / f"jiantx-seqeval-{getpass.getuser()}"
    parser.add_argument(
        "--seqeval-dir",
        type=Path,
        default=cache,
        help="holds, or will hold, both versions of seqeval",
    )
    return parser.parse_args()


def report(seqeval_dir: Path) -> tuple[str, int]:
    """The text, and how many figures differ."""
    missing = [version for version in (OLD, NEW) if not installed(seqeval_dir, version)]
    lines = list(
        compared(
            random.Random(0), {v: None if v in missing else seqeval_dir / v for v in (OLD, NEW)}
        )
    )
    mock, mock_differing = mock_submission()
    differing = sum(line.difference > TOLERANCE for line in lines)
    message = f"{len(lines) - sum(math.isnan(line.reference) for line in lines)} lines compared; {differing} differ by more "
    message += f"than {TOLERANCE:g} (on 0–100). Where there are several languages, the figures are their means and the "
    message += "difference is the largest of any language."
    if missing:
        message += f"\n\n**Not run: seqeval {' and '.join(missing)}; pip could not fetch it into {seqeval_dir}.**"
    head = [
        "| metric | data (rows) | ours | independent | difference | by what |",
        "|---|---|---|---|---|---|",
    ]
    items = [*head, *map(str, lines), "", message, "", *udpos_table(random.Random(1)), "", *mock]
    return "\n".join(items), differing + mock_differing


class Line(NamedTuple):
    """A line of the table."""

    metric: str
    data: str
    ours: float
    reference: float
    difference: float
    method: str

    def __str__(self) -> str:
        figures = f"{self.reference:.6f} | {self.difference:.0e}".replace("0e+00", "0")
        if math.isnan(self.reference):
            figures = "**not run** | "
        return f"| {self.metric} | {self.data} | {self.ours:.6f} | {figures} | {self.method} |"


def line(
    metric: str, data: str, parts: Sequence[Part], ours: Scorer, theirs: Scorer | None, by: str
) -> Line:
    one = [ours(*item) for item in parts]
    other = [theirs(*item) for item in parts] if theirs else [math.nan] * len(parts)
    # NaN against a number is a difference, NaN against NaN is none
    gaps = [
        abs(a - b) if not math.isnan(a - b) else float(math.isnan(a) != math.isnan(b))
        for a, b in zip(one, other)
    ]
    data = f"{data} ({sum(len(references) for _, references in parts):,})"
    return Line(metric, data, fmean(one), fmean(other), max(gaps) if theirs else 0.0, by)


def compared(rng: random.Random, seqeval: dict[str, Path | None]) -> Iterator[Line]:
    """All lines of the first table."""
    for metric, data, items in labelled(rng):
        yield line(metric, data, items, LABELS[metric][0], *LABELS[metric][1:])

    sources = [("udpos", UPOS), ("panx", BIO)]
    sets = [(task, [noisy_tags(rng, gold, tags) for gold in golds(task)]) for task, tags in sources]
    sets.append(("tags of all kinds, made up", [made_up_tags(rng, 2000)]))
    for data, items in sets:
        yield line(
            "token_accuracy", data, items, metrics.token_accuracy, sklearn_words, "scikit-learn"
        )
        for version, ours in ((OLD, metrics.chunk_f1), (NEW, metrics.chunk_f1_seqeval1)):
            folder = seqeval[version]
            actual = seqeval_scores(folder, items) if folder else None
            again = [partial(given, actual, items, index) if actual else None for index in range(3)]
            yield line(ours.__name__, data, items, ours, again[2], f"seqeval {version}")
            for index, name in enumerate(("precision", "recall")):
                scorer = partial(chunk_score, version, index)
                yield line(
                    f"chunk_scores, {name}", data, items, scorer, again[index], f"seqeval {version}"
                )
            yield line(
                ours.__name__, data, items, ours, partial(plain_chunk_f1, version), "plain loop"
            )

    for metric, data, items in answered(rng):
        yield line(
            metric,
            data,
            items,
            getattr(metrics, metric),
            PLAIN[metric],
            "plain loop of the script's rules",
        )
    for metric, data, items in ranked(rng):
        ours, reference, by_language = RANKED[metric]
        yield line(metric, data, items, ours, reference, by_language)
    yield from mined(rng)
    hits = [[rng.random() < 0.4 for _ in range(rng.randint(0, 12))] for _ in range(3000)]
    lines = [(hits, [(True,)] * len(hits))]
    yield line(
        "masked_accuracy", "hits and misses, made up", lines, masked_accuracy, numpy_share, "NumPy"
    )


# --- gold -----------------------------------------------------------------------------------------


def examples(name: str) -> list[list[Any]]:
    """The examples of each language, from the first of these splits that is there."""
    task = jx.get_task(name)
    split = "test" if task.languages("test") else "validation"
    return [list(task.examples(split, language)) for language in task.languages(split)]


def golds(name: str) -> list[list[Any]]:
    task = jx.get_task(name)
    return [[task.reference(example) for example in item] for item in examples(name)]


# --- labels and numbers ---------------------------------------------------------------------------


def labelled(rng: random.Random) -> Iterator[tuple[str, str, list[Part]]]:
    for task in ("xnli", "pawsx"):
        yield "accuracy", task, [(noisy_labels(rng, gold), gold) for gold in golds(task)]
    yield "f1_of", 'pawsx, "1"', [(noisy_labels(rng, gold), gold) for gold in golds("pawsx")]
    # examples with several labels, or none: which rare tags a sentence holds
    sets = [
        [{tag for tag in tags if tag in ("NUM", "SYM", "X", "INTJ", "AUX")} for tags in gold]
        for gold in golds("udpos")
    ]
    items = [
        ([{tag for tag in s if rng.random() < 0.8} | noise(rng) for s in gold], gold)
        for gold in sets
    ]
    yield "micro_f1", "rare tags of udpos's sentences", items
    yield "accuracy, sets", "rare tags of udpos's sentences", items
    for name, grain in (("stsb", 3), ("stsb, rounded", 0)):  # with ties in the predictions too
        numbers = [
            ([round(g + rng.gauss(0, 1), grain) for g in gold], gold) for gold in golds("stsb")
        ]
        yield "pearson", name, numbers
        yield "spearman", name, numbers


def noisy_labels(rng: random.Random, gold: Sequence[str]) -> list[str]:
    labels = sorted(set(gold))
    return [label if rng.random() < 0.7 else rng.choice(labels) for label in gold]


def noise(rng: random.Random) -> set[str]:
    return {rng.choice(["NUM", "SYM", "X"])} if rng.random() < 0.2 else set()


def binarized(*sides: Sequence[Any]) -> list[np.ndarray]:
    binarizer = MultiLabelBinarizer().fit([*sides[0], *sides[1]])
    return [binarizer.transform(side) for side in sides]


def sklearn_accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    return 100 * sklearn_metrics.accuracy_score(references, predictions)


def sklearn_subset_accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    return sklearn_accuracy(*binarized(predictions, references))


def sklearn_f1(predictions: Sequence[str], references: Sequence[str]) -> float:
    return 100 * sklearn_metrics.f1_score(references, predictions, pos_label="1")


def sklearn_micro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    ours, gold = binarized(predictions, references)
    return 100 * sklearn_metrics.f1_score(gold, ours, average="micro")


def scipy_pearson(predictions: Sequence[float], references: Sequence[float]) -> float:
    return 100 * float(stats.pearsonr(predictions, references).statistic)


def scipy_spearman(predictions: Sequence[float], references: Sequence[float]) -> float:
    return 100 * float(stats.spearmanr(predictions, references).statistic)


LABELS: dict[str, tuple[Scorer, Scorer, str]] = {
    "accuracy": (metrics.accuracy, sklearn_accuracy, "scikit-learn"),
    "accuracy, sets": (metrics.accuracy, sklearn_subset_accuracy, "scikit-learn"),
    "f1_of": (metrics.f1_of("1"), sklearn_f1, "scikit-learn"),
    "micro_f1": (metrics.micro_f1, sklearn_micro_f1, "scikit-learn"),
    "pearson": (metrics.pearson, scipy_pearson, "SciPy"),
    "spearman": (metrics.spearman, scipy_spearman, "SciPy"),
}


# --- tags -----------------------------------------------------------------------------------------


def noisy_tags(rng: random.Random, gold: Sequence[Sequence[str]], tags: Sequence[str]) -> Part:
    """Some tags are others, some runs are shifted by a word, and CCONJ and SCONJ are often taken
    for each other.
    """
    predictions = []
    for sentence in gold:
        message = [tag if rng.random() < 0.9 else rng.choice(tags) for tag in sentence]
        message = [
            OTHER_CONJ[tag] if tag in OTHER_CONJ and rng.random() < 0.3 else tag for tag in message
        ]
        if rng.random() < 0.1 and message:
            start = rng.randrange(len(message))
            message[start + 1 :] = message[start:-1]
        predictions.append(message)
    return predictions, [list(sentence) for sentence in gold]


OTHER_CONJ = {"CCONJ": "SCONJ", "SCONJ": "CCONJ"}


def made_up_tags(rng: random.Random, sentences: int) -> Part:
    """Prefixes of all schemes, types with hyphens, and bare tags."""
    tags = [*UPOS, *BIO, *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "A-B"))]
    gold = [[rng.choice(tags) for _ in range(rng.randint(0, 9))] for _ in range(sentences)]
    return noisy_tags(rng, gold, tags)


def sklearn_words(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    return sklearn_accuracy([t for s in predictions for t in s], [t for s in references for t in s])


def chunk_score(version: str, field: int, predictions: Any, references: Any) -> float:
    return metrics.chunk_scores(predictions, references, seqeval=version)[field]


def given(
    found: Sequence[Any], parts: Sequence[Part], field: int, predictions: Any, references: Any
) -> float:
    """What seqeval's process said of these predictions."""
    score: float = next(
        scores[field] for scores, item in zip(found, parts, strict=True) if item[0] is predictions
    )
    return score


# The process sees one version alone. 0.0.12 needs NumPy only, so long as its Keras callback is not
# imported.
SCORE_WITH_SEQEVAL = """
import importlib.metadata, json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from seqeval import metrics
assert metrics.__file__.startswith(sys.argv[1]), metrics.__file__
found = []
for predictions, references in json.load(sys.stdin):
    scores = [getattr(metrics, s + "_score")(references, predictions) for s in ("precision", "recall", "f1")]
    found.append([100 * float(score) for score in scores])
print(json.dumps(found))
"""


def installed(folder: Path, version: str) -> bool:
    """Whether this version of seqeval lies in its own folder, which pip fills where it is empty."""
    if not (folder / version / "seqeval").is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        subprocess.run(
            [*command, "--target", str(folder / version), f"seqeval=={version}"], check=False
        )
    return (folder / version / f"seqeval-{version}.dist-info").is_dir()


def seqeval_scores(folder: Path, parts: Sequence[Part]) -> list[list[float]]:
    """Precision, recall and F1 of each part."""
    done = subprocess.run(
        [sys.executable, "-c", SCORE_WITH_SEQEVAL, str(folder)],
        input=json.dumps(parts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    actual: list[list[float]] = json.loads(done.stdout)
    return actual


def plain_chunk_f1(
    version: str, predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    ours, gold = (plain_chunks(side, version) for side in (predictions, references))
    if not ours and not gold:
        return math.nan
    right = len(ours & gold)
    return 100 * 2 * right / (len(ours) + len(gold))


def plain_chunks(sentences: Sequence[Sequence[str]], version: str) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of all chunks; an O is put after each sentence."""
    chunks = set()
    began, last_prefix, last_kind = 0, "O", ""
    for index, tag in enumerate(tag for sentence in sentences for tag in (*sentence, "O")):
        prefix = tag[0]
        # the old rules look for the last hyphen, the new ones take the first letter off whatever
        # follows it
        kind = (
            tag.rpartition("-")[2]
            if version == OLD
            else (tag[1:].partition("-")[2] or tag[1:] or "_")
        )
        if (
            last_prefix in "ES"
            or (last_prefix in "BI" and prefix in "BSO")
            or (last_prefix != "O" and kind != last_kind)
        ):
            chunks.add((last_kind, began, index - 1))
        if (
            prefix in "BS"
            or (prefix in "EI" and last_prefix in "ESO")
            or (prefix != "O" and kind != last_kind)
        ):
            began = index
        last_prefix, last_kind = prefix, kind
    return chunks


def udpos_table(rng: random.Random) -> list[str]:
    """What the three ways to score UDPOS say of the same predictions."""
    table = [
        f"| UDPOS | words | chunk F1, seqeval {OLD} (official) | chunk F1, seqeval {NEW} | higher by | accuracy "
        "| of CCONJ and SCONJ, confused |",
        "|---|---|---|---|---|---|---|",
    ]
    task = jx.get_task("udpos")
    for language, gold in zip(task.languages("test"), golds("udpos"), strict=True):
        swapped = [[OTHER_CONJ.get(tag, tag) for tag in sentence] for sentence in gold]
        noisy, _ = noisy_tags(rng, gold, UPOS)
        for name, predictions in (
            (f"{language}, noisy", noisy),
            (f"{language}, all CCONJ and SCONJ swapped", swapped),
        ):
            pairs = [
                pair
                for both in zip(gold, predictions, strict=True)
                for pair in zip(*both, strict=True)
            ]
            conj = [
                one != other for one, other in pairs if one in OTHER_CONJ and other in OTHER_CONJ
            ]
            old, new = (
                metrics.chunk_f1(predictions, gold),
                metrics.chunk_f1_seqeval1(predictions, gold),
            )
            accuracy = metrics.token_accuracy(predictions, gold)
            table.append(
                f"| {name} | {len(pairs):,} | {old:.2f} | {new:.2f} | {new - old:.2f} | {accuracy:.2f} "
                f"| {sum(conj)} of {sum(one in OTHER_CONJ for one, _ in pairs)} |"
            )
    return table


# --- answers --------------------------------------------------------------------------------------


def answered(rng: random.Random) -> Iterator[tuple[str, str, list[Part]]]:
    squad = ("exact_match", "squad_f1")
    mlqa = ("mlqa_exact_match", "mlqa_f1")
    v2 = ("squad_v2_exact", "squad_v2_f1", "best_exact_match", "best_f1")
    xquad = [noisy_answers(rng, item) for item in examples("xquad")]
    ruled = [item for item in xquad if item[1][0].language in ARTICLES]
    made_up = [made_up_answers(rng, 1000, language) for language in ARTICLES]
    for data, items, names in (
        ("squad_v1", [noisy_answers(rng, item) for item in examples("squad_v1")], squad),
        ("xquad", xquad, squad),
        ("squad_v2", [noisy_answers(rng, item) for item in examples("squad_v2")], v2),
        ("mlqa", [noisy_answers(rng, item) for item in examples("mlqa")], mlqa),
        ("xquad, languages of MLQA", ruled, mlqa),
        ("odd answers, made up", made_up, (*squad, *v2, *mlqa)),
    ):
        used = ", ".join(item[1][0].language for item in items)
        yield from ((name, f"{data}: {used}", items) for name in names)


def noisy_answers(rng: random.Random, questions: Sequence[Any]) -> Part:
    predictions, references = [], []
    for question in questions:
        text = rng.choice(question.answers) if question.answers else ""
        if not question.answers or rng.random() < 0.1:
            start = rng.randrange(len(question.context))
            text = question.context[start : start + rng.randint(1, 40)]
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            text = changed(rng, text, question.context)
        # no answer is likelier where there is none; rounded, so that questions tie
        predictions.append(
            Answer(text, round(rng.gauss(-1.0 if question.answers else 1.0, 1.5), 1))
        )
        references.append(Answers(tuple(question.answers), question.language))
    return predictions, references


def changed(rng: random.Random, text: str, context: str) -> str:
    """An answer as models get it wrong: too long, too short, shifted, in other clothes, or not at
    all.
    """
    tokens = text.split() or [""]
    start = max(0, context.find(text))
    more = rng.randint(1, 12)
    options: list[Callable[[], str]] = [
        lambda: " ".join(tokens[1:]),
        lambda: " ".join(tokens[:-1]),
        lambda: text[rng.randint(0, 3) :],
        lambda: text[: -rng.randint(1, 3)],
        lambda: context[max(0, start - more) : start + len(text)],
        lambda: context[start : start + len(text) + more],
        lambda: context[start + more : start + more + len(text)],
        lambda: rng.choice((text.upper(), text.title(), text.swapcase())),
        lambda: f"{rng.choice(WORDS)} {text}",
        lambda: rng.choice(MARKS).join(text.partition(" ")[::2]),
        lambda: f"{rng.choice(MARKS)}{text}{rng.choice(MARKS)}",
        lambda: f"{text} {rng.choice(tokens)}",
        lambda: "",
    ]
    return rng.choice(options)()


ARTICLES = {
    "ar": (),  # its rule is no word: the two letters go wherever they stand
    "de": (
        "ein",
        "eine",
        "einen",
        "einem",
        "eines",
        "einer",
        "der",
        "die",
        "das",
        "den",
        "dem",
        "des",
    ),
    "en": ("a", "an", "the"),
    "es": ("un", "una", "unos", "unas", "el", "la", "los", "las"),
    "hi": (),
    "vi": ("của", "là", "cái", "chiếc", "những"),
    "zh": (),
}
WORDS = [
    "the",
    "A",
    "an",
    "der",
    "eine",
    "los",
    "của",
    "những",
    "القاهرة",
    "ال",
    "एक",
    "北京",
    "手机",
    "cat",
    "U.S.",
    "3,000",
]
MARKS = [
    ".",
    "!",
    "“",
    "”",
    "«",
    "、",
    "。",
    "।",
    "،",
    "-",
    "—",
    "'",
    "_",
    "$",
    "€",
    "°",
    "\u0301",
    "\u00a0",
    "\t",
    "",
]


def made_up_answers(rng: random.Random, count: int, language: str) -> Part:
    """Words, articles and marks in any order; answers that are empty once normalised, and questions
    without any.
    """

    def text() -> str:
        return "".join(
            rng.choice(WORDS) + rng.choice((" ", " ", *MARKS))
            for _ in range(rng.choice((0, 1, 1, 2, 3)))
        )

    predictions, references = [], []
    for _ in range(count):
        texts = tuple(text() for _ in range(rng.choice((0, 1, 1, 2, 4))))
        message = rng.choice(texts) if texts and rng.random() < 0.6 else text()
        message = changed(rng, message, " ".join(texts)) if rng.random() < 0.5 else message
        predictions.append(Answer(message, float(rng.randint(-3, 3))))
        references.append(Answers(texts, language))
    return predictions, references


def without_articles(text: str, articles: Sequence[str]) -> str:
    """A space for every article; a word is a run of letters and digits, so that “a” is one in “a€”."""
    remaining, word = [], ""
    for character in text + " ":
        if character.isalnum() or character == "_":
            word += character
            continue
        remaining.append(" " if word in articles else word)
        remaining.append(character)
        word = ""
    return "".join(remaining)


def squad_words(text: str, language: str = "en") -> list[str]:
    """SQuAD's: lower case, no ASCII punctuation, no English article, words between white space."""
    plain_ = "".join(character for character in text.lower() if character not in string.punctuation)
    return without_articles(plain_, ARTICLES["en"]).split()


def mlqa_words(text: str, language: str) -> list[str]:
    """MLQA's: any punctuation goes, and the language's articles; in Chinese, each character is a
    word.
    """
    plain_ = ""
    for character in text.lower():
        if character not in string.punctuation and unicodedata.category(character)[0] != "P":
            plain_ += character
    plain_ = (
        plain_.replace("ال", " ")
        if language == "ar"
        else without_articles(plain_, ARTICLES[language])
    )
    if language == "zh":
        plain_ = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in plain_)
    return plain_.split()


Words = Callable[[str, str], list[str]]


def plain_exact(said: str, golds: Sequence[str], language: str, words: Words) -> float:
    return float(any(words(said, language) == words(gold, language) for gold in golds))


def plain_f1(said: str, golds: Sequence[str], language: str, words: Words) -> float:
    """The best over the right answers; nothing in common is 0, also where both are empty."""
    best = 0.0
    for gold in golds:
        left, ours, same = words(gold, language), words(said, language), 0
        actual = len(left)
        for word in ours:
            if word in left:
                left.remove(word)
                same += 1
        if same:
            precision, recall = same / len(ours), same / actual
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def plain_v2(
    said: str, golds: Sequence[str], language: str, words: Words, score: Callable[..., float]
) -> float:
    """Version 2: answers that are empty once normalised do not count, and no answer at all is one
    that is empty.
    """
    golds = [gold for gold in golds if words(gold, language)]
    if not golds:
        return float(not words(said, language))
    return score(said, golds, language, words)


def plain_mean(
    score: Callable[..., float], words: Words, predictions: Any, references: Any
) -> float:
    total = 0.0
    for p, r in zip(predictions, references, strict=True):
        # without an answer, as version 2: documented in `exact_match`
        total += (
            score(p.text, r.texts, r.language, words)
            if r.texts
            else float(not words(p.text, r.language))
        )
    return 100 * total / len(references)


def plain_v2_mean(score: Callable[..., float], predictions: Any, references: Any) -> float:
    total = 0.0
    for p, r in zip(predictions, references, strict=True):
        total += plain_v2(
            "" if p.no_answer > 0 else p.text, r.texts, r.language, squad_words, score
        )
    return 100 * total / len(references)


def plain_best(score: Callable[..., float], predictions: Any, references: Any) -> float:
    """All cuts of the questions, sorted by `no_answer`, into answered and unanswered; each is added
    up afresh.
    """
    pairs = sorted(zip(predictions, references, strict=True), key=lambda pair: pair[0].no_answer)
    # an unanswered question is right if it has no answer; an answered one that has none, only if
    # nothing is said
    remaining = [
        plain_v2(p.text, r.texts, r.language, squad_words, score) if r.texts else float(not p.text)
        for p, r in pairs
    ]
    dropped = [float(not r.texts) for _, r in pairs]
    return (
        100
        * max(sum(remaining[:cut]) + sum(dropped[cut:]) for cut in range(len(pairs) + 1))
        / len(pairs)
    )


PLAIN: dict[str, Scorer] = {
    "exact_match": partial(plain_mean, plain_exact, squad_words),
    "squad_f1": partial(plain_mean, plain_f1, squad_words),
    "squad_v2_exact": partial(plain_v2_mean, plain_exact),
    "squad_v2_f1": partial(plain_v2_mean, plain_f1),
    "best_exact_match": partial(plain_best, plain_exact),
    "best_f1": partial(plain_best, plain_f1),
    "mlqa_exact_match": partial(plain_mean, plain_exact, mlqa_words),
    "mlqa_f1": partial(plain_mean, plain_f1, mlqa_words),
}


# --- rankings -------------------------------------------------------------------------------------


def ranked(rng: random.Random) -> Iterator[tuple[str, str, list[Part]]]:
    tatoeba = [noisy_rankings(rng, gold) for gold in golds("tatoeba")]
    yield "accuracy_at_1", "tatoeba", tatoeba
    yield "mean_reciprocal_rank", "tatoeba", tatoeba
    everything = [reference for gold in golds("lareqa") for reference in gold]
    made_up = [
        rng.sample([f"c{i}" for i in range(99)], rng.choice((1, 2, 11, 30))) for _ in range(2000)
    ]
    for data, gold in (("lareqa", everything), ("made up, up to 30 relevant", made_up)):
        yield "mean_average_precision", data, [noisy_rankings(rng, gold)]
        yield "mean_reciprocal_rank", data, [noisy_rankings(rng, gold)]


def noisy_rankings(rng: random.Random, gold: Sequence[Sequence[str]]) -> Part:
    """25 candidates a query; the relevant ones stand anywhere, near the top, or are missing."""
    pool = sorted({id for relevant in gold for id in relevant})
    rankings = []
    for relevant in gold:
        actual = [id for id in relevant if rng.random() < 0.8]
        remaining_ = rng.sample(pool, min(len(pool), 25))
        index = {id: rng.expovariate(0.3) for id in actual}
        rankings.append(
            sorted({*actual, *remaining_}, key=lambda id: index.get(id, rng.uniform(0, 25)))[:25]
        )
    return rankings, gold


def first_is_right(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    first, right = [ranking[0] for ranking in predictions], [relevant[0] for relevant in references]
    return sklearn_accuracy(first, right)


def sklearn_map(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """scikit-learn divides by the relevant ones among the 20; LAReQA by all of them, or 20."""
    scores = []
    for ranking, relevant in zip(predictions, references, strict=True):
        hits = [id in relevant for id in ranking[:20]]
        precision = (
            sklearn_metrics.average_precision_score(hits, -np.arange(len(hits)))
            if any(hits)
            else 0.0
        )
        scores.append(precision * sum(hits) / min(len(set(relevant)), 20))
    return 100 * fmean(scores)


def plain_mrr(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    total = 0.0
    for ranking, relevant in zip(predictions, references, strict=True):
        for rank in range(1, min(20, len(ranking)) + 1):
            if ranking[rank - 1] in relevant:
                total += 1 / rank
                break
    return 100 * total / len(references)


RANKED: dict[str, tuple[Scorer, Scorer, str]] = {
    "accuracy_at_1": (metrics.accuracy_at_1, first_is_right, "scikit-learn"),
    "mean_average_precision": (
        metrics.mean_average_precision,
        sklearn_map,
        "scikit-learn, cut at 20",
    ),
    "mean_reciprocal_rank": (metrics.mean_reciprocal_rank, plain_mrr, "plain loop"),
}


# --- mined pairs ----------------------------------------------------------------------------------


def mined(rng: random.Random) -> Iterator[Line]:
    gold = [reference for item in golds("bucc2018") for reference in item]
    ids = [id for relevant in gold for id in relevant]
    pairs = [
        (list(relevant) if rng.random() < 0.7 else [])
        or ([rng.choice(ids)] if rng.random() < 0.1 else [])
        for relevant in gold
    ]
    for field, name in enumerate(("mined_precision", "mined_recall", "mined_f1")):
        peer = partial(plain_pairs, field)
        yield line(
            name, "bucc2018", [(pairs, gold)], getattr(metrics, name), peer, "plain sets of pairs"
        )

    right = np.array([bool(p) and p[0] in r for p, r in zip(pairs, gold, strict=True) if p])
    clear = np.array([rng.gauss(1.2 if hit else 1.0, 0.1) for hit in right])
    for data, scores in (("bucc2018's pairs", clear), ("the same, scores tied", clear.round(2))):
        for field, name in enumerate(("threshold", "F1")):
            yield line(
                f"best_threshold, {name}",
                data,
                [(scores, right)],
                lambda s, g, field=field: metrics.best_threshold(s, g, len(ids))[field],
                lambda s, g, field=field: plain_threshold(s, g, len(ids))[field],
                "plain loop over all cuts",
            )

    generator = np.random.default_rng(0)
    source = unit(generator.standard_normal((400, 48)))
    target = unit(
        np.concatenate([source[:300], generator.standard_normal((200, 48))])
        + 0.15 * generator.standard_normal((500, 48))
    )
    for field, name in enumerate(("pairs that are translations, %", "mean score")):
        yield line(
            f"margin_pairs, {name}",
            "vectors, made up: 400 and 500",
            [(source, target)],
            lambda s, t, field=field: our_mining(s, t)[field],
            lambda s, t, field=field: plain_mining(s, t)[field],
            "plain loop",
        )


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain_pairs(field: int, predictions: Any, references: Any) -> float:
    """Precision, recall or F1 of (query, candidate) pairs."""
    ours, gold = (
        {(row, id) for row, ids in enumerate(side) for id in ids}
        for side in (predictions, references)
    )
    right = len(ours & gold)
    precision, recall = right / len(ours), right / len(gold)
    return 100 * (precision, recall, 2 * precision * recall / (precision + recall))[field]


def plain_threshold(scores: Any, right: Any, total: int) -> tuple[float, float]:
    """Every number midway between two scores, and the lowest score; the highest of the best."""
    values = sorted({float(score) for score in scores}, reverse=True)
    cuts = [(high + low) / 2 for high, low in itertools.pairwise(values)] + values[-1:]
    best, threshold = 0.0, 0.0
    for cut in cuts:
        remaining = [bool(hit) for score, hit in zip(scores, right, strict=True) if score >= cut]
        f1 = 200 * sum(remaining) / (len(remaining) + total)
        if f1 > best:
            best, threshold = f1, cut
    return threshold, best


def our_mining(source: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    pairs, scores = margin_pairs(torch.from_numpy(source), torch.from_numpy(target))
    return 100 * float((pairs[:, 0] == pairs[:, 1]).double().mean()), float(scores.mean())


def plain_mining(source: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """BUCC's: cosine over the mean of both sides' four nearest; the best of each row and column,
    greedily.
    """
    cosines = [[float(np.dot(one, other)) for other in target] for one in source]
    back = [list(column) for column in zip(*cosines)]
    there_mean, back_mean = ([fmean(sorted(row)[-4:]) for row in side] for side in (cosines, back))
    ratio = [
        [cosine / ((there_mean[i] + back_mean[j]) / 2) for j, cosine in enumerate(row)]
        for i, row in enumerate(cosines)
    ]
    # the best of the four nearest, of each row and of each column
    candidates = set()
    for i, row in enumerate(cosines):
        near = sorted(range(len(row)), key=row.__getitem__)[-4:]
        candidates.add(max((ratio[i][j], i, j) for j in near))
    for j, column in enumerate(back):
        near = sorted(range(len(column)), key=column.__getitem__)[-4:]
        candidates.add(max((ratio[i][j], i, j) for i in near))
    left, right, scores, hits = set(), set(), [], []
    for score, i, j in sorted(candidates, reverse=True):
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
            scores.append(score)
            hits.append(i == j)
    return 100 * fmean(hits), fmean(scores)


# --- the rest -------------------------------------------------------------------------------------


def numpy_share(predictions: Sequence[Sequence[bool]], references: Any) -> float:
    return 100 * float(np.concatenate([np.array(p, np.float64) for p in predictions]).mean())


def mock_submission() -> tuple[list[str], int]:
    """XTREME's mock submission, scored by jiantx and by the official program (whose scores are
    stored beside it).
    """
    folder = SHARED / "data" / "xtreme_mock_test_data"
    if not folder.is_dir():
        return [f"**Not run: XTREME's mock submission, which is not at {folder}.**"], 0
    table = [
        "| XTREME's mock submission | figures | equal to 1e-9 | largest difference |",
        "|---|---|---|---|",
    ]
    differing = 0
    for version in (OLD, NEW):
        official = flat(
            json.loads(
                (folder / f"official_scores.seqeval-{version}.json").read_text(encoding="utf-8")
            )
        )
        ours = flat(jx.score_xtreme(folder / "predictions", folder / "labels", seqeval=version))  # type: ignore[arg-type]
        gaps = [abs(ours.get(name, math.inf) - value) for name, value in official.items()]
        equal = sum(gap <= TOLERANCE for gap in gaps)
        differing += len(gaps) - equal + len(set(ours) - set(official))
        table.append(
            f"| seqeval {version} | {len(gaps)} | {equal} | {max(gaps):.0e} |".replace("0e+00", "0")
        )
    return table, differing


def flat(scores: Any, name: str = "") -> dict[str, float]:
    if not isinstance(scores, dict):
        return {name: scores}
    return {
        location: value
        for key, inner in scores.items()
        for location, value in flat(inner, f"{name}/{key}").items()
    }


if __name__ == "__main__":
    sys.exit(main())
