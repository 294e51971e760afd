# Every target sets up .venv by itself, once. Windows: `python tasks.py demo`, and so on.
# Another Python: make demo PYTHON=python3.12        Arguments: make test ARGS="tests/model -k parity"
PYTHON ?= python3
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help setup demo lab test test-full lint student site lock clean

help:       ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *##/\t/' | expand -t 12

demo:       ## reconstruct a held-out scene and a photographed stereo pair: outputs/demo/index.html
lab:        ## open JupyterLab on notebook 00
test:       ## lint, unit tests, golden parity, notebooks, browser (what CI runs)
test-full:  ## the same with slow tests, notebooks at full size
lint:       ## style of code and notebooks
student:    ## write notebooks/student anew: the lessons without solutions, for a class
site:       ## the lessons, docs and API as pages: site/index.html
lock:       ## write constraints.txt anew
setup:      ## make .venv, once
clean:      ## remove .venv, .site-venv, caches, outputs and site

demo lab test test-full lint student site lock setup clean:
	@$(PYTHON) tasks.py $@ $(ARGS)
