"""What an agent does unless it is told otherwise."""

from __future__ import annotations

from bpu_board.cli.agent import make_parser


def test_an_agent_is_paced_unless_virtual_is_asked_for():
    given = ["--listen", "127.0.0.1:0", "--store", "s"]
    assert make_parser().parse_args(given).clock == "paced"
    assert make_parser().parse_args([*given, "--clock", "virtual"]).clock == "virtual"
