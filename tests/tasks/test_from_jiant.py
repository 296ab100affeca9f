"""jiant's names: aliases of tasks, and the page that lists all 86."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import jiantx as jx
from jiantx.experiments.recipe_checks import check_plan
from jiantx.sources import Rows
from jiantx.tasks import ALIASES, TASKS

PAGE = Path(__file__).parents[2] / "docs" / "from_jiant.md"


def listed() -> dict[str, tuple[str, str]]:
    """jiant's name -> (our task or "–", what is said), from the table of tasks."""
    section = PAGE.read_text(encoding="utf-8").partition("## Tasks")[2]
    rows = re.findall(r"^\| `(\w+)` \| `?([\w–]+)`? \|(.*)\|$", section, re.MULTILINE)
    return {name: (task, text.strip()) for name, task, text in rows}


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_names_a_registered_task(alias: str, name: str) -> None:
    assert alias not in TASKS
    assert jx.get_task(alias) is jx.get_task(name)


def test_a_registered_task_comes_before_an_alias() -> None:
    mine = jx.Classification(name="socialiqa", source=Rows({"train": []}), labels=("a",))
    jx.register(mine)
    try:
        assert jx.get_task("socialiqa") is mine
    finally:
        del TASKS._values["socialiqa"]
    assert jx.get_task("socialiqa").name == "siqa"


def test_aliases_work_wherever_names_do() -> None:
    from jiantx.tasks import resolve_tasks

    assert [task.name for task in resolve_tasks(["squad", "mlm_simple"])] == ["squad_v1", "mlm"]
    assert not set(ALIASES) & set(jx.list_tasks())


def test_a_recipe_s_settings_are_under_the_task_s_own_name(tmp_path: Path) -> None:
    """Settings under an alias would be those of no task."""
    by_task = {"socialiqa": {"learning_rate": 1e-5}}
    recipe = jx.experiments.Recipe(encoder="an encoder", output=tmp_path, by_task=by_task)
    with pytest.raises(ValueError, match=r"by_task names 'socialiqa', an alias\. Write 'siqa'"):
        check_plan(recipe, ())


def test_the_page_lists_all_86_names() -> None:
    assert len(listed()) == 86


@pytest.mark.parametrize("name", listed())
def test_every_name_of_the_page_resolves_or_has_a_reason(name: str) -> None:
    task, text = listed()[name]
    if task == "–":
        assert len(text) > 20
        with pytest.raises(LookupError):
            jx.get_task(name)
    else:
        assert jx.get_task(name) is jx.get_task(task)


def test_all_tasks_that_the_page_names_in_its_texts_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = set(
        re.findall(r"`((?:panx|udpos|universal_ner|masakhaner2|race|quail|squad_v\d)\w*)`", text)
    )
    assert names and names <= set(TASKS)
