"""Metrics against the official scorers, and against numbers worked out by hand."""

import functools
import itertools
import math
import pickle
import random
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.preprocessing import MultiLabelBinarizer

from jiantx import metrics
from jiantx.experiments import CHANCE, DEVELOPMENT
from jiantx.metrics import Answer, Answers
from jiantx.report import MAIN
from jiantx.report.scores import LOST_TARGETS, TRUNCATED

UPOS = "ADJ ADP AUX CCONJ DET INTJ NOUN NUM PART PROPN PUNCT SCONJ SYM VERB X".split()
BIO = "O B-PER B-LOC B-ORG I-PER I-LOC I-ORG".split()
ODD = """O . B I E S ORG B-PER B-A-B I-PER I-A-B E-PER E-A-B S-PER S-A-B .-PER .-A-B""".split()


def noisy(tags, rng):
    """Eight sentences of random tags: predictions, of which 70 % are right, and references."""
    references = []
    for _ in range(8):
        references.append([rng.choice(tags) for _ in range(rng.randint(0, 9))])
    predictions = []
    for sentence in references:
        predictions.append([tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence])
    return predictions, references


# --- Names and borders ----------------------------------------------------------------------------


def test_names_are_the_official_ones():
    assert metrics.metric_name(metrics.accuracy) == "accuracy"
    assert metrics.metric_name(metrics.squad_f1) == "f1"
    assert metrics.metric_name(metrics.f1_of("yes", name="f1")) == "f1"


def test_f1_of_different_labels_have_different_names():
    names = [metrics.metric_name(metrics.f1_of(label)) for label in ("favor", "against", 1)]
    assert names == ["f1_favor", "f1_against", "f1_1"]


def test_matthews_of_a_constant_side():
    """scikit-learn gives 0 for both; without two gold labels there is nothing to tell apart."""
    assert metrics.matthews(["a", "a", "a"], ["a", "b", "a"]) == 0.0
    assert math.isnan(metrics.matthews(["a", "b"], ["a", "a"]))
    assert math.isnan(metrics.matthews([], []))
    assert metrics.matthews(["b", "a"], ["a", "b"]) == -100.0
    assert metrics.matthews(["a", "b", "c"], ["a", "b", "c"]) == 100.0


def test_macro_f1_counts_labels_that_are_only_predicted():
    assert metrics.macro_f1(["a", "c"], ["a", "b"]) == pytest.approx(100 / 3)
    assert math.isnan(metrics.macro_f1([], []))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_matthews_equals_scikit_learn(count):
    rng = random.Random(count)
    references = [rng.choice("abcde"[:count]) for _ in range(200)]
    predictions = [label if rng.random() < 0.6 else rng.choice("abcdef") for label in references]
    matthews = 100 * sklearn_metrics.matthews_corrcoef(references, predictions)
    assert metrics.matthews(predictions, references) == pytest.approx(matthews, abs=1e-9)


MACRO = {
    "macro_f1": sklearn_metrics.f1_score,
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
}


@pytest.mark.parametrize("name", MACRO)
@pytest.mark.parametrize("predicted_labels", ["abc", "abcf", "a", "f"])
def test_macro_means_equal_scikit_learn(name, predicted_labels):
    """Also with labels that are never predicted, and with one that is only predicted."""
    rng = random.Random(predicted_labels)
    references = rng.choices("abcde", k=60)
    predictions = rng.choices(predicted_labels, k=60)
    expected = 100 * MACRO[name](references, predictions, average="macro", zero_division=0)
    metric = metrics.get_metric(name)
    assert metric(predictions, references) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(metric([], []))


@pytest.mark.parametrize("name", MACRO)
def test_macro_means_of_several_labels_equal_scikit_learn(name):
    rng = random.Random(name)
    references = [set(rng.choices("abcd", k=rng.randint(0, 3))) for _ in range(60)]
    predictions = [set(rng.choices("abcd", k=rng.randint(0, 3))) for _ in range(60)]
    binarizer = MultiLabelBinarizer(classes=list("abcd"))
    binary = binarizer.fit_transform(references), binarizer.fit_transform(predictions)
    expected = 100 * MACRO[name](*binary, average="macro", zero_division=0)
    assert metrics.get_metric(name)(predictions, references) == pytest.approx(expected, abs=1e-12)


def test_chunks_are_counted_by_type_as_seqeval_reports_them():
    rng = random.Random(0)
    tags = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    references = [rng.choices(tags, k=12) for _ in range(30)]
    predictions = [
        [t if rng.random() < 0.7 else rng.choice(tags) for t in row] for row in references
    ]
    seqeval_metrics = pytest.importorskip("seqeval.metrics")
    report = seqeval_metrics.classification_report(references, predictions, output_dict=True)
    counts = metrics.chunk_counts(predictions, references)
    assert list(counts) == ["LOC", "PER"]
    for name, count in counts.items():
        assert count.precision == pytest.approx(100 * report[name]["precision"])
        assert count.recall == pytest.approx(100 * report[name]["recall"])
        assert count.f1 == pytest.approx(100 * report[name]["f1-score"])
        assert count.actual == report[name]["support"]
    total = report["micro avg"]
    assert metrics.chunk_precision(predictions, references) == pytest.approx(
        100 * total["precision"]
    )
    assert metrics.chunk_recall(predictions, references) == pytest.approx(100 * total["recall"])


def test_every_metric_has_a_name():
    """A new metric that nobody adds to the names could be given as a function only."""
    not_metrics = {"best_threshold", "chunk_scores", "chunk_counts"}
    listed = set(metrics.list_metrics())
    for module in (metrics.labels, metrics.tagging, metrics.answers, metrics.rankings):
        for name in set(metrics.__all__) - not_metrics:
            code = getattr(getattr(module, name, None), "__code__", None)
            if code and code.co_varnames[:2] == ("predictions", "references"):
                assert name in listed or getattr(module, name).__module__ != module.__name__
    assert metrics.get_metric("f1", "answers") is metrics.squad_f1
    with pytest.raises(LookupError, match=r"'exact_matsh'. Did you mean 'exact_match'"):
        metrics.get_metric("exact_matsh", "answers")
    with pytest.raises(ValueError, match="scored_by='label'"):
        metrics.list_metrics("label")


def test_a_renamed_metric_leaves_the_original_its_name():
    """Tried: naming jiantx's own accuracy renamed it in every task."""
    renamed = metrics.named("mine")(metrics.accuracy)
    again = metrics.named("other")(renamed)
    assert metrics.metric_name(metrics.accuracy) == "accuracy"
    assert (metrics.metric_name(renamed), metrics.metric_name(again)) == ("mine", "other")
    assert renamed(["a", "b"], ["a", "a"]) == again(["a", "b"], ["a", "a"]) == 50.0
    assert metrics.metric_name(metrics.named("mine")(metrics.f1_of("a"))) == "mine"
    assert metrics.metric_name(functools.partial(metrics.squad_f1)) == "f1"
    assert pickle.loads(pickle.dumps(renamed)) == renamed


def test_an_undefined_metric_counts_as_the_worst_score_it_can_have():
    both = (metrics.accuracy, metrics.named("r")(metrics.pearson))
    values = {"accuracy": 40.0, "r": math.nan}
    assert math.isnan(metrics.mean_of_metrics(both, values))
    assert metrics.mean_of_metrics(both, values, undefined_as_lowest=True) == -30.0
    assert metrics.mean_of_metrics(both, {"r": 20.0}, undefined_as_lowest=True) == 10.0


def test_no_metric_has_a_name_that_reports_use():
    used = {MAIN, TRUNCATED, LOST_TARGETS, DEVELOPMENT, CHANCE}
    assert used == set(metrics.base.RESERVED_NAMES)


def test_a_metric_is_named_by_its_decorator():
    @metrics.named("mine")
    def some_metric(predictions, references):
        return 0.0

    assert metrics.metric_name(some_metric) == "mine"


ALL = [
    metrics.accuracy,
    metrics.f1_of("a"),
    metrics.micro_f1,
    metrics.pearson,
    metrics.spearman,
    metrics.token_accuracy,
    metrics.chunk_f1,
    metrics.chunk_f1_seqeval1,
    metrics.exact_match,
    metrics.squad_f1,
    metrics.squad_v2_exact,
    metrics.squad_v2_f1,
    metrics.best_exact_match,
    metrics.best_f1,
    metrics.mlqa_exact_match,
    metrics.mlqa_f1,
]


@pytest.mark.parametrize("metric", ALL)
def test_the_score_of_nothing_is_undefined_and_lengths_are_checked(metric):
    assert math.isnan(metric([], []))
    with pytest.raises(ValueError, match="2 predictions for 0 references"):
        metric(["a", "b"], [])


@pytest.mark.parametrize("metric", ALL)
def test_metrics_can_be_pickled(metric):
    assert pickle.loads(pickle.dumps(metric)) == metric


# --- Labels ---------------------------------------------------------------------------------------


def test_a_label_is_no_set_of_letters():
    """ "glad" and "sad" share letters: 57.1 for 0."""
    assert metrics.micro_f1(["glad", "sad"], ["sad", "glad"]) == 0.0
    assert metrics.micro_f1(["glad", "sad", "sad"], ["glad", "sad", "glad"]) == pytest.approx(
        metrics.accuracy(["glad", "sad", "sad"], ["glad", "sad", "glad"])
    )
    assert metrics.micro_f1([1, 2], [1, 1]) == 50.0


def test_f1_of_one_of_several_labels():
    """It was undefined, whatever was predicted."""
    predictions = [("new", "old"), ("old",), ("new",), ()]
    references = [("new",), ("new", "old"), (), ()]
    binary = [["new" in labels for labels in side] for side in (references, predictions)]
    expected = 100 * sklearn_metrics.f1_score(*binary)
    assert metrics.f1_of("new")(predictions, references) == pytest.approx(expected) == 50.0


def test_label_metrics_equal_scikit_learn():
    rng = random.Random(0)
    for _ in range(50):
        count = rng.randint(1, 30)
        references = rng.choices("abc", k=count)
        predictions = rng.choices("abc", k=count)
        accuracy = sklearn_metrics.accuracy_score(references, predictions)
        assert metrics.accuracy(predictions, references) == pytest.approx(100 * accuracy, abs=1e-12)
        if "a" in predictions + references:
            binary = [[label == "a" for label in labels] for labels in (references, predictions)]
            expected = 100 * sklearn_metrics.f1_score(*binary, zero_division=0)
            assert metrics.f1_of("a")(predictions, references) == pytest.approx(expected, abs=1e-12)


def test_multi_label_metrics_equal_scikit_learn():
    rng = random.Random(0)
    references = [set(rng.choices("abcd", k=rng.randint(0, 3))) for _ in range(60)]
    predictions = [set(rng.choices("abcd", k=rng.randint(0, 3))) for _ in range(60)]
    binarizer = MultiLabelBinarizer(classes=list("abcd"))
    binary = binarizer.fit_transform(references), binarizer.fit_transform(predictions)
    micro_f1 = 100 * sklearn_metrics.f1_score(*binary, average="micro")
    assert metrics.micro_f1(predictions, references) == pytest.approx(micro_f1, abs=1e-12)
    accuracy = 100 * sklearn_metrics.accuracy_score(*binary)
    assert metrics.accuracy(predictions, references) == pytest.approx(accuracy, abs=1e-12)


def test_several_labels_have_no_order():
    assert metrics.accuracy([("a", "b"), ["a"]], [{"b", "a"}, ("a",)]) == 100.0


def test_f1_without_positives_is_undefined():
    assert math.isnan(metrics.f1_of("a")(["b"], ["b"]))
    assert metrics.f1_of("a")(["a"], ["b"]) == 0.0


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_correlations_equal_scipy(levels):
    rng = np.random.default_rng(levels)
    for _ in range(20):
        x, y = rng.integers(0, levels, (2, 40)) / 7
        pearson = 100 * stats.pearsonr(x, y).statistic
        spearman = 100 * stats.spearmanr(x, y).statistic
        assert metrics.pearson(x, y) == pytest.approx(pearson, abs=1e-10)
        assert metrics.spearman(x, y) == pytest.approx(spearman, abs=1e-10)


@pytest.mark.parametrize("metric", [metrics.pearson, metrics.spearman])
def test_correlations_that_are_undefined(metric):
    assert math.isnan(metric([0.1, 0.1, 0.1], [1, 2, 3]))
    assert math.isnan(metric([1, 2, 3], [2, 2, 2]))
    assert math.isnan(metric([1], [2]))
    assert math.isnan(metric([1, math.nan, 3], [1, 2, 3]))
    assert math.isnan(metrics.pearson([1, math.inf, 3], [1, 2, 3]))


def test_correlations_of_a_line():
    assert metrics.pearson([1, 2, 3], [10, 20, 30]) == pytest.approx(100.0)
    assert metrics.pearson([1e-100, 2e-100, 3e-100], [3, 2, 1]) == pytest.approx(-100.0)
    assert metrics.spearman([1, 2, 3], [1, 10, 100]) == pytest.approx(100.0)


# --- Tags -----------------------------------------------------------------------------------------


def test_token_accuracy_counts_words_and_not_sentences():
    assert metrics.token_accuracy([["A"], ["A", "B", "A"]], [["B"], ["A", "B", "A"]]) == 75.0


@pytest.mark.parametrize(
    "metric", [metrics.token_accuracy, metrics.chunk_f1, metrics.chunk_f1_seqeval1]
)
def test_every_word_needs_a_tag(metric):
    with pytest.raises(ValueError, match="Sentence 1 has 2 words and 1 predicted tags"):
        metric([["O"], ["O"]], [["O"], ["O", "O"]])


def restated_chunks(sentences, type_of):
    """Restate seqeval's rules word by word: (type, first word, last word) of all chunks."""
    chunks = set()
    start = 0
    previous = "O"
    previous_type = None
    for index, tag in enumerate(itertools.chain(*([*sentence, "O"] for sentence in sentences))):
        prefix = tag[0]
        chunk_type = type_of(tag)
        changed = chunk_type != previous_type
        if (
            previous in "ES"
            or (previous in "BI" and prefix in "BSO")
            or (previous not in "O." and changed)
        ):
            chunks.add((previous_type, start, index - 1))
        if (
            prefix in "BS"
            or (prefix in "EI" and previous in "ESO")
            or (prefix not in "O." and changed)
        ):
            start = index
        previous = prefix
        previous_type = chunk_type
    return chunks


def restated_f1(predictions, references, type_of):
    predicted = restated_chunks(predictions, type_of)
    actual = restated_chunks(references, type_of)
    total = len(predicted) + len(actual)
    return 100 * 2 * len(predicted & actual) / total if total else math.nan


@pytest.mark.parametrize("tags", [UPOS, BIO, ODD], ids=["upos", "bio", "odd"])
def test_chunk_f1_equals_the_rules_restated(tags):
    rng = random.Random(1)
    for _ in range(150):
        predictions, references = noisy(rng.sample(tags, rng.randint(1, 6)), rng)
        expected = restated_f1(predictions, references, lambda tag: tag.split("-")[-1])
        scheme: metrics.Scheme | None = "seqeval" if tags is ODD else None
        actual = metrics.chunk_f1(predictions, references, scheme=scheme)
        assert actual == pytest.approx(expected, abs=1e-10, nan_ok=True)


@pytest.mark.parametrize("tags", [UPOS, BIO, ODD], ids=["upos", "bio", "odd"])
def test_chunk_f1_seqeval1_equals_seqeval(tags):
    seqeval = pytest.importorskip("seqeval.metrics")
    rng = random.Random(2)
    for _ in range(100):
        predictions, references = noisy(rng.sample(tags, rng.randint(1, 6)), rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are not BIO, and of 0 / 0
            expected = 100 * seqeval.f1_score(references, predictions)
        scheme: metrics.Scheme | None = "seqeval" if tags is ODD else None
        actual = metrics.chunk_f1_seqeval1(predictions, references, scheme=scheme)
        assert (0.0 if math.isnan(actual) else actual) == expected


# Computed with seqeval 0.0.12.
@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("NOUN NOUN VERB", "NOUN NOUN VERB", 100.0),
        # neighbours with one tag are one chunk: both chunks differ
        ("NOUN VERB VERB", "NOUN NOUN VERB", 0.0),
        ("NOUN NOUN X VERB", "NOUN NOUN DET VERB", 200 / 3),
        ("SCONJ SCONJ X", "SCONJ SCONJ SCONJ", 200 / 3),  # a leading S always starts a chunk
        ("CCONJ NOUN", "SCONJ NOUN", 50.0),  # and their confusion is one
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC", 100.0),
        ("B-PER I-PER I-PER", "B-PER I-PER O", 0.0),
        ("I-PER I-PER O", "B-PER I-PER O", 100.0),  # a chunk may start with I
        ("I-LOC I-PER", "B-LOC B-PER", 100.0),
        ("B-PER B-PER", "B-PER I-PER", 0.0),
        ("O O", "B-PER O", 0.0),
    ],
)
def test_chunk_f1_by_hand(prediction, reference, expected):
    score = metrics.chunk_f1([prediction.split()], [reference.split()])
    assert score == pytest.approx(expected, abs=1e-12)


def test_newer_seqeval_overlooks_what_differs_in_the_first_letter():
    assert metrics.chunk_f1_seqeval1([["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]]) == 100.0


def test_chunks_end_with_their_sentence():
    assert metrics.chunk_f1([["NOUN"], ["NOUN"]], [["NOUN"], ["NOUN"]]) == 100.0
    assert metrics.chunk_f1([["NOUN"], ["VERB"]], [["NOUN"], ["NOUN"]]) == 50.0


def test_no_chunk_anywhere_is_undefined():
    assert math.isnan(metrics.chunk_f1([["O", "O"]], [["O", "O"]]))


def test_an_empty_tag_is_an_error():
    with pytest.raises(ValueError, match="tag is empty"):
        metrics.chunk_f1([[""]], [["O"]])


# --- Answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "f1"),
    [
        ("the Cat!", ("cat",), 100.0, 100.0),  # case, punctuation, article
        ("a cat sat", ("cat",), 0.0, 200 / 3),
        ("theatre", ("atre",), 0.0, 0.0),  # articles are whole words
        ("cat", ("dog", "the cat", "cats"), 100.0, 100.0),  # the best of several
        ("cat dog", ("dog bird cow", "cat"), 0.0, 200 / 3),
        ("cat cat", ("cat",), 0.0, 200 / 3),  # words are counted
        ("U.S.A.", ("USA",), 100.0, 100.0),
        ("a-b", ("ab",), 100.0, 100.0),
        ("  New \u00a0 York\n", ("new york",), 100.0, 100.0),  # any white space
        ("„Rom“", ("Rom",), 0.0, 0.0),  # ASCII punctuation only
        ("der Hund", ("Hund",), 0.0, 200 / 3),  # English articles only
        ("北京市", ("北京",), 0.0, 0.0),
        ("", ("cat",), 0.0, 0.0),
        ("", (), 100.0, 100.0),
        ("the", (), 100.0, 100.0),  # nothing once normalised
        ("cat", (), 0.0, 0.0),
        ("the", ("The",), 100.0, 0.0),  # no word in common, says the v1.1 script
        ("cat", ("the", "cat"), 100.0, 100.0),
    ],
)
def test_squad_by_hand(prediction, golds, exact, f1):
    pair = [Answer(prediction)], [Answers(golds)]
    assert metrics.exact_match(*pair) == exact
    assert metrics.squad_f1(*pair) == pytest.approx(f1, abs=1e-12)


def test_squad_v2_drops_answers_that_are_empty_once_normalised():
    assert metrics.squad_v2_f1([Answer("the")], [Answers(("The",))]) == 100.0
    assert metrics.squad_v2_exact([Answer("the")], [Answers(("The", "cat"))]) == 0.0
    assert metrics.squad_v2_exact([Answer("")], [Answers(())]) == 100.0


def test_squad_averages_over_questions():
    predictions = [Answer("cat"), Answer("a cat sat"), Answer("")]
    references = [Answers(("cat",)), Answers(("cat",)), Answers(("cat",))]
    assert metrics.exact_match(predictions, references) == 100.0 * 1 / 3
    mean_f1 = (100 + 200 / 3) / 3
    assert metrics.squad_f1(predictions, references) == pytest.approx(mean_f1, abs=1e-12)


def test_best_threshold_on_no_answer():
    references = [Answers(("cat",)), Answers(()), Answers(("dog",)), Answers(())]
    predictions = [Answer("cat", 0.1), Answer("cow", 0.3), Answer("dog", 0.2), Answer("bird", 0.9)]
    assert metrics.exact_match(predictions, references) == 50.0
    # any threshold between 0.2 and 0.3
    assert metrics.best_exact_match(predictions, references) == 100.0
    assert metrics.best_f1(predictions, references) == 100.0
    swapped = [prediction._replace(no_answer=-prediction.no_answer) for prediction in predictions]
    # no threshold is better than one that answers no question
    assert metrics.best_exact_match(swapped, references) == 50.0


def test_best_threshold_by_brute_force():
    rng = random.Random(3)
    for _ in range(50):
        references = [Answers(("cat dog",) if rng.random() < 0.6 else ()) for _ in range(12)]
        texts = ["cat", "cat dog", "cow", ""]
        predictions = [Answer(rng.choice(texts), rng.random()) for _ in range(12)]
        exact_matches = []
        f1s = []
        for threshold in [-1.0, *(prediction.no_answer for prediction in predictions)]:
            answered = []
            for prediction in predictions:
                answered.append(
                    Answer(prediction.text if prediction.no_answer <= threshold else "")
                )
            exact_matches.append(metrics.squad_v2_exact(answered, references))
            f1s.append(metrics.squad_v2_f1(answered, references))
        best_exact_match = metrics.best_exact_match(predictions, references)
        assert best_exact_match == pytest.approx(max(exact_matches), abs=1e-9)
        assert metrics.best_f1(predictions, references) == pytest.approx(max(f1s), abs=1e-9)


@pytest.mark.parametrize(
    ("language", "prediction", "gold", "exact", "f1"),
    [
        ("en", "the “cat”", "cat", 100.0, 100.0),  # any Unicode punctuation
        ("de", "Der Hund", "hund", 100.0, 100.0),
        ("de", "the Hund", "hund", 0.0, 200 / 3),
        ("es", "los gatos", "gatos", 100.0, 100.0),
        ("vi", "những con mèo", "con mèo", 100.0, 100.0),
        ("ar", "القاهرة", "قاهرة", 100.0, 100.0),
        ("ar", "عالم", "عم", 0.0, 0.0),  # the official pattern breaks words apart
        ("hi", "एक।", "एक", 100.0, 100.0),
        ("zh", "北京市", "北京", 0.0, 80.0),  # character by character
        ("zh", "iPhone手机。", "iphone 手机", 100.0, 100.0),
        ("en", "$5", "5", 100.0, 100.0),  # a symbol, but ASCII punctuation
        ("en", "€5", "5", 0.0, 0.0),  # a symbol, no punctuation
    ],
)
def test_mlqa_by_hand(language, prediction, gold, exact, f1):
    pair = [Answer(prediction)], [Answers((gold,), language)]
    assert metrics.mlqa_exact_match(*pair) == exact
    assert metrics.mlqa_f1(*pair) == pytest.approx(f1, abs=1e-12)


def test_mlqa_names_the_languages_it_knows():
    with pytest.raises(ValueError, match=r"'sw'.*ar, de, en"):
        metrics.mlqa_f1([Answer("a")], [Answers(("a",), "sw")])


@pytest.mark.parametrize(
    "metric",
    [metrics.exact_match, metrics.squad_f1, metrics.mlqa_exact_match, metrics.mlqa_f1],
)
def test_a_prediction_of_no_answer_is_empty_for_every_metric(metric):
    """A question without an answer was wrong, although nothing was answered."""
    references = [Answers(()), Answers(("cat",))]
    assert metric([Answer("cat", 0.5), Answer("cat", -0.5)], references) == 100
    assert metric([Answer("cat", -0.5), Answer("cat", 0.5)], references) == 0


def test_squad_v2_reads_no_answer_above_zero():
    references = [Answers(("cat",)), Answers(())]
    assert metrics.squad_v2_exact([Answer("cat", -0.5), Answer("cat", 0.5)], references) == 100
    assert metrics.squad_v2_f1([Answer("cat", 0.5), Answer("cat", -0.5)], references) == 0
