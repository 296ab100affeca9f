# `make demo` and `make test` set themselves up on a fresh machine.
PYTHON ?= python3
SEEDS ?= 1
OUTPUT ?= runs/demo
BIN := .venv/bin
READY := .venv/.ready
DEMO := --intermediate none mnli squad_v1 --targets xnli pawsx udpos panx xquad tatoeba --intermediate.max_steps 400 --target.max_steps 100

.PHONY: demo test oldest newest check docs bench soak clean

demo: $(READY)
	$(BIN)/python examples/intermediate_then_target.py $(DEMO) --seeds $(SEEDS) --output $(OUTPUT)

test: $(READY)
	$(BIN)/python -m pytest

# the suite with the lowest versions that setup.cfg admits, or with the newest there are, in a fresh environment
oldest: LOWEST = $(shell sed -n '/^install_requires/,/^$$/s/^ *\(.*\)>=/\1==/p' setup.cfg)
oldest newest:
	$(PYTHON) -m venv --clear .venv-$@
	.venv-$@/bin/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	.venv-$@/bin/pip install --quiet --disable-pip-version-check $(LOWEST) --editable '.[test]'
	.venv-$@/bin/python -m pytest

# kills and failing disks by the hundred, damaged inputs by the hundred thousand: an hour; needs atheris for half of it
soak: $(READY)
	SOAK=1 $(BIN)/python -m pytest -s tests/test_reliability.py
	$(BIN)/python tests/fuzz/soak.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/make_tasks.py

# each prints its tables, and all but parity write bench/results/; faiss for mining is fetched apart, see bench/mining.py
bench: $(READY)
	for name in parity train mlm features decoding layers evaluate attention breakdown; do $(BIN)/python bench/$$name.py || exit 1; done

# torch first and alone: a range would draw the newest build with all of CUDA
$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[plots,lora,test,check]'
	touch $(READY)

clean:
	rm -rf .venv .venv-* runs
