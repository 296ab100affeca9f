"""A row of the table names intermediate tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

import jiantx as jx


def names_and_languages(row: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(task.name, task.train_languages) for task in jx.experiments.parse_row(row)]


def test_rows_name_tasks_and_languages() -> None:
    assert names_and_languages("none") == []
    tasks = names_and_languages("mnli[en, de]+squad_v1")
    assert tasks == [("mnli", ("en", "de")), ("squad_v1", ("en",))]


def test_all_names_the_nine_tasks_of_the_paper() -> None:
    names = [task.name for task in jx.experiments.parse_row("all")]
    assert names == list(jx.XSTILTS_INTERMEDIATE)
    assert len(jx.experiments.parse_row("all+mlm")) == 10


def test_plain_text_trains_in_all_languages_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "mlm").mkdir()
    for language in ("en", "sw"):
        (tmp_path / "mlm" / f"{language}.train.txt").write_text("some text\n")
    jx.data_root(tmp_path)
    assert jx.experiments.parse_row("mnli+mlm")[1].train_languages == ("en", "sw")
    assert jx.experiments.parse_row("mnli+mlm[sw]")[1].train_languages == ("sw",)


@pytest.mark.parametrize(
    "text", ["", "mnli+", "mnli[", "mnli[]", "mnli]de[", "MNLI", "mnli+mnli", "all+mnli"]
)
def test_texts_that_are_no_rows_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no row|names mnli twice"):
        jx.experiments.parse_row(text)


def test_an_unknown_task_is_refused_with_a_suggestion() -> None:
    with pytest.raises(LookupError, match="mnli"):
        jx.experiments.parse_row("mnlli")
