"""Fuzz targets: one file for each reader of bytes from outside. `make fuzz`, docs/reliability.md.

`python -m tests.fuzz_targets NAME` runs one, guided by coverage (atheris). Everything but
`fuzzer.py` works without atheris: the tests put corpora and changed inputs through the same targets
and the same oracle. (`tests/fuzz` is another thing: random networks through all engines.)
"""
