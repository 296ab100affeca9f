"""Choice among many: label orders and keys, forms of inputs, and real rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx import data_root, get_task
from jiantx.features import encode_examples
from jiantx.metrics import Answer, metric_name
from jiantx.sources import DataError, Row
from jiantx.tasks import languages, training_tasks

HUB = Path(jx.__file__).parents[2] / "shared" / "hub"
real = pytest.mark.skipif(not HUB.is_dir(), reason=f"no real slices at {HUB}")


@pytest.fixture
def over_slices() -> None:
    data_root(HUB)


def example_of(name: str, row: dict[str, Any], language: str = "en") -> Any:
    return get_task(name).example(row, id="0", language=language)


# --- keys and forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["arc_easy", "arc_challenge"])
@pytest.mark.parametrize(
    ("keys", "key", "index"),
    [("ABCD", "D", 3), ("1234", "4", 3), ("ABC", "A", 0), ("ABCDE", "E", 4), ("ABCD", "", None)],
)
def test_arc_has_letters_or_numbers(name: str, keys: str, key: str, index: int | None) -> None:
    choices = {"text": [f"text {key}" for key in keys], "label": list(keys)}
    one = example_of(name, {"question": "Why?", "choices": choices, "answerKey": key})
    assert one.choices == tuple(choices["text"]) and one.label == index


def test_an_arc_key_that_no_choice_has() -> None:
    choices = {"text": ["x", "y"], "label": ["A", "B"]}
    with pytest.raises(DataError, match="answer_index"):
        example_of("arc_easy", {"question": "Why?", "choices": choices, "answerKey": "C"})


@pytest.mark.parametrize(("name", "language"), [("winogrande", "en"), ("xwinograd", "fr")])
@pytest.mark.parametrize(("answer", "label"), [("1", 0), ("2", 1), ("", None)])
def test_a_blank_is_filled(name: str, language: str, answer: str, label: int | None) -> None:
    row = {"sentence": "It broke as _ was hot.", "option1": "the ball", "option2": "ice"}
    one = example_of(name, {**row, "answer": answer}, language)
    assert one.prompt == "It broke as" and one.label == label
    assert one.choices == ("the ball was hot.", "ice was hot.")


def test_a_sentence_that_begins_with_its_blank() -> None:
    row = {"sentence": "_が勝った。", "option1": "甲", "option2": "乙", "answer": "2"}
    one = example_of("xwinograd", row, "ja")
    assert (one.prompt, one.choices, one.label) == ("_", ("甲が勝った。", "乙が勝った。"), 1)


def test_what_leaves_nothing_open_is_refused() -> None:
    """All choices would be nearly the same text, and one would be predicted."""
    row = {"sentence": "It broke.", "option1": "the ball", "option2": "ice", "answer": "2"}
    with pytest.raises(DataError, match=r"'It broke\.' has no blank; expected '_'"):
        example_of("winogrande", row)
    with pytest.raises(DataError, match="'It won' leaves nothing open; expected '@placeholder'"):
        example_of("record", {**RECORD, "query": "It won"})


def test_abductive_nli_counts_from_one() -> None:
    row = {"observation_1": "It was dry.", "observation_2": "All got wet."}
    row |= {"hypothesis_1": "It rained.", "hypothesis_2": "They slept.", "label": "1"}
    one = example_of("abductive_nli", row)
    assert one.prompt == "It was dry." and one.label == 0
    assert one.choices == ("It rained. All got wet.", "They slept. All got wet.")
    with pytest.raises(DataError, match=r"The label is '0'; expected a choice's number, 1 to 2"):
        example_of("abductive_nli", {**row, "label": "0"})


def test_swag_endings_take_the_second_sentence() -> None:
    row = {"sent1": "A man sits.", "sent2": "He", "label": "3"}
    row |= {f"ending{index}": f"sings {index}." for index in range(4)}
    one = example_of("swag", row)
    assert (one.prompt, one.choices[3], one.label) == ("A man sits.", "He sings 3.", 3)


def test_stories_count_from_one() -> None:
    row: Row = {f"input_sentence_{number}": f"S{number}." for number in range(1, 5)}
    row |= {"sentence_quiz1": "Good.", "sentence_quiz2": "Bad.", "answer_right_ending": 2}
    one = example_of("xstorycloze", row, "sw")
    assert one.prompt == "S1. S2. S3. S4." and one.choices == ("Good.", "Bad.") and one.label == 1


def test_xcsqa_keeps_a_choice_without_text() -> None:
    """Six German rows have one."""
    question = {"stem": "Wo?", "choices": {"label": list("ABC"), "text": ["Haus", " ", "Wald"]}}
    one = example_of("xcsqa", {"question": question, "answerKey": "C"}, "de")
    assert one.choices == ("Haus", ".", "Wald") and one.label == 2
    assert example_of("xcsqa", {"question": question, "answerKey": ""}, "de").label is None


@pytest.mark.parametrize("name", ["mctest160", "mctest500"])
def test_mctest_has_letters(name: str) -> None:
    row: Row = {"story": "Al ran.\\newline He fell.", "question": "Who ran?", "answer": "D"}
    row["answer_options"] = dict(zip("DCBA", ("Al", "Bo", "Cy", "Di"), strict=True))
    one = example_of(name, row)
    assert one.choices == ("Di", "Cy", "Bo", "Al") and one.label == 3
    assert one.prompt == "Al ran.  He fell. Who ran?"


def test_quail_and_race() -> None:
    row = {"context": "C.", "question": "Q?", "answers": list("wxyz"), "correct_answer_id": 2}
    one = example_of("quail", row)
    assert (one.prompt, one.choices, one.label) == ("C. Q?", tuple("wxyz"), 2)
    row = {"article": "C.", "question": "Q _ .", "options": list("wxyz"), "answer": "B"}
    for name in ("race", "race_middle", "race_high"):
        one = example_of(name, row)
        assert (one.prompt, one.choices, one.label) == ("C. Q _ .", tuple("wxyz"), 1)


def test_belebele_counts_from_one() -> None:
    row = {"flores_passage": "P.", "question": "Q?", "correct_answer_num": "4"}
    row |= {f"mc_answer{number}": f"a{number}" for number in range(1, 5)}
    one = example_of("belebele", row, "zh_Hant")
    assert (one.prompt, one.choices[3], one.label) == ("P. Q?", "a4", 3)


def test_belebele_has_122_languages() -> None:
    codes = languages.BELEBELE
    assert len(codes) == len(set(codes.values())) == 122
    assert {codes[code] for code in ("zh", "sw", "fa", "et")} == {
        "zho_Hans",
        "swh_Latn",
        "pes_Arab",
        "est_Latn",
    }
    for ours in set(languages.MLM) & set(codes):  # one name for a language in all data sets
        assert len(ours) == 2
    assert "belebele" in jx.list_tasks(language="wo")


@pytest.mark.parametrize(
    ("name", "trained_on"),
    [
        ("belebele", ["race"]),
        ("xwinograd", ["winogrande"]),
        ("xstorycloze", ["siqa", "copa"]),
        ("xcsqa", ["commonsenseqa"]),
    ],
)
def test_sets_without_training_rows(name: str, trained_on: list[str]) -> None:
    assert [task.name for task in training_tasks(get_task(name))] == trained_on


# --- ReCoRD ---------------------------------------------------------------------------------------

RECORD = {
    "passage": "Bo met Ann Lee. Bo ran.\n@highlight\nAnn Lee won",
    "query": "It was @placeholder who won",
    "entities": ["Bo", "Ann Lee", "Ann"],
    "answers": ["Ann Lee", "Ann"],
}


def test_record_s_choices_are_different_entities() -> None:
    one = example_of("record", {**RECORD, "entities": ["Bo", "Ann Lee", "Bo", "Ann"]})
    assert one.texts == ("Ann", "Ann Lee", "Bo"), "in an order that no build of the data changes"
    assert one.choices[2] == "It was Bo who won" and one.right_texts == ("Ann", "Ann Lee")


def test_record_s_hidden_answers() -> None:
    task = get_task("record")
    source = jx.Rows({"validation": [RECORD], "test": [{**RECORD, "answers": []}]})
    task = task.replace(source=source)
    assert [task.is_labelled(split) for split in ("validation", "test")] == [True, False]


# --- real rows ------------------------------------------------------------------------------------

# task -> (split, language, rows)
SLICES = [
    ("arc_easy", "train", "en", 360),
    ("arc_easy", "validation", "en", 266),
    ("arc_challenge", "test", "en", 200),
    ("belebele", "test", "de", 400),
    ("belebele", "test", "en", 400),
    ("piqa", "train", "en", 500),
    ("piqa", "validation", "en", 400),
    ("race_middle", "train", "en", 401),
    ("race_middle", "test", "en", 301),
    ("record", "train", "en", 24),
    ("record", "validation", "en", 20),
    ("winogrande", "train", "en", 334),
    ("winogrande", "validation", "en", 300),
    *[
        ("xwinograd", "test", language, rows)
        for language, rows in zip("en fr ja pt ru zh".split(), (301, 41, 301, 129, 156, 8))
    ],
]


def gold_of(task: jx.MultipleChoice, one: Any) -> Any:
    return Answer(one.right_texts[0]) if task.scored_texts else task.reference(one)


@real
@pytest.mark.usefixtures("over_slices")
@pytest.mark.parametrize(("name", "split", "language", "count"), SLICES)
def test_gold_of_real_rows_scores_100(
    name: str, split: str, language: str, count: int, tokenizer: Any
) -> None:
    task = get_task(name)
    assert isinstance(task, jx.MultipleChoice)
    examples = list(task.examples(split, language, labelled=True))
    assert len(examples) == count
    references = [task.reference(one) for one in examples]
    predictions = [gold_of(task, one) for one in examples]
    for metric in task.metrics:
        assert metric(predictions, references) == 100.0, metric_name(metric)
    worse = [*predictions[1:], predictions[0]]
    assert max(metric(worse, references) for metric in task.metrics) < 90

    first_examples = examples[:10]
    table = encode_examples(task, first_examples, tokenizer)
    for one, lengths, labels in zip(first_examples, table["lengths"], table["labels"], strict=True):
        assert len(lengths) == len(one.choices) > labels[0] == one.label
        assert max(lengths) <= task.max_length


@real
@pytest.mark.usefixtures("over_slices")
@pytest.mark.parametrize(
    ("name", "split", "language", "right"),
    [
        ("piqa", "train", "en", lambda row: row[("sol1", "sol2")[row["label"]]]),
        ("winogrande", "train", "en", lambda row: row["option" + row["answer"]]),
        ("xwinograd", "test", "ja", lambda row: row["option" + row["answer"]]),
        ("belebele", "test", "de", lambda row: row["mc_answer" + row["correct_answer_num"]]),
        ("race_middle", "test", "en", lambda row: row["options"]["ABCD".index(row["answer"])]),
        ("record", "train", "en", lambda row: row["query"].split("@placeholder")[0]),
    ],
)
def test_the_right_choice_is_the_row_s(name: str, split: str, language: str, right: Any) -> None:
    """A wrong order of labels would score 100 with itself."""
    task = get_task(name)
    rows = task.rows(split, language)
    for row, one in zip(rows, task.examples(split, language), strict=True):
        assert one.choices[one.label].startswith(right(row))


@real
@pytest.mark.usefixtures("over_slices")
def test_piqa_s_test_split_has_no_labels() -> None:
    assert not get_task("piqa").is_labelled("test")
