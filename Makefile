# make demo · make test · make bench. These targets also set up a fresh Debian machine with Rust.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Build output outlives the clone.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tributary/target
RELEASE := $(CARGO_TARGET_DIR)/release/tributary

.PHONY: help setup build build-all demo demo-sites demo-rabbitmq demo-pulsar demo-cluster demo-s3 demo-hdfs test check fuzz bench

help:
	@echo 'make demo    build, and train on the breast cancer data: PSI, WOE and IV of all columns, trees, AUC, and a report'
	@echo 'make demo-sites   the same job between two sites, each a process of its own, compared'
	@echo 'make demo-rabbitmq   the same over a RabbitMQ broker, and over one at each site, compared'
	@echo 'make demo-pulsar   the same over an Apache Pulsar cluster, and over one at each site, compared'
	@echo 'make demo-cluster   the same job on a cluster of processes of this machine, compared'
	@echo 'make demo-s3   the same job with tables in an S3 server of this machine, compared'
	@echo 'make demo-hdfs   two sites, each with a cluster and its tables in HDFS, over a RabbitMQ broker, compared'
	@echo 'make test    every check and test'
	@echo 'make fuzz MINUTES=10   damaged inputs for every decoder of bytes from outside'
	@echo 'make bench   every measurement, in release'
	@echo 'make build   the release binary, with all but the cluster'
	@echo 'make build-all   the release binary with every engine'

setup:
	@scripts/setup.sh

build: setup
	cargo build --locked --release --package tributary-cli

demo: build
	@scripts/demo.sh $(RELEASE)

demo-sites: build
	@scripts/demo-sites.sh $(RELEASE)

demo-rabbitmq: build
	@scripts/demo-sites.sh $(RELEASE) rabbitmq

demo-pulsar: build
	@scripts/demo-sites.sh $(RELEASE) pulsar

# With every engine. Compiles DataFusion and Ballista: half an hour on two cores, once.
build-all: setup
	cargo build --locked --release --package tributary-cli --all-features

demo-cluster: build-all
	@scripts/demo-cluster.sh $(RELEASE)

demo-hdfs: build-all
	@scripts/demo-hdfs.sh $(RELEASE)

demo-s3: build
	@scripts/demo-s3.sh $(RELEASE)

check: setup
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features tributary-cli/ballista -- --deny warnings
	cargo xtask tidy

test: check
	@scripts/python.sh >/dev/null
	cargo test --locked --package tributary-runtime --no-default-features --lib
	cargo test --locked --workspace --features tributary-cli/ballista --no-fail-fast

bench: build
	@scripts/bench.sh $(RELEASE)

# Inputs that find a fault are kept in fuzz/seeds, where `make test` tries them again.
fuzz: setup
	cargo run --locked --profile fuzz --package tributary-fuzz -- --minutes $(or $(MINUTES),10)
