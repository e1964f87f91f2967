# Everything from nothing but Python 3.11 or newer. PIP_ARGS go to pip, for example
#   make demo PIP_ARGS="--index-url ..."     to choose another build of torch
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_ARGS ?=

.PHONY: demo studio test docs wheel sbom bench bench-full format clean

demo: $(VENV)/.installed
	$(BIN)/styleloom demo

studio: $(VENV)/.installed-studio
	$(BIN)/styleloom studio

test: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal

docs: $(VENV)/.installed-docs
	MPLBACKEND=Agg $(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

wheel: $(BIN)/python
	$(BIN)/pip install --disable-pip-version-check -q $(PIP_ARGS) build
	rm -rf dist && $(BIN)/python -m build -q
	$(PYTHON) recipes/smoke.py dist $(PIP_ARGS)

sbom: $(VENV)/.installed
	$(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/pip install --disable-pip-version-check -q $(PIP_ARGS) cyclonedx-bom
	mkdir -p dist && $(VENV)-sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library -o dist/sbom.json $(BIN)/python

bench: $(VENV)/.installed-dev
	$(BIN)/pytest benchmarks/timed.py -p no:xdist --benchmark-json benchmarks/results/timed.json --benchmark-columns median,min,max
	$(BIN)/python -m benchmarks.all

bench-full: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.all --full

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-sbom styleloom-demo dist docs/_build docs/arc docs/made

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("StyleLoom needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# PyTorch first: uv knows which build fits the machine, that for its CUDA, or for none, which is a tenth of the size. Where uv
# cannot fetch it, pip takes what it finds.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@test -n '$(PIP_ARGS)' || $(BIN)/python -c 'import torch' 2>/dev/null || { $(BIN)/pip install --disable-pip-version-check -q -c constraints.txt uv \
		&& $(BIN)/uv pip install -q --python $(BIN)/python --torch-backend auto -c constraints.txt torch 2>/dev/null; } \
		|| echo 'uv could not fetch the build of PyTorch for this machine; pip takes the one it finds'
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS) -e .
	touch $@

$(VENV)/.installed-studio: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS) -e '.[studio]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS) -e '.[docs]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt $(PIP_ARGS) -e '.[dev]'
	touch $@
