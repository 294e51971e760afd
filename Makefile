# Every target sets up .venv by itself, once. Windows: `python tasks.py demo`, and so on.
# Another Python: make demo PYTHON=python3.12        Arguments: make test ARGS="tests/model -k parity"
PYTHON ?= python3
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help setup setup-learner demo lab test test-full lint student solutions slides wheelhouse site app lock clean

help:       ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *##/\t/' | expand -t 16

demo:       ## reconstruct a held-out scene and a photographed stereo pair: outputs/demo/index.html
lab:        ## open JupyterLab on notebook 00
test:       ## lint, unit tests, golden parity, notebooks, browser (what CI runs)
test-full:  ## the same with slow tests, notebooks at full size
lint:       ## style of code and notebooks
student:    ## write notebooks/student anew: the lessons without solutions, for a class
solutions:  ## pack solved lessons and keys for teachers: outputs/solutions.zip
slides:     ## slides of each lesson from its own figures, HTML and PDF: outputs/slides/
wheelhouse: ## download all that a class needs to install without a network: wheelhouse/
site:       ## the lessons, docs and API as pages: site/index.html
app:        ## photographs in the browser, without Jupyter: docs/app.md
lock:       ## write constraints.txt and constraints-app.txt anew
setup:      ## make .venv, once
setup-learner: ## the same without test tools; `make demo` and `make lab` need no more
clean:      ## remove .venv, .site-venv, .app-venv, caches, outputs and site

demo lab test test-full lint student solutions slides wheelhouse site app lock setup setup-learner clean:
	@$(PYTHON) tasks.py $@ $(ARGS)
