"""The families of tasks: one final class a file, each with its example and its prediction."""

from jiantx.task_types.classification import Classification, Regression
from jiantx.task_types.masked_lm import MaskedLM
from jiantx.task_types.multiple_choice import MultipleChoice
from jiantx.task_types.question_answering import QuestionAnswering
from jiantx.task_types.retrieval import Retrieval
from jiantx.task_types.sentence_ranking import SentenceRanking
from jiantx.task_types.span_classification import SpanClassification
from jiantx.task_types.token_classification import TokenClassification

__all__ = [
    "Classification",
    "MaskedLM",
    "MultipleChoice",
    "QuestionAnswering",
    "Regression",
    "Retrieval",
    "SpanClassification",
    "SentenceRanking",
    "TokenClassification",
]
