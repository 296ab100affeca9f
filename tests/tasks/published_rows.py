"""Rows in the publishers' own layouts, made up here, for tasks that the artificial world lacks.

Each split of a task has all its labels or at least two of them, so that wrong predictions score less
than gold.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NLI = ("entailment", "neutral", "contradiction")
TAGS = tuple("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split())
Rows = Sequence[Mapping[str, Any]]


def labelled(labels: Sequence[Any], column: str, **texts: str) -> list[dict[str, Any]]:
    """A row for each label."""
    rows = []
    for label in labels:
        row: dict[str, Any] = {name: f"{text} {label}." for name, text in texts.items()}
        rows.append({**row, column: label})
    return rows


def tagged(*sentences: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each list of tags."""
    return [{"tokens": [f"w{i}" for i in range(len(s))], "ner_tags": list(s)} for s in sentences]


def pairs(labels: Sequence[Any]) -> list[dict[str, Any]]:
    return labelled(labels, "label", premise="One is", hypothesis="The other is")


ENTITIES = tagged(TAGS, ("B-LOC", "I-LOC", "O"), ("O", "B-ORG"))
DATES = tagged((*TAGS, "B-DATE", "I-DATE"), ("B-DATE", "O"), ("O", "B-PER"))
TOPICS = labelled(("travel", "sports", "science/technology"), "category", text="It is about")
NEWS = labelled(("technology", "health", "religion"), "label", headline_text="News of")
MOODS = ("positive", "negative", "neutral")
REQUESTS = [
    {
        "locale": "en-US",
        "intent": "weather_query",
        "utt": "is it very cold outside this week",
        "annot_utt": "is it [weather_descriptor : very cold] outside [date : this week]",
    },
    {
        "locale": "en-US",
        "intent": "alarm_set",
        "utt": "wake me at six",
        "annot_utt": "wake me at [time : six]",
    },
]
CHINESE_REQUESTS = [
    {
        "locale": "zh-CN",
        "intent": "alarm_set",
        "utt": "星期五六点叫醒我",
        "annot_utt": "[date : 星期五] [time : 六点] 叫醒我",
    },
    {
        "locale": "zh-CN",
        "intent": "play_radio",
        "utt": "播放 bbc 电台",
        "annot_utt": "播放 [radio_name : bbc 电台]",
    },
]
PASSAGE = "The red house is by the river. It was built in 1900."
MRQA = [
    {
        "subset": subset,
        "context": PASSAGE,
        "qid": f"{subset}{i}",
        "question": question,
        "detected_answers": {"text": [text], "char_spans": [{"start": [start], "end": [last]}]},
        "answers": [text],
    }
    for subset in ("NaturalQuestionsShort", "NewsQA", "SearchQA")
    for i, (question, text, start, last) in enumerate(
        [("What is by the river?", "The red house", 0, 12), ("When was it built?", "1900", 47, 50)]
    )
]
QUOREF = [
    {
        "id": f"q{i}",
        "context": PASSAGE,
        "question": "What?",
        "answers": {"text": texts, "answer_start": [PASSAGE.index(text) for text in texts]},
    }
    for i, texts in enumerate([["The red house"], ["1900"], ["house", "river"]])
]
EVERYWHERE = ("train", "validation", "test")
NO_TRAINING = ("validation", "test")

# Repository -> configuration -> (rows, splits that have them).
HUB: dict[str, dict[str, tuple[Rows, Sequence[str]]]] = {
    "Davlan/sib200": dict.fromkeys(("eng_Latn", "swh_Latn", "zho_Hant"), (TOPICS, EVERYWHERE)),
    "masakhane/masakhanews": dict.fromkeys(("eng", "swa"), (NEWS, EVERYWHERE)),
    "indonlp/NusaX-senti": {
        code: (labelled(MOODS, "label", text="It was"), EVERYWHERE) for code in ("eng", "ace")
    },
    "masakhane/afrisenti": {
        "amh": (labelled(MOODS, "label", tweet="It was"), EVERYWHERE),
        "orm": (labelled(MOODS, "label", tweet="It was"), NO_TRAINING),
    },
    "nala-cub/americas_nli": {code: (pairs(NLI), NO_TRAINING) for code in ("aym", "quy")},
    "masakhane/afrixnli": {code: (pairs((0, 1, 2)), NO_TRAINING) for code in ("eng", "swa")},
    "Divyanshu/indicxnli": {"hi": (pairs(NLI), EVERYWHERE)},
    "universalner/universal_ner": {
        "en_ewt": (ENTITIES, EVERYWHERE),
        "en_pud": (ENTITIES, ("test",)),
        "de_pud": (ENTITIES, ("test",)),
        "zh_gsd": (tagged((*TAGS, "B-OTH"), ("O", "I-LOC")), EVERYWHERE),
    },
    "masakhane/masakhaner2": dict.fromkeys(("bam", "swa"), (DATES, EVERYWHERE)),
    "AmazonScience/massive": {
        "en-US": (REQUESTS, EVERYWHERE),
        "zh-CN": (CHINESE_REQUESTS, EVERYWHERE),
    },
    "mteb/mtop_domain": {
        code: (labelled(("weather", "music"), "label_text", text="Tell me of"), EVERYWHERE)
        for code in ("de", "en")
    },
    "pietrolesci/nli_fever": {"default": (pairs(NLI), ("train", "validation"))},
    "mrqa-workshop/mrqa": {"plain_text": (MRQA, ("train", "validation"))},
    "allenai/quoref": {"default": (QUOREF, ("train", "validation"))},
}


def senteval(labels: Sequence[str]) -> str:
    lines = [f"{s}\t{label}\tA word {label} ." for s in ("tr", "va", "te") for label in labels]
    return "\n".join(lines) + "\n"


def acceptability() -> list[dict[str, Any]]:
    """All rows say "dev", as the publisher's do; the folds are in the metadata."""
    cells = itertools.product(("train", "dev", "test"), ("acceptable", "unacceptable"))
    return [
        {
            "pair-id": i,
            "split": "dev",
            "label": label,
            "context": f"{fold} {label} it",
            "hypothesis": f"so {label}",
        }
        for i, (fold, label) in enumerate(cells)
    ]


def folds() -> list[dict[str, Any]]:
    names = [row["context"].split()[0] for row in acceptability()]
    return [{"pair-id": i, "misc": {"fold1": name}} for i, name in enumerate(names)]


def warrants(*labels: int) -> str:
    """Reasons and claims; the warrants tell the labels apart."""
    header = "#id\twarrant0\twarrant1\tcorrectLabelW0orW1\treason\tclaim\tdebateTitle\tdebateInfo"
    lines = [f"a{i}\tyes {i}\tno {i}\t{y}\tSince it is.\tIt is\tT\tI" for i, y in enumerate(labels)]
    return "\n".join([header, *lines]) + "\n"


SENTEVAL_LABELS = {
    "bigram_shift": "I O",
    "coordination_inversion": "I O",
    "obj_number": "NN NNS",
    "odd_man_out": "C O",
    "past_present": "PAST PRES",
    "sentence_length": "0 1 2 3 4 5 6",
    "subj_number": "NN NNS",
    "top_constituents": "NP_VP_. OTHER WHNP_SQ_.",
    "tree_depth": "5 9 12",
    "word_content": "boat tree shop",
}
FILES = {
    **{f"senteval/{name}.txt": senteval(l.split()) for name, l in SENTEVAL_LABELS.items()},
    **{
        f"dnc/acceptability-{name}_{kind}.json": json.dumps(rows)
        for name in ("coordinating-conjunctions", "definiteness", "eos", "whwords")
        for kind, rows in (("data", acceptability()), ("metadata", folds()))
    },
    "arct/train-full.txt": warrants(0, 1),
    "arct/dev-full.txt": warrants(1, 0, 0),
    **{
        f"flores200_dataset/{split}/{code}.{split}": "".join(f"{code} {i}\n" for i in range(3))
        for split in ("dev", "devtest")
        for code in ("eng_Latn", "swh_Latn", "ace_Arab")
    },
}
# The tasks that have their rows here.
NAMES = tuple(
    f"""acceptability_coord acceptability_definiteness acceptability_eos acceptability_whwords
    afrisenti afrixnli americas_nli arct fever_nli flores indicxnli masakhaner2 masakhaner2_dates
    masakhanews massive_intent massive_slots mrqa_natural_questions mtop_domain newsqa nusax quoref
    {" ".join(f"senteval_{name}" for name in SENTEVAL_LABELS)} sib200 universal_ner
    universal_ner_pud""".split()
)


def write_published(root: Path) -> Path:
    """Write all rows into a data root."""
    for path, text in FILES.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for repository, configs in HUB.items():
        _write_repository(root / repository, configs)
    return root


def _write_repository(folder: Path, configs: Mapping[str, tuple[Rows, Sequence[str]]]) -> None:
    """Write JSON lines, and a card that names their configurations and splits."""
    card = []
    for config, (rows, splits) in configs.items():
        files = []
        for split in splits:
            file = folder / config / f"{split}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
            files.append({"split": split, "path": f"{config}/{split}.jsonl"})
        card.append({"config_name": config, "data_files": files})
    text = f"---\nconfigs: {json.dumps(card)}\n---\n"  # JSON is YAML
    (folder / "README.md").write_text(text, encoding="utf-8")
