"""Spans in context: word senses and pronouns."""

from jiantx.sources import Hub, Row
from jiantx.task_types import SpanClassification
from jiantx.task_types.spans import Span, find_near
from jiantx.tasks.registry import register

_SUPERGLUE_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"


def wic_span1(row: Row) -> Span:
    """The word in WiC's first sentence."""
    return row["start1"], row["end1"]


def wic_span2(row: Row) -> Span:
    """The word in WiC's second sentence."""
    return row["start2"], row["end2"]


def wsc_span1(row: Row) -> Span:
    """WSC's noun phrase. Its words often differ from the text in case and punctuation."""
    return find_near(row["text"], row["span1_text"], row["span1_index"])


def wsc_span2(row: Row) -> Span:
    """WSC's pronoun."""
    return find_near(row["text"], row["span2_text"], row["span2_index"])


# Pilehvar and Camacho-Collados 2019 (1808.09121), in SuperGLUE: is a word meant in the same sense?
wic = register(
    SpanClassification(
        name="wic",
        source=Hub("aps/super_glue", "wic", revision=_SUPERGLUE_REVISION),
        labels=("False", "True"),
        text="sentence1",
        text_pair="sentence2",
        span1=wic_span1,
        span2=wic_span2,
        units="characters",
        share_pooling=True,
        projection_size=None,
        classifier="linear",
    )
)

# Levesque et al. 2012, in SuperGLUE: does the pronoun stand for the noun phrase?
wsc = register(
    wic.replace(
        name="wsc",
        source=Hub("aps/super_glue", "wsc.fixed", revision=_SUPERGLUE_REVISION),
        text="text",
        text_pair=None,
        span1=wsc_span1,
        span2=wsc_span2,
    )
)
