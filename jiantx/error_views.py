"""How a wrong prediction is shown: lines of marked text, for a terminal or as HTML."""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_ANSI = {"predicted": "31", "gold": "32", "both": "33", "head": "1"}
_COLORS = {"predicted": "#f9c7c2", "gold": "#c4e8c9", "both": "#f6e3a8"}
_MARKS = {"predicted": "[]", "gold": "{}"}  # where there are no colours
_AROUND = 80  # characters that are shown before and after a span
_LONGEST = 600  # characters of a text without a span


class Segment(NamedTuple):
    """A piece of a line.

    Args:
        text: The piece.
        role: "predicted", "gold", "both", "head" or "".
    """

    text: str
    role: str = ""


Line = list[Segment]


def lines_of(row: Mapping[str, Any]) -> list[Line]:
    """The lines that show a wrong prediction: what it is, and then what the model read.

    Args:
        row: A row of a file of predictions.
    """
    inputs = dict(row["inputs"])
    lines = [_heading(row)]
    if isinstance(inputs.get("words"), list) and _are_tags(row, inputs["words"]):
        lines.append(_tagged_words(inputs.pop("words"), row["gold"], row["prediction"]))
    if "context" in inputs and "start" in row:
        context = inputs.pop("context")
        lines += _plain_inputs(inputs)
        return [*lines, [Segment("context: "), *_spans_in(context, row)]]
    choices = inputs.pop("choices", None)
    spans = inputs.pop("spans", None)
    lines += _plain_inputs({name: text for name, text in inputs.items() if name != "texts"})
    if spans and isinstance(inputs.get("text"), str):
        lines.append([Segment(f"spans: {', '.join(_span_texts(inputs, spans))}")])
    lines += _choice_lines(choices or inputs.get("texts") or (), inputs.get("texts"), row)
    return lines


def to_terminal(line: Line, *, colored: bool) -> str:
    """Write a line for a terminal. Control characters of a text cannot steer the terminal.

    Args:
        line: The line.
        colored: Whether segments have the colours of their roles.
    """
    pieces = []
    for segment in line:
        text = "".join(map(_printable, segment.text))
        code = _ANSI.get(segment.role) if colored else None
        pieces.append(f"\x1b[{code}m{text}\x1b[0m" if code else text)
    return "".join(pieces)


def to_html(line: Line) -> str:
    """Write a line as HTML; texts are escaped.

    Args:
        line: The line.
    """
    pieces = []
    for segment in line:
        text = html.escape(segment.text)
        if segment.role in _COLORS:
            text = f'<mark style="background: {_COLORS[segment.role]}">{text}</mark>'
        pieces.append(f"<b>{text}</b>" if segment.role == "head" else text)
    return "".join(pieces)


def shown_value(value: Any, row: Mapping[str, Any]) -> str:
    """A gold or a prediction as a short text.

    Args:
        value: A label, several, the number of a choice, an answer.
        row: The row that it is of.
    """
    choices = row["inputs"].get("choices") or row["inputs"].get("texts")
    if isinstance(value, int) and isinstance(choices, list) and 0 <= value < len(choices):
        return _shortened(str(choices[value]), 80)
    if "f1" in row and isinstance(value, list):
        first = value[0]  # of an answer its text, of gold the right texts
        texts = first if isinstance(first, list) else [row.get("answer", first)]
        return " / ".join(map(str, texts[:3])) or "no answer"
    if isinstance(value, list):
        return ", ".join(map(str, value[:5])) or "none"
    return str(value)


def _heading(row: Mapping[str, Any]) -> Line:
    line = [Segment(f"{row['language']} {row['id']}: ", "head")]
    if _are_tags(row, row["inputs"].get("words")):
        wrong_count = sum(map(str.__ne__, row["gold"], row["prediction"]))
        return [*line, Segment(f"{wrong_count} of {len(row['gold'])} tags wrong")]
    line.append(Segment(shown_value(row["gold"], row), "gold"))
    line.append(Segment(" → "))
    line.append(Segment(shown_value(row["prediction"], row) or "no answer", "predicted"))
    if row.get("confidence") is not None:
        line.append(Segment(f" ({row['confidence']:.2f})"))
    if row.get("f1") is not None:
        line.append(Segment(f", F1 {row['f1']:.0f}"))
    return line


def legend_of(row: Mapping[str, Any]) -> str:
    """What the marks in the lines of a wrong prediction mean.

    Args:
        row: A row of a file of predictions.
    """
    if _are_tags(row, row["inputs"].get("words")):
        return "word[gold → predicted]"
    probability = "" if row.get("confidence") is None else " (probability of the prediction)"
    return f"gold → predicted{probability}; in texts {{gold}} and [predicted]"


def _are_tags(row: Mapping[str, Any], words: Any) -> bool:
    columns = (words, row["gold"], row["prediction"])
    return all(isinstance(column, list) for column in columns) and len(set(map(len, columns))) == 1


def _tagged_words(words: Sequence[str], gold: Sequence[str], predicted: Sequence[str]) -> Line:
    """The words of a sentence; a wrong tag follows its word, as [gold → predicted]."""
    line: Line = []
    for word, gold_tag, predicted_tag in zip(words, gold, predicted, strict=True):
        if line:
            line.append(Segment(" "))
        if gold_tag == predicted_tag:
            line.append(Segment(word))
        else:
            line += [Segment(word, "predicted"), Segment("["), Segment(gold_tag, "gold")]
            line += [Segment(" → "), Segment(predicted_tag, "predicted"), Segment("]")]
    return line


def _spans_in(context: str, row: Mapping[str, Any]) -> Iterator[Segment]:
    """A passage with the predicted answer in [ ] and the first right one in { }."""
    spans = {}
    if row.get("answer"):
        spans["predicted"] = (row["start"], row["start"] + len(row["answer"]))
    texts = row["gold"][0] if isinstance(row["gold"], list) else ()
    if texts and row.get("gold_starts"):
        spans["gold"] = (row["gold_starts"][0], row["gold_starts"][0] + len(texts[0]))
    bounds = sorted({0, len(context), *itertools.chain(*spans.values())})
    for start, stop in zip(bounds, [*bounds[1:], len(context)]):
        # of marks at one place the inner ones close first, and open last
        for role, span in sorted(spans.items(), key=lambda item: (-item[1][0], item[0])):
            if span[1] == start:
                yield Segment(_MARKS[role][1], role)
        for role, span in sorted(spans.items(), key=lambda item: -item[1][1]):
            if span[0] == start:
                yield Segment(_MARKS[role][0], role)
        inside = [role for role, span in spans.items() if span[0] <= start < span[1]]
        text = context[start:stop]
        if inside:
            yield Segment(text, inside[0] if len(inside) == 1 else "both")
        else:
            yield Segment(_without_middle(text, start == 0, stop == len(context)))


def _without_middle(text: str, is_first: bool, is_last: bool) -> str:
    """A text beside spans: what is far from them is cut off."""
    before = 0 if is_first and not is_last else _AROUND
    after = 0 if is_last and not is_first else _AROUND
    if len(text) <= before + after + 10:
        return text
    return f"{text[:before]} … {text[len(text) - after :] if after else ''}"


def _plain_inputs(inputs: Mapping[str, Any]) -> list[Line]:
    lines = []
    for name, value in inputs.items():
        if isinstance(value, list | tuple):
            value = " ".join(map(str, value))
        lines.append([Segment(f"{name}: {_shortened(str(value), _LONGEST)}")])
    return lines


def _span_texts(inputs: Mapping[str, Any], spans: Sequence[Sequence[int]]) -> Iterator[str]:
    texts = [inputs["text"], inputs.get("text_pair") or inputs["text"]]
    for text, (start, stop) in zip(texts, spans):
        yield repr(text[start:stop])


def _choice_lines(
    choices: Sequence[str], texts: Sequence[str] | None, row: Mapping[str, Any]
) -> Iterator[Line]:
    """A line per choice; the predicted one in [ ], a right one in { }."""
    predicted = row["prediction"]
    gold = row["gold"]
    for index, choice in enumerate(choices):
        role = ""
        if index == gold or (texts and isinstance(gold, list) and texts[index] in gold[0]):
            role = "gold"
        if index == predicted or (texts and predicted == [texts[index], 0.0]):
            role = "predicted"
        marks = _MARKS.get(role, "  ")
        yield [Segment(f"{marks[0]}{_shortened(choice, _LONGEST)}{marks[1]}", role)]


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]} …"


def _printable(character: str) -> str:
    if character in "\n\t\r":
        return " "
    return "\ufffd" if unicodedata.category(character) == "Cc" else character
