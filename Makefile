# Every target sets itself up on a fresh machine. `make help` lists them.
PYTHON ?= python3
SEEDS ?= 1
OUTPUT ?= runs/demo
BIN := .venv/bin
READY := .venv/.ready
DEMO := --preset demo --intermediate none mnli squad_v1 --targets xnli udpos xquad tatoeba
BENCHMARKS := train sparse_embeddings mlm features decoding layers evaluate attention dropout breakdown

.PHONY: help demo encoder test test-fast coverage check format docs site notebooks package oldest newest soak bench parity published clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## run the recipe on the artificial world (SEEDS=1, OUTPUT=runs/demo)
	@echo "The demo takes about two minutes per seed on two idle cores."
	$(BIN)/python examples/intermediate_then_target.py $(DEMO) --seeds $(SEEDS) --output $(OUTPUT)

encoder: $(READY)  ## make the encoder that the package ships (10 minutes on one idle core)
	OMP_NUM_THREADS=1 $(BIN)/python -m jiantx.synthetic.pretraining jiantx/synthetic/synthetic-encoder

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-fast: $(READY)  ## run the tests that take less than a second each
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not slow"

coverage: $(READY)  ## run all tests and list the lines of jiantx that none of them runs
	$(BIN)/pip install --quiet --disable-pip-version-check pytest-cov
	$(BIN)/python -m pytest --cov=jiantx --cov-report=term-missing:skip-covered

check: $(READY)  ## check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## write the pages of docs/ that come from the code: tasks, encoders, arguments, flags
	$(BIN)/python docs/make_tasks.py
	$(BIN)/python docs/make_encoders.py
	$(BIN)/python docs/make_trainer_arguments.py
	$(BIN)/python docs/make_recipe_flags.py
	$(BIN)/python docs/make_results.py
	$(BIN)/python docs/make_pictures.py

site: $(READY)  ## build the docs site in build/site; a broken link is an error
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build

notebooks: $(READY)  ## run the notebooks of docs/start and keep what they print
	for name in first_hour papers_table; do $(BIN)/python docs/run_notebook.py docs/start/$$name.ipynb || exit 1; done

package: $(READY)  ## build the wheel and the source archive in dist/
	$(BIN)/pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build

oldest: LOWEST = $(shell sed -n '/^install_requires/,/^$$/s/^ *\(.*\)>=/\1==/p' setup.cfg)
oldest:  ## run all tests with the lowest versions that setup.cfg allows
newest:  ## run all tests with the newest versions
oldest newest:
	$(PYTHON) -m venv --clear .venv-$@
	.venv-$@/bin/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	.venv-$@/bin/pip install --quiet --disable-pip-version-check $(LOWEST) --editable '.[test]'
	.venv-$@/bin/python -m pytest

soak: $(READY)  ## hundreds of kills and disk errors, 100,000s of damaged inputs (an hour; half of it needs atheris)
	SOAK=1 $(BIN)/python -m pytest -s tests/test_reliability.py
	$(BIN)/python tests/fuzz/soak.py

bench: $(READY)  ## measure speed and memory beside other libraries, on an idle machine
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

parity: $(READY)  ## print the table of docs/parity.md
	$(BIN)/python -m tests.parity

published: $(READY)  ## print the table of docs/published.md (needs the encoder and Tatoeba)
	$(BIN)/python -m tests.published

clean:  ## remove environments and runs
	rm -rf .venv .venv-* runs

# torch first and alone: a version range would fetch the newest build with all of CUDA
$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[plots,lora,test,check]'
	touch $(READY)
