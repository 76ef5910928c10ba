"""The programs that are sent to a board are programs."""

from __future__ import annotations

import ast

from bpu_host.boards import doctor, install, probe


def test_every_program_is_python() -> None:
    found = [
        (name, text)
        for module in (doctor, install, probe)
        for name, text in vars(module).items()
        if isinstance(text, str) and text.lstrip().startswith(("import ", "from "))
    ]
    assert len(found) >= 2
    for name, text in found:
        ast.parse(text, name)
