# `make map` and `make test` need Python 3.11+ with venv, make and the network, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

export DO_NOT_TRACK := 1
export UV_SYSTEM_CERTS := 1
export PREFECT_HOME := $(CURDIR)/.venv/prefect

.PHONY: map test lint bench clean

map: $(READY)  ## simulate a small archive and map it: Prefect embedded, Dask local
	@$(BIN)/python -m flows demo --period 2024-06 --out work

# Two processes that share two cores; one that dies is not begun anew: xdist would run its file again and again.
test: export OMP_NUM_THREADS := 1
test: $(READY)  ## run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## measure the regional map and the simulation: seconds, memory, same bytes
	$(BIN)/python -m benchmarks.regional_map
	$(BIN)/python -m benchmarks.simulation

# torch comes first and by pip, which finds builds without CUDA where such are at hand.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

clean:  ## remove results, keep the environment
	rm -rf work
