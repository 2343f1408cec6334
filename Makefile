# make render   set up what is missing, render a Cornell box with 4 mcrts
# make test     set up what is missing, run the fast tests
# make check    everything: what CI runs, and the slow tests
# PYTHON=...    the Python to make .venv with (3.11 or newer); default: the first that is found

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.arras-ray-ready
SCENE ?= scenes/cornell_box.rdla
NAME = $(basename $(notdir $(SCENE)))
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Tests start hundreds of processes; without bytecode each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup render lint kernels kernels-slow-twins before-tests tests-with-ray tests-without-ray test test-all check clean

help:
	@sed -n 's/^# //p' Makefile

setup: $(READY)

$(READY): pyproject.toml constraints.txt .ci/find-python
	@python="$$(.ci/find-python)" || exit 1; \
	test -x $(BIN)/python || { echo "making $(VENV) with $$python"; "$$python" -m venv $(VENV); }
	@echo "installing (about 250 MB to fetch the first time)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@

render: $(READY)
	@mkdir -p render
	@$(BIN)/arras-ray render $(SCENE) --num-mcrt 4 -o render/$(NAME).exr -o render/$(NAME).png
	@echo "The picture: $(CURDIR)/render/$(NAME).png (and .exr)"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy arras_ray

# Compiled here, once, and not by every process that tests run in.
kernels: $(READY)
	$(BIN)/arras-ray warm

# The kernels as plain Python: the same tests, tiny inputs, no compiler in between.
kernels-slow-twins: $(READY)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -m "not slow" tests/kernels

before-tests: $(READY)
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint kernels kernels-slow-twins

# Tests that start a Ray wait for it much of the time, and are watched by the clock: the others, which only compute, take
# what those leave of the processors.
WITH_RAY := tests/actors tests/cli/ray
WITHOUT_RAY := $(WITH_RAY:%=--ignore=%) -n logical --maxprocesses 8
FAST := -m "not slow"

# Clusters of several nodes want a process that has had no other Ray.
FARMS := tests/actors/test_mixed_nodes.py tests/actors/test_node_loss.py

test: before-tests
	@$(MAKE) --no-print-directory -j2 tests-with-ray tests-without-ray SELECTED='$(FAST)'

tests-with-ray: $(READY)
	$(BIN)/python -m pytest -q $(SELECTED) $(WITH_RAY) $(FARMS:%=--ignore=%)

tests-without-ray: $(READY)
	@echo "beside them, told at their end: $(BIN)/python -m pytest -q $(SELECTED) $(WITHOUT_RAY)"
	@told=$$(nice -n 19 $(BIN)/python -m pytest -q $(SELECTED) $(WITHOUT_RAY) 2>&1); code=$$?; echo "$$told"; exit $$code

test-all check: before-tests
	@$(MAKE) --no-print-directory -j2 tests-with-ray tests-without-ray
	$(BIN)/python -m pytest -q $(FARMS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
