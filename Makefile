# make run    track network usage here and now
# make test   everything: system packages (as root on Debian), linters, the built wheel, every test
# make check  linters and unit tests but the longest, under a minute
# make search look for histories that no test knows yet, for some minutes
# make bench  speed against vnstat, psutil, pyroute2 and nethogs, and of the page; writes bench/RESULTS.md
# make bpf    the programs for the kernel, from C into the package; needs clang, bpftool and libbpf's headers
# make pictures  the pictures in docs/pictures, from a real page; needs chromium
# make docs   the command reference and the man pages, from the same source as the help

VENV ?= .venv
TEST_VENV ?= .venv-test
# the newest Python that is there and new enough
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
PIP_FLAGS = --quiet --disable-pip-version-check -c constraints.txt
ROOT_ON_DEBIAN := $(shell [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ] && echo yes)
BPF_PACKAGES = clang bpftool libbpf-dev
# a Node.js from elsewhere brings its own npm, beside which Debian's cannot be
PAGE_PACKAGES = chromium fonts-dejavu-core $(shell command -v npm >/dev/null 2>&1 || echo npm)
# systemd would start them as services, some for everybody to reach: only where it does not run
MONITORING_PACKAGES = $(shell [ -d /run/systemd/system ] || echo prometheus prometheus-node-exporter)
FLEET_PACKAGES = $(shell [ -d /run/systemd/system ] || echo clickhouse-server) zookeeper openssl
TEST_PACKAGES = tzdata iproute2 nftables mount util-linux procps systemd groff zsh fish $(BPF_PACKAGES) $(PAGE_PACKAGES) \
	$(MONITORING_PACKAGES) $(FLEET_PACKAGES) vnstat jq
# what looks at the page as somebody does who cannot see it; the tests of the page ask for it
AXE = build/node/node_modules/axe-core/axe.min.js
BENCH_PACKAGES = iproute2 vnstat nethogs chromium

# one more than there are processors, since tests wait for processes much of the time; four at the most
WORKERS = $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ $$n -lt 4 ] && echo $$((n + 1)) || echo 4)

# Every worker of the tests, and every process that they start, would compile all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check lint unit search bench bpf docs pictures clean system-packages python

run: $(VENV)/installed
	@$(VENV)/bin/python app.py; code=$$?; [ $$code = 130 ] || exit $$code

python:
	@[ -n "$(PYTHON)" ] || { echo "netusage: Python 3.11 or newer is needed; install it, or name it: make run PYTHON=..." >&2; exit 1; }

# Debian splits venv off Python.
define new_venv
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$(ROOT_ON_DEBIAN)" = yes ]; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo "netusage: Python's venv is missing; on Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 1; fi; }
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install $(PIP_FLAGS) --upgrade pip  # commands that an old one installs start more slowly
endef

# what a target needs of the system, where it may be installed
define debian_packages
	@[ "$(ROOT_ON_DEBIAN)" != yes ] || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	  --no-install-recommends $(1) >/dev/null; }
endef

$(VENV)/installed: pyproject.toml constraints.txt | python
	$(call new_venv,$(VENV))
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) -e .
	@touch $@

$(VENV)/developed: $(VENV)/installed
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) -e '.[test,check]'
	@touch $@

check: lint unit

define linters
	$(1)/bin/ruff check .
	$(1)/bin/ruff format --check .
	$(1)/bin/mypy
	$(1)/bin/lint-imports --no-cache
endef

lint: $(VENV)/developed
	$(call linters,$(VENV))

# ledgers wait for their disk at every commit, which is nothing that a unit test is about
unit: IN_MEMORY = $(if $(wildcard /dev/shm),TMPDIR=/dev/shm)
unit: $(VENV)/developed
	$(IN_MEMORY) $(VENV)/bin/python -m pytest -q -n auto -p no:schemathesis -m 'not system and not thorough'

# The suite runs against the wheel, not against the checkout.
test: system-packages $(AXE)
	rm -rf dist $(TEST_VENV)
	$(call new_venv,$(TEST_VENV))
	$(TEST_VENV)/bin/python -m pip install $(PIP_FLAGS) build
	$(TEST_VENV)/bin/python -m build --wheel --outdir dist .
	$(TEST_VENV)/bin/python -m pip install $(PIP_FLAGS) "$$(echo dist/*.whl)[test,check]"
	$(call linters,$(TEST_VENV))
	NETUSAGE_HYPOTHESIS=thorough $(TEST_VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadfile -m 'not alone'
	NETUSAGE_HYPOTHESIS=thorough $(TEST_VENV)/bin/python -m pytest -q -m alone

$(AXE):
	@! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --prefix build/node axe-core@4.14.1

system-packages: python
	$(call debian_packages,$(TEST_PACKAGES))

search: $(VENV)/developed
	NETUSAGE_HYPOTHESIS=search $(VENV)/bin/python -m pytest -q tests/test_any_history_adds_up.py

bench: $(VENV)/developed
	$(call debian_packages,$(BENCH_PACKAGES))
	@$(VENV)/bin/python -m pip install $(PIP_FLAGS) -e '.[bench]'
	$(VENV)/bin/python bench/run.py --write bench/RESULTS.md

pictures: $(VENV)/developed
	$(call debian_packages,$(PAGE_PACKAGES))
	$(VENV)/bin/python tests/web/page/pictures.py docs/pictures

bpf: python
	$(call debian_packages,$(BPF_PACKAGES))
	$(PYTHON) bpf/build.py

docs: $(VENV)/developed
	$(VENV)/bin/netusage manpages build/man --reference docs/reference.md

clean:
	rm -rf $(VENV) $(TEST_VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
