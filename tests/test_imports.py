"""The tree: imports run upwards only, and the door opens no heavy library."""

from __future__ import annotations

import ast
import operator
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import jiantx

PACKAGE = Path(jiantx.__file__).parent
DOOR: Any = jiantx  # with names that `__init__.pyi` does not show
# From the ground up. `test_no_cycles` sees to the order within a storey and within a package.
STOREYS = [
    "registry fields metrics sampling cache fingerprints nearest_neighbors attention "
    "attention_blocks attention_products encoder_traits half_precision progress_bars".split(),
    "sources report checkpoints".split(),
    "columns example".split(),
    "labels_in_data dataset_summary".split(),
    ["task_rows"],
    ["task"],
    "tokenization feature_columns".split(),
    ["task_types"],
    ["tasks", "features"],
    "batching heads".split(),
    "model losses".split(),
    "inference grouping scoring prediction_rows error_views layer_sweeps stored_states".split(),
    "evaluation run_record trainer_arguments sentence_vectors".split(),
    ["negatives"],
    "resuming trainer_setup trainer_card trainer_best trainer_embeddings trainer_losses training_bar "
    "trainer_step_pool trainer_groups trainer_evaluation trainer_search".split(),
    "trainer xtreme glue wrong_predictions".split(),
    ["probing", "predictor", "auto_classes"],
    ["synthetic"],
    ["experiments"],
    ["command", "__main__"],
    ["__init__"],
]
STOREY = {name: level for level, names in enumerate(STOREYS) for name in names}
TORCH_FROM = STOREY["batching"]
TORCH_BELOW = {
    "nearest_neighbors",
    "attention",
    "attention_blocks",
    "attention_products",
    "encoder_traits",
    "half_precision",
}  # tensors in, tensors out: they import nothing of ours
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def family(module: str) -> str:
    """tasks.nli -> tasks"""
    return module.partition(".")[0]


@cache
def imports(path: Path) -> list[tuple[str, bool, bool]]:
    """(module, inside a function, only for type checkers) of every import of a file."""
    actual: list[tuple[str, bool, bool]] = []

    def visit(node: ast.AST, inside: bool, typing: bool) -> None:
        if isinstance(node, ast.Import):
            actual.extend((alias.name, inside, typing) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            if (
                path.name != "__init__.py" or path.parent != PACKAGE
            ):  # the door names modules it does not know
                actual.append((ast.literal_eval(node.args[0]), inside, typing))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            actual.extend((f"{node.module}.{alias.name}", inside, typing) for alias in node.names)
        inside |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        typing |= isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            visit(child, inside, typing)

    visit(ast.parse(path.read_text(encoding="utf-8")), False, False)
    return actual


def ours(name: str) -> str | None:
    """jiantx.task_types.retrieval.Retrieval -> task_types.retrieval; None for others' modules."""
    items = name.split(".")
    if items[0] != "jiantx" or len(items) == 1:
        return None
    items = items[1:]
    while items and not (
        PACKAGE.joinpath(*items).with_suffix(".py").exists() or PACKAGE.joinpath(*items).is_dir()
    ):
        items.pop()
    return ".".join(items) or None


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_run_upwards(path: Path) -> None:
    inside = family(module_of(path))
    assert inside in STOREY, f"{path.name} has no storey: give it one"
    if inside == "__init__":
        return  # resolved on first use
    for name, _, typing in imports(path):
        remote = ours(name)
        if remote is None or typing or family(remote) == inside:
            continue
        assert STOREY[family(remote)] <= STOREY[inside], f"{inside} imports {remote}"


def test_no_cycles() -> None:
    """Also among the modules of one family, and with imports inside functions."""
    graph = {}
    for path in FILES:
        inside = module_of(path).removesuffix(".__init__")
        actual = {ours(name) for name, _, typing in imports(path) if not typing} - {None, inside}
        graph[inside] = {name for name in actual if name}
    graph.pop("__init__")
    left = dict(graph)
    while left:
        free = [name for name, needs in left.items() if not needs & set(left)]
        assert free, f"a cycle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in FILES
        if STOREY.get(family(module_of(path)), 99) < TORCH_FROM
        and family(module_of(path)) not in TORCH_BELOW
    ],
    ids=module_of,
)
def test_torch_only_from_batching_up(path: Path) -> None:
    heavy = ("torch", "accelerate", "peft")
    used = {name.split(".")[0] for name, _, typing in imports(path) if not typing}
    assert not used & set(heavy)
    at_once = {
        name.split(".")[0] for name, inside, typing in imports(path) if not (typing or inside)
    }
    assert not at_once & {"transformers", "datasets", "tokenizers", "huggingface_hub"}, (
        "inside functions only"
    )


def test_there_is_no_utils() -> None:
    assert not [
        path
        for path in FILES
        if path.stem.strip("_") in ("utils", "util", "helpers", "common", "misc")
    ]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = "[m for m in ('torch', 'transformers', 'datasets', 'pandas', 'matplotlib', 'sklearn') if m in sys.modules]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "jiantx.get_task('xnli').replace(name='mine').label_names",
        "jiantx.list_tasks(); jiantx.Hub('a/b'); jiantx.Sampling(); jiantx.Report",
        "dir(jiantx); jiantx.__version__",
    ],
)
def test_the_door_is_light(code: str) -> None:
    assert run(f"import sys, jiantx; {code}; print({HEAVY})") == "[]"


@pytest.mark.slow
def test_the_library_is_opened_at_the_first_look_up() -> None:
    assert (
        run("import sys, jiantx; jiantx.Classification; print('jiantx.tasks' in sys.modules)")
        == "False"
    )
    assert (
        run("import sys, jiantx; jiantx.get_task('xnli'); print('jiantx.tasks' in sys.modules)")
        == "True"
    )


@pytest.mark.slow  # for Trainer, which opens accelerate
@pytest.mark.parametrize("name", DOOR.__all__)
def test_public_names_resolve(name: str) -> None:
    value = getattr(jiantx, name)
    assert value is getattr(jiantx, name) and name in dir(jiantx)
    if callable(value):
        assert value.__name__ == name and value.__doc__


def test_names_for_type_checkers_are_the_public_ones() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    modules = {}
    for node in imported:
        for alias in node.names:
            if alias.asname:  # a stub passes no other import on
                modules[alias.asname] = node.module
    submodules = {name for name, module in modules.items() if module == "jiantx"}
    assert {"__version__", *modules} - submodules == set(DOOR.__all__)
    for name in set(modules) - submodules:
        assert modules[name] == f"jiantx.{DOOR._MODULE_OF[name]}"
    for name in submodules:
        assert getattr(jiantx, name).__name__ == f"jiantx.{name}"


@pytest.mark.slow
def test_modules_resolve_before_any_other_name_was_used() -> None:
    code = (
        "import jiantx as jx; print(jx.metrics.accuracy.__name__, jx.experiments.Recipe.__name__)"
    )
    assert run(code) == "accuracy Recipe"


@pytest.mark.parametrize("name", DOOR._DEPRECATED)
def test_an_old_name_works_and_names_the_new_one(name: str) -> None:
    new_name = DOOR._DEPRECATED[name]
    with pytest.warns(DeprecationWarning, match=f"jiantx.{name} is now jiantx.{new_name}"):
        value = getattr(jiantx, name)
    assert value is operator.attrgetter(new_name)(jiantx)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'jiantx' has no attribute 'Clasification'"):
        DOOR.Clasification  # noqa: B018
