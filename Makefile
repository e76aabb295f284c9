# Everything a newcomer needs: `make demo` and `make test`. Each environment is made on first use under .venvs/.
PYTHON ?= python3
VENVS := .venvs
UV := $(VENVS)/tools/bin/uv
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy

CORE := $(VENVS)/core
AIRFLOW := $(VENVS)/airflow
AIRFLOW_2 := $(VENVS)/airflow-2.11
PREFECT := $(VENVS)/prefect
BLENDER := $(VENVS)/blender
SDK := $(VENVS)/sdk
POVRAY := $(VENVS)/povray

DOCS := $(VENVS)/docs

.PHONY: help demo test docs core airflow airflow-2.11 prefect blender povray clean
help:
	@echo "make demo   quote, approve, render on the emulator, from an Airflow DAG (ORCHESTRATOR=prefect: a Prefect flow)"
	@echo "make test   every test, lint and types"
	@echo "make check  lint, types and the quick tests of the core: two minutes"
	@echo "make docs   the documents with a page for every operator, task and block, as a site: build/site/index.html"
	@echo "make bench  us and the peers on the same work: ratios of CPU time, and whether each goal is reached"
	@echo "make matrix the examples, deferred jobs, kills, marks and clears on Airflow 2.11, 3.0, 3.1 and 3.2"
	@echo "make matrix-prefect the examples, a job, a cancellation and kills on the oldest and the newest Prefect"
	@echo "make fuzz   what strangers write, at length: FUZZ=3000 inputs for each fuzzer"
	@echo "make clean  remove the environments"

$(UV): constraints/tools.txt
	$(PYTHON) -m venv $(VENVS)/tools
	$(VENVS)/tools/bin/python -m pip install --quiet --disable-pip-version-check -r constraints/tools.txt
	@touch $@

$(CORE)/.made: pyproject.toml constraints/core.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(CORE)
	$(UV) pip install --quiet --python $(CORE)/bin/python -c constraints/core.txt -e '.[emulator,pictures,ssh]' --group test --group lint --group rooms --group demo --group film
	@touch $@

$(AIRFLOW)/.made: pyproject.toml constraints/airflow.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(AIRFLOW)
	$(UV) pip install --quiet --python $(AIRFLOW)/bin/python -c constraints/airflow.txt -e '.[airflow,openlineage,emulator,pictures,ssh]' --group test --group demo --group lint --group film
	@touch $@

$(AIRFLOW_2)/.made: pyproject.toml constraints/airflow-2.11.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(AIRFLOW_2)
	$(UV) pip install --quiet --python $(AIRFLOW_2)/bin/python -c constraints/airflow-2.11.txt -e '.[airflow,openlineage,emulator,pictures,ssh]' --group test --group demo --group film
	@touch $@

$(PREFECT)/.made: pyproject.toml constraints/prefect.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(PREFECT)
	$(UV) pip install --quiet --python $(PREFECT)/bin/python -c constraints/prefect.txt -e '.[prefect,emulator,pictures,ssh]' --group test --group demo --group lint --group film
	@touch $@

$(BLENDER)/.made: constraints/blender.txt demo/blender_environment.py $(UV)
	@$(PYTHON) demo/blender_environment.py $(BLENDER) --uv $(UV) --constraints constraints/blender.txt
	@touch $@

$(POVRAY)/.made: tests/povray_environment.py
	@$(PYTHON) tests/povray_environment.py $(POVRAY)
	@touch $@

$(DOCS)/.made: constraints/docs.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(DOCS)
	$(UV) pip install --quiet --python $(DOCS)/bin/python -r constraints/docs.txt
	@touch $@

# make demo ORCHESTRATOR=prefect; KEEP=1 leaves the orchestrator up at the end
ORCHESTRATOR ?= airflow
ifeq ($(filter $(ORCHESTRATOR),airflow prefect),)
$(error ORCHESTRATOR=$(ORCHESTRATOR) is neither airflow nor prefect)
endif
demo: $(VENVS)/$(ORCHESTRATOR)/.made $(BLENDER)/.made
	@$(VENVS)/$(ORCHESTRATOR)/bin/python -m demo.run --orchestrator $(ORCHESTRATOR) \
		--blender-python $(BLENDER)/bin/python $(if $(KEEP),--keep)

# CHECKS="core airflow" runs only those of tests/all_checks.py
test: $(POVRAY)/.made $(CORE)/.made $(AIRFLOW)/.made $(AIRFLOW_2)/.made $(PREFECT)/.made $(BLENDER)/.made $(SDK)/.made \
		$(DOCS)/.made
	@$(CORE)/bin/python tests/all_checks.py $(CHECKS)

# For every small change: lint, types, and the quick tests of the core
.PHONY: check
check: $(CORE)/.made
	@$(CORE)/bin/python tests/all_checks.py lint format rooms types quick

docs: $(DOCS)/.made
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

core: $(CORE)/.made
airflow: $(AIRFLOW)/.made
airflow-2.11: $(AIRFLOW_2)/.made
prefect: $(PREFECT)/.made
blender: $(BLENDER)/.made
povray: $(POVRAY)/.made

clean:
	rm -rf $(VENVS)

# The campaign against the rental, with the official SDK beside it as the yardstick: make chaos RUNS=1500 SEED=11
# One row of it: make chaos RUNS=60 CHAOS='--fault "one room, two tries"'. The tests run a share of it.
RUNS ?= 3000
SEED ?= 1

$(SDK)/.made: constraints/sdk.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(SDK)
	$(UV) pip install --quiet --python $(SDK)/bin/python -r constraints/sdk.txt
	@touch $@

.PHONY: sdk chaos
sdk: $(SDK)/.made
chaos: $(CORE)/.made $(SDK)/.made
	@$(CORE)/bin/python -m tests.chaos --runs $(RUNS) --seed $(SEED) $(CHAOS)

# Every Airflow 3 between the oldest and the newest, which `make test` runs whole: the example DAGs, the sensor in each
# mode and kills in one process, then deferred jobs, kills, marks and clears with all of Airflow's processes. These on
# 2.11 as well, of which `make test` runs what needs one process.
# make matrix, or make matrix-3.1
MATRIX := 3.0 3.1 3.2
MATRIX_TESTS := $(addprefix tests/airflow/,test_private_names.py test_supervisor.py test_examples_parse.py test_plugin.py \
	test_job_sensor.py test_examples.py test_killed_in_dag_test.py)
MATRIX_ACTS := $(addprefix tests/airflow/e2e/,test_killed.py test_cancelled.py test_triggerers.py)

$(MATRIX:%=$(VENVS)/airflow-%/.made): $(VENVS)/airflow-%/.made: pyproject.toml constraints/airflow-%.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python -c constraints/airflow-$*.txt -e '.[airflow,emulator,pictures,ssh]' --group test --group demo --group film
	@touch $@

.PHONY: matrix matrix-2.11 $(MATRIX:%=matrix-%)
matrix: $(MATRIX:%=matrix-%) matrix-2.11
$(MATRIX:%=matrix-%): matrix-%: $(VENVS)/airflow-%/.made $(BLENDER)/.made
	$(VENVS)/airflow-$*/bin/python -m pytest -q -n 2 --dist loadfile $(MATRIX_TESTS)
	$(VENVS)/airflow-$*/bin/python -m pytest -q $(MATRIX_ACTS)
matrix-2.11: $(AIRFLOW_2)/.made
	$(AIRFLOW_2)/bin/python -m pytest -q $(MATRIX_ACTS)

# The examples, a job, a cancellation and kills of the worker on the oldest Prefect that is allowed and on the newest, of
# which `make test` runs one between them whole: make matrix-prefect, or make matrix-prefect-3.9
PREFECT_MATRIX := 3.8.0 3.9
PREFECT_MATRIX_TESTS := $(addprefix tests/prefect/,test_private_names.py test_examples.py test_decorator.py \
	test_job.py::test_trigger_wait_fetch test_worker.py::test_a_flow_run_executes_on_a_rented_machine \
	test_worker.py::test_cancelled_while_the_flow_runs test_worker.py::test_killed_while_it_starts_a_machine \
	test_worker.py::test_a_worker_that_is_killed_and_started_again_sees_its_run_to_the_end \
	test_nothing_left.py::test_cancelled_from_the_api_while_it_runs \
	test_stored_secrets.py::test_a_deployment_of_a_yaml_file_and_one_of_a_flow_name_it)

$(PREFECT_MATRIX:%=$(VENVS)/prefect-%/.made): $(VENVS)/prefect-%/.made: pyproject.toml constraints/prefect-%.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python -c constraints/prefect-$*.txt -e '.[prefect,emulator,pictures,ssh]' --group test --group demo --group film
	@touch $@

.PHONY: matrix-prefect $(PREFECT_MATRIX:%=matrix-prefect-%)
matrix-prefect: $(PREFECT_MATRIX:%=matrix-prefect-%)
$(PREFECT_MATRIX:%=matrix-prefect-%): matrix-prefect-%: $(VENVS)/prefect-%/.made $(BLENDER)/.made
	$(VENVS)/prefect-$*/bin/python -m pytest -q -n 2 --dist loadfile $(PREFECT_MATRIX_TESTS)

# What it costs to parse a DAG with our operator, beside three well-known ones: make bench-import ROUNDS=5
PEERS := $(VENVS)/peers
$(PEERS)/.made: pyproject.toml constraints/airflow.txt constraints/airflow-peers.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(PEERS)
	$(UV) pip install --quiet --python $(PEERS)/bin/python -c constraints/airflow.txt -c constraints/airflow-peers.txt \
		-e '.[airflow]' apache-airflow-providers-cncf-kubernetes apache-airflow-providers-dbt-cloud apache-airflow-providers-ssh \
		httpx orjson
	@touch $@

# Us and the peers on the same work in one run, as ratios: make bench BENCH="--only get catalogue --json out.json"
PREFECT_PEERS := $(VENVS)/prefect-peers
$(PREFECT_PEERS)/.made: pyproject.toml constraints/prefect.txt constraints/prefect-peers.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(PREFECT_PEERS)
	$(UV) pip install --quiet --python $(PREFECT_PEERS)/bin/python -c constraints/prefect.txt \
		-c constraints/prefect-peers.txt -e '.[prefect]' prefect-docker prefect-kubernetes
	@touch $@

# Command lines whose help is compared with ours, each in an environment of its own. gcloud is in no package index: it is
# measured where it is installed.
CLIS := $(VENVS)/cli-awscli/bin/aws $(VENVS)/cli-skypilot/bin/sky $(VENVS)/cli-dstack/bin/dstack
CLIS_MADE := $(patsubst %,$(VENVS)/cli-%/.made,awscli skypilot dstack)
$(CLIS_MADE): $(VENVS)/cli-%/.made: constraints/cli-%.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python -r constraints/cli-$*.txt
	@touch $@

# moto's server, beside the emulator
MOTO := $(VENVS)/moto
$(MOTO)/.made: constraints/moto.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(MOTO)
	$(UV) pip install --quiet --python $(MOTO)/bin/python -r constraints/moto.txt
	@touch $@

.PHONY: bench
bench: $(PEERS)/.made $(PREFECT_PEERS)/.made $(CORE)/.made $(MOTO)/.made $(CLIS_MADE)
	@PYTHONPATH=.:tests/core $(PEERS)/bin/python -m benchmarks.bench --prefect-python $(PREFECT_PEERS)/bin/python \
		--core-python $(CORE)/bin/python --moto-python $(MOTO)/bin/python --clis $(CLIS) $(BENCH)

.PHONY: bench-import
bench-import: $(PEERS)/.made
	@PYTHONPATH=. $(PEERS)/bin/python -m benchmarks.bench --only operators --rounds $(or $(ROUNDS),15)

# How quick files move over SSH, beside scp and rsync, against a real sshd: make bench-transfer BENCH="--rounds 3"
.PHONY: bench-transfer
bench-transfer: $(CORE)/.made
	@PYTHONPATH=. $(CORE)/bin/python -m benchmarks.bench --only files files-cpu small-files $(BENCH)

# What a batch costs and when it ends, simulated, beside equal chunks: make bench-batch BENCH="--frames 1000 --frame-s 900 --deadline-h 4"
# And how long its plan takes for 10,000 machines and a million frames: make bench-plan
.PHONY: bench-batch bench-plan
bench-batch: $(CORE)/.made
	@$(CORE)/bin/python benchmarks/batch_simulation.py $(BENCH)
bench-plan: $(CORE)/.made
	@$(CORE)/bin/python benchmarks/batch_planning.py $(BENCH)

# How many requests a minute batches make that render at once: make bench-batch-requests BENCH="--batches 1 10 50"
.PHONY: bench-batch-requests
bench-batch-requests: $(CORE)/.made
	@PYTHONPATH=. $(CORE)/bin/python benchmarks/batch_requests.py $(BENCH)

# How many requests a minute running jobs make, and how many threads follow them, by each orchestrator. For more than 50 flow
# runs Prefect's server keeps its state in a PostgreSQL of the bench's own, where one is installed:
# make bench-requests BENCH="--jobs 50 --kinds quiet"
.PHONY: bench-requests
bench-requests: $(CORE)/.made $(AIRFLOW)/.made $(PREFECT)/.made
	@PYTHONPATH=. $(CORE)/bin/python benchmarks/job_requests.py --by core $(BENCH)
	@PYTHONPATH=. $(AIRFLOW)/bin/python benchmarks/job_requests.py --by airflow $(BENCH)
	@PYTHONPATH=. $(PREFECT)/bin/python benchmarks/job_requests.py --by prefect $(BENCH)
	@PYTHONPATH=. $(PREFECT)/bin/python benchmarks/job_requests.py --by prefect-blocks $(BENCH)

# A thousand deferred jobs in a real triggerer, beside a thousand triggers that poll alone. Its database is a PostgreSQL of
# the bench's own, where one is installed: make bench-triggerer BENCH="--jobs 100 --json rows.json"
AIRFLOW_POSTGRES := $(VENVS)/airflow-postgres
$(AIRFLOW_POSTGRES)/.made: pyproject.toml constraints/airflow.txt constraints/airflow-postgres.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(AIRFLOW_POSTGRES)
	$(UV) pip install --quiet --python $(AIRFLOW_POSTGRES)/bin/python -c constraints/airflow.txt \
		-c constraints/airflow-postgres.txt -e '.[airflow,emulator]' pytest psycopg2-binary asyncpg
	@touch $@

.PHONY: bench-triggerer
bench-triggerer: $(AIRFLOW_POSTGRES)/.made
	@PYTHONPATH=. $(AIRFLOW_POSTGRES)/bin/python -m benchmarks.triggerer_jobs $(BENCH)

# What jobs are billed beyond their commands, in parts of the pause between two looks, by the core, a whole Airflow, and
# Prefect in a flow and by a worker: make bench-billed BENCH="--rounds 12 --ways ssh --json rows.jsonl"
.PHONY: bench-billed
bench-billed: $(CORE)/.made $(AIRFLOW)/.made $(PREFECT)/.made
	@PYTHONPATH=. $(CORE)/bin/python -m benchmarks.billed_seconds --by core $(BENCH)
	@PYTHONPATH=. $(AIRFLOW)/bin/python -m benchmarks.billed_seconds --by airflow-worker $(BENCH)
	@PYTHONPATH=. $(AIRFLOW)/bin/python -m benchmarks.billed_seconds --by airflow-deferred $(BENCH)
	@PYTHONPATH=. $(PREFECT)/bin/python -m benchmarks.billed_seconds --by prefect-flow $(BENCH)
	@PYTHONPATH=. $(PREFECT)/bin/python -m benchmarks.billed_seconds --by prefect-worker $(BENCH)

# The fuzzers of make test with as many inputs as one likes: make fuzz FUZZ=20000
FUZZ ?= 3000
.PHONY: fuzz
fuzz: $(CORE)/.made
	@OCTA_FUZZ_EXAMPLES=$(FUZZ) $(CORE)/bin/python -m pytest tests/fuzz -q -p no:cacheprovider --timeout 7200

# Going on with a batch of a million accepted frames: time and memory: make bench-journal BENCH="--frames 100000"
.PHONY: bench-journal
bench-journal: $(CORE)/.made
	@PYTHONPATH=. $(CORE)/bin/python benchmarks/batch_journal.py $(BENCH)

# A batch whose coordinator is killed again and again, at moments that are drawn: make chaos-batch RUNS=200 SEED=1
.PHONY: chaos-batch
chaos-batch: $(CORE)/.made
	@$(CORE)/bin/python -m tests.chaos.batch_kills --runs $(RUNS) --seed $(SEED)

# What dies under a batch of a real Airflow, and when: make chaos-airflow-batch KILLS="--only worker octa"
.PHONY: chaos-airflow-batch
chaos-airflow-batch: $(AIRFLOW)/.made
	@$(AIRFLOW)/bin/python -m tests.chaos.airflow_batch_kills $(KILLS)

# What must always hold of a batch, with faults that are drawn: make batch-invariants EXAMPLES=60
EXAMPLES ?= 60
.PHONY: batch-invariants
batch-invariants: $(CORE)/.made
	@OCTA_BATCH_EXAMPLES=$(EXAMPLES) $(CORE)/bin/python -m pytest tests/core/batch/run/test_batch_invariants.py -q \
		-p no:cacheprovider --timeout 14400

# What each fault does to a batch, on emulated machines with a real Blender: make batch-faults FAULTS="--only slow hostile"
# Then 48 frames on four machines, of which one is slow and one is ended in the middle.
.PHONY: batch-faults
batch-faults: $(CORE)/.made $(BLENDER)/.made
	@$(CORE)/bin/python -m tests.chaos.batch_fault_table $(FAULTS)
	@$(CORE)/bin/python -m tests.chaos.batch_of_48
