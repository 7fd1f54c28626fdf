# make demo    watch a day's experiment with two emulated cameras, from start to verified archives
# make test    run the tests of daily work, below ten minutes; TESTS=ci: those that CI runs, TESTS=all: the slow ones, too
# make faults  run every row of what must be survived, the slow ones too, and print the table of them
# make molecule    run every role's scenario on emulated hosts, and print each one's time; MOLECULE="recording status": some
# make mutations   break the product on purpose, one promise at a time, and see the rows that guard it turn red
# make fuzz    send the product's readers what no camera ever sent, for a minute each
# make lint    run the linters
# make sanity  build the collection and put it before Ansible's own tools: ansible-test, antsibull, galaxy-importer
# make bench   measure beside floors and limits, within the hour; BENCH=list: what there is, BENCH="two-80 tail": some
# make bench-report   make docs/speed.md and its plot of what `make bench` has measured
# make docs    make a site of the documentation, with the reference of all settings: build/docs/html/index.html
# make lab-up, make lab-down    emulated cameras and an orchestrator to try things on (LAB="--cameras 4 …")
# make clean   remove what all of these made

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test faults molecule mutations fuzz lint sanity bench bench-report docs lab-up lab-down clean

VENV := .venv/bin
IN_TESTS := PYTHONPATH=collections:tests $(VENV)/python
OURS := conftest.py extensions plugins roles tests
LAB ?= --cameras 2 --orchestrator bookworm
TESTS ?= daily
MARKED_daily := not ci and not slow
MARKED_ci := not slow
MARKED_all := ci or not ci
$(if $(MARKED_$(TESTS)),,$(error TESTS=$(TESTS): daily, ci or all))

help:
	@sed -n 's/^# \(make.*\)/  \1/p' Makefile

setup:
	@tests/setup.sh

demo: setup
	@$(IN_TESTS) -m lab.demo

# Two at a time, each with a lab of its own: the kernel's 128 inotify instances last for twenty hosts.
test: setup
	@$(VENV)/python -m pytest --numprocesses=2 --dist=worksteal --cov --cov-report=term:skip-covered -m "$(MARKED_$(TESTS))" \
		$(PYTEST_ARGS)

faults: setup
	@$(VENV)/python -m pytest --numprocesses=2 --dist=worksteal -m row $(PYTEST_ARGS)

molecule: setup
	@$(IN_TESTS) -m scenarios $(MOLECULE)

mutations: setup
	@$(IN_TESTS) -m faults.mutations $(MUTATIONS)

fuzz: setup
	@PYTHONPATH=collections:tests $(VENV)/python -m fuzz --seconds 60

lint: setup
	$(VENV)/ruff check $(OURS)
	$(VENV)/ruff format --check $(OURS)
	$(VENV)/mypy -p ansible_collections.wildberryeye.orchestrator.plugins
	$(VENV)/mypy tests
	$(VENV)/mypy conftest.py
	$(VENV)/mypy extensions/molecule/alerts/sink.py
	$(VENV)/mypy roles/heartbeat/files/heartbeat.py roles/heartbeat/files/remedy.py
	$(VENV)/mypy roles/alerts/files/sender.py roles/alerts/files/deliver.py roles/alerts/files/run_ended.py
	$(VENV)/mypy roles/live_page/files/live_page.py roles/live_page/files/time_line.py
	$(VENV)/yamllint --strict .
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/ansible-lint --offline --profile production
	@if command -v shellcheck >/dev/null; then shellcheck tests/setup.sh tests/bench/by_hand.sh .ci/run roles/image_collection/files/*; fi

sanity: setup
	@UNITS="$(UNITS)" $(IN_TESTS) -m ecosystem $(SANITY)

bench: setup
	@$(IN_TESTS) -m bench $(BENCH)

bench-report: setup
	@$(IN_TESTS) -m bench.report

# From a copy, in which the reference lies beside the pages; links lead from page to page as they do here.
docs: setup
	rm -rf build/docs && mkdir -p build/docs/source/reference
	cp -r ansible.cfg docs inventory LICENSE build/docs/source/
	cp README.md build/docs/source/index.md
	ANSIBLE_COLLECTIONS_PATH=collections PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/antsibull-docs collection --use-current \
		--squash-hierarchy --fail-on-error --no-breadcrumbs --dest-dir build/docs/source/reference wildberryeye.orchestrator
	$(VENV)/sphinx-build --quiet --nitpicky --fail-on-warning --keep-going -d build/docs/read -c docs \
		build/docs/source build/docs/html
	@echo "docs: build/docs/html/index.html"

lab-up: setup
	@$(IN_TESTS) -m lab up $(LAB)

lab-down: setup
	@$(IN_TESTS) -m lab down

clean:
	@if [ -x $(VENV)/python ]; then $(IN_TESTS) -m lab down; fi
	rm -rf build .venv collections/ansible_collections/ansible .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
