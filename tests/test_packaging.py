"""What is installed: all of the package, nothing else, and it runs without the extras."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMOKE = """
import sys
import jiantx as jx

for extra in ("matplotlib", "peft"):
    sys.modules[extra] = None  # as if it were not installed
rows = [{"text": "the brave clerk.", "label": "praise"}, {"text": "the weak raft.", "label": "blame"}]
task = jx.Classification(
    name="reviews", source=jx.Rows({"validation": rows}), labels=("praise", "blame")
)
model = jx.MultitaskModel.from_pretrained(jx.default_encoder(), [task])
print(jx.__file__, jx.evaluate(model, task).to_markdown(), len(jx.predict(model, task, rows)))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive and the wheel, built from the files that git tracks."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    if not listed:
        pytest.skip("needs a git checkout")
    for name in listed:
        if name.startswith(("jiantx/", "setup.cfg", "pyproject.toml", "README", "LICENSE")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    (copy / "tests").mkdir()  # must stay out
    (copy / "tests" / "__init__.py").touch()
    code = (
        "from setuptools.build_meta import build_sdist, build_wheel; "
        "print(build_sdist('out'), build_wheel('out'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (sdist,) = (copy / "out").glob("*.tar.gz")
    (wheel,) = (copy / "out").glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
def test_archives_hold_the_package_and_nothing_else(archives) -> None:
    sdist, wheel = archives
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "jiantx").rglob("*.py")}
    assert modules <= names
    assert {"jiantx/py.typed", "jiantx/__init__.pyi"} <= names
    assert any(name.endswith("synthetic-encoder/model.safetensors") for name in names)
    assert any(name.endswith("LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"jiantx"}
    with tarfile.open(sdist) as archive:
        archived = archive.getnames()
    weights = "/jiantx/synthetic/synthetic-encoder/model.safetensors"
    assert any(name.endswith(weights) for name in archived)


@pytest.mark.slow
def test_wheel_runs_without_the_extras(archives, tmp_path) -> None:
    zipfile.ZipFile(archives[1]).extractall(tmp_path / "site")
    result = subprocess.run(
        [sys.executable, "-c", SMOKE],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(tmp_path))
    assert "reviews" in result.stdout
