"""The bytes that targets get: hypothesis's, and the cases that were found and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")
TOGETHER = 10  # inputs that hypothesis draws at once: one by one, drawing takes three times as long

_BYTES = st.binary(max_size=60) | st.binary(min_size=40, max_size=240)
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    "id text pair label labels tokens tags question context answers prompt choices query".split()
)
_ROWS = st.dictionaries(
    _NAMES | st.sampled_from(["candidate", "relevant", "data", "files"]), _VALUES, max_size=4
)
# chosen bytes, files of bytes and of text, and now and then a row, which costs five times as much
DATA = st.one_of(
    *[_BYTES.map(lambda data: b"\1" + data)] * 5,
    *[_BYTES] * 3,
    st.text(max_size=80).map(lambda text: text.encode(errors="surrogatepass")),
    _ROWS.map(lambda row: json.dumps(row).encode()),
)


def run(target: Callable[[bytes], None], examples: int, number: int | None = None) -> int:
    """Give a target so many of hypothesis's inputs, and return how many it had; the same each time
    without a number.
    """
    had = 0

    @settings(
        max_examples=math.ceil(examples / TOGETHER),
        derandomize=number is None,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*[DATA] * TOGETHER))
    def each(drawn: tuple[bytes, ...]) -> None:
        nonlocal had
        for data in drawn:
            had += 1
            target(data)

    (each if number is None else seed(number)(each))()
    return had


def kept(name: str) -> list[Path]:
    """The cases of a target that were found before."""
    return sorted((CORPUS / name).glob("*"))
