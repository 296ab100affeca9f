"""Masked language modelling."""

from jiantx.sources import Files, read_lines
from jiantx.task import register
from jiantx.task_types import MaskedLM
from jiantx.tasks import languages

# One text line an example, from files of one's own; languages are drawn with p ~ lines ** 0.3, as XLM-R's were.
mlm = register(
    MaskedLM(
        name="mlm",
        source=Files(
            "mlm/{language}.{split}.txt",
            read_lines,
            languages=languages.MLM,
            origin="any plain text, such as a Wikipedia dump: one line an example",
        ),
    )
)
