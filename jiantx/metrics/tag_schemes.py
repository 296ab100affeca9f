"""Tag schemes: which letter of a tag says where a chunk starts and ends, and what its type is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Literal, NamedTuple, get_args

from jiantx.fields import check_choice

Scheme = Literal["IO", "IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU", "BMES", "seqeval"]
"""How tags are read.

IO: neighbouring words of one type make a chunk. A tag is its type, or I and its type.
IOB1 to BMES: a letter before or after the type, or alone. IOB1 is read as IOB2, IOE1 as IOE2.
seqeval: the first letter of a tag is its prefix, whatever it is, as seqeval reads tags.
"""


class ReadTag(NamedTuple):
    """A tag as conlleval's rules take it: a letter of B, I, E, S and O, and a type."""

    letter: str
    type: str


OUTSIDE = ReadTag("O", "")
_OUTSIDE_TAGS = ("O", "o")
_LETTERS = {
    "IO": "I",
    "IOB1": "BI",
    "IOB2": "BI",
    "IOE1": "IE",
    "IOE2": "IE",
    "IOBES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMESW",  # W is another name of S
}
_IN_IOBES = {"L": "E", "U": "S", "M": "I", "W": "S"}  # other letters stand for themselves
_LETTER = "(?P<letter>[BIESLUMW])"
_MARK = r"(?P<mark>[\W_])"  # between the letter and the type
_PATTERNS = tuple(  # where the letter stands; the first that fits all tags counts
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_LETTER}{_MARK}(?P<type>.+)",
        rf"(?P<type>.+){_MARK}{_LETTER}",
        rf"{_LETTER}(?P<mark>)(?P<type>)",
    )
)
# How tags with a letter look beside which a tag without one is a mistake.
_LOOKS_LETTERED = re.compile(r"[BIESLUMW][\W_].*|[bi][\W_].*|.*[\W_][BI]|O[\W_].*")
_LIKE_OUTSIDE = ("0", "NONE", "NIL", "NULL")  # names of what should be O


def read_tags(
    scheme: Scheme | None,
    labels: Collection[str],
    type_of_bare_tag: Callable[[str], str],
    tags: Collection[str],
) -> dict[str, ReadTag]:
    """Read tags by their scheme.

    Args:
        scheme: The scheme; recognised if None.
        labels: All tags that can occur, from which it is recognised, besides `tags`.
        type_of_bare_tag: Tag -> type, for tags that are read as seqeval does.
        tags: What is read.

    Returns:
        Tag -> its letter and its type; also for O, which closes the last chunk of a sentence.

    Raises:
        ValueError: The tags are not of the scheme, or of none.
    """
    check_choice("scheme", scheme, (None, *get_args(Scheme)))
    if scheme == "seqeval":
        return {tag: ReadTag(tag[0], type_of_bare_tag(tag)) for tag in {*tags, "O"}}
    all_tags = {*labels, *tags}
    chunk_tags = sorted(all_tags.difference(_OUTSIDE_TAGS))
    lettered = next(_readings(chunk_tags, scheme), None)
    if lettered is not None:
        return {tag: lettered.get(tag, OUTSIDE) for tag in {*tags, "O"}}
    if scheme not in (None, "IO"):
        raise ValueError(
            f"The tags {chunk_tags} are not of the scheme {scheme}: expected O, and types with one "
            f"of the letters {', '.join(_LETTERS[scheme])}, such as {_LETTERS[scheme][0]}-PER."
        )
    if scheme is None:
        _check_bare(chunk_tags, has_outside=len(chunk_tags) < len(all_tags))
    if scheme == "IO" or len(chunk_tags) < len(all_tags):
        types = {tag: ReadTag("I", tag) for tag in chunk_tags}
        return {tag: types.get(tag, OUTSIDE) for tag in {*tags, "O"}}
    return read_tags("seqeval", (), type_of_bare_tag, tags)


def _readings(tags: Collection[str], scheme: Scheme | None) -> Iterator[dict[str, ReadTag]]:
    """The ways to read all of these tags as types with letters of one scheme, the usual first."""
    schemes = _LETTERS if scheme is None else (scheme,)
    for pattern in _PATTERNS:
        matches = {tag: match for tag in tags if (match := pattern.fullmatch(tag))}
        letters = {match["letter"].upper() for match in matches.values()}
        marks = {match["mark"] for match in matches.values()}
        if (
            len(matches) < len(tags)
            or len(marks) > 1
            or not any(letters <= set(_LETTERS[name]) for name in schemes)
        ):
            continue
        # S-ADJ may be of a scheme, but adj_s is rather a name
        is_usual = (
            pattern is _PATTERNS[0] and marks <= {"-"} and all(tag[0].isupper() for tag in tags)
        )
        if scheme or is_usual or letters & {"B", "I"}:
            yield {tag: _read_letter(match) for tag, match in matches.items()}


def _read_letter(match: re.Match[str]) -> ReadTag:
    letter = match["letter"].upper()
    return ReadTag(_IN_IOBES.get(letter, letter), match["type"])


def _check_bare(tags: Collection[str], *, has_outside: bool) -> None:
    """Refuse tags without letters that would be misread."""
    advice = (
        "Rename them (B-PER, I-PER, O), say how to read them with scheme=… "
        f"({', '.join(get_args(Scheme))}), or score words one by one: "
        "metrics=(token_accuracy,), main_metrics=()."
    )
    lettered = [tag for tag in tags if _LOOKS_LETTERED.fullmatch(tag) or _is_glued(tag, tags)]
    if lettered:
        letterless = [tag for tag in tags if tag not in lettered]
        beside = f" beside {letterless[:5]}" if letterless else ""
        odd_tag = _odd_tag(tags)
        odd = f" All but {odd_tag!r} do: it may be a mistake in a row." if odd_tag else ""
        raise ValueError(f"Tags follow no scheme: {lettered[:5]}{beside}.{odd} {advice}")
    if has_outside:
        return
    outside = [tag for tag in tags if tag[0] == "O" or tag.upper() in _LIKE_OUTSIDE]
    if outside:
        raise ValueError(
            f"Chunk F1 cannot tell whether {outside} are outside of chunks: only O is. {advice}"
        )


def _odd_tag(tags: Collection[str]) -> str:
    """The only tag without which the others follow a scheme; empty if there is none."""
    odd_tags = []
    for tag in tags if len(tags) > 2 else ():
        other_tags = [other for other in tags if other != tag]
        if next(_readings(other_tags, None), None) is not None:
            odd_tags.append(tag)
    return odd_tags[0] if len(odd_tags) == 1 else ""


def _is_glued(tag: str, tags: Collection[str]) -> bool:
    """Whether a tag is one of two such as BPER and IPER."""
    return tag[0] in "BI" and len(tag) > 1 and {f"B{tag[1:]}", f"I{tag[1:]}"} <= set(tags)


def type_of_bare_tag(tag: str, seqeval: str) -> str:
    """The type of a tag as a version of seqeval reads it.

    Args:
        tag: Any tag.
        seqeval: A version.
    """
    if seqeval.startswith("0."):
        return tag.rsplit("-", maxsplit=1)[-1]
    return tag[1:].split("-", maxsplit=1)[-1] or "_"
