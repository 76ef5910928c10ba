"""A conversion proves itself on one sample: against the user's file, and on the board's engine."""

from bpu_host.compiler.verify.file import check_file
from bpu_host.compiler.verify.floats import FileCheck, check_original, run_floats
from bpu_host.compiler.verify.outputs import output_findings

__all__ = ["FileCheck", "check_file", "check_original", "output_findings", "run_floats"]
