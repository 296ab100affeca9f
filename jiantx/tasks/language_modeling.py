"""Masked language modelling."""

from jiantx.sources import Files, read_lines
from jiantx.task_types import MaskedLM
from jiantx.tasks import languages
from jiantx.tasks.registry import register

TEXT = Files(
    "mlm/{language}.{split}.txt",
    read_lines,
    languages=languages.MLM,
    origin="any plain text, such as a Wikipedia dump: one line an example",
)

# Languages are drawn with p ~ lines ** 0.3, as XLM-R's were. A Hub corpus:
# `mlm.replace(source=Hub(...))`.
mlm = register(
    MaskedLM(
        name="mlm",
        source=TEXT,
    )
)
