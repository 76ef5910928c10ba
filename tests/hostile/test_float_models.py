"""A float model that crashes the code that runs it ends its command with a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.agent_remote import wait_until
from tests.support.yaml_front import DELETE, write

COMMAND = "import sys; from bpu_host.cli import crashes, entry; {}; entry.hb_mapper()"
GO_ON = (
    "import gc, os, signal, sys, time; from bpu_host.cli.crashes import go_on_in_child;"
    "gc.disable(); go_on_in_child('it'); signal.signal(signal.SIGINT, lambda *_: sys.exit(130));"
    "print(os.getpid(), flush=True);"
)
WAIT_S = 60
"""Longer than anything here takes: a test that waits for ever says nothing."""


@pytest.fixture
def dividing(tmp_path: Path) -> Path:
    """A model that divides the least int32 by -1, both constants."""
    constants = [np.array(-(1 << 31), np.int32), np.array(-1, np.int32)]
    graph = helper.make_graph(
        [
            helper.make_node("Div", ["low", "minus"], ["q"], "div"),
            helper.make_node("Cast", ["q"], ["f"], "cast", to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "f"], ["y"], "add"),
        ],
        "dividing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])],
        [numpy_helper.from_array(c, n) for c, n in zip(constants, ("low", "minus"), strict=True)],
    )
    opset = helper.make_opsetid("", 13)
    path = tmp_path / "dividing.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def checker(model: Path, before: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND.format(before)]
    command += ["checker", "--model-type", "onnx", "--model", str(model)]
    return subprocess.run(command, cwd=model.parent, capture_output=True, text=True, check=False)


def test_a_crash_is_a_sentence(dividing):
    ended = checker(dividing, "pass")
    assert ended.returncode == 1
    assert "error: the model ended hb_mapper by SIGFPE: an integer division" in ended.stderr


def test_without_the_child_the_command_dies(dividing):
    ended = checker(dividing, "crashes.go_on_in_child = lambda _: None")
    assert ended.returncode == -signal.SIGFPE
    assert "error:" not in ended.stderr


NO_CHILD = "import os; os.fork = lambda: 1 / 0"


def makertbin(folder: Path, changes: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """The command where no child can be made, with a configuration like others but for changes."""
    write(folder, changes)
    command = [sys.executable, "-c", COMMAND.format(NO_CHILD)]
    command += ["makertbin", "--model-type", "onnx", "--config", "net.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_mistake_in_the_yaml_is_told_without_a_child(tmp_path):
    """The place of the model is not known, so nothing looks into it."""
    ended = makertbin(
        tmp_path, {"model_parameters.onnx_modle": "x", "model_parameters.onnx_model": DELETE}
    )
    assert "unknown key; did you mean 'onnx_model'?" in ended.stdout
    assert "ZeroDivisionError" not in ended.stdout


@pytest.mark.parametrize("changes", [{}, {"compiler_parameters.compile_mode": "lately"}])
def test_a_model_is_read_in_the_child_only(tmp_path, dividing, changes):
    """Whether the file is right, or wrong and its model asked for what else is wrong."""
    ended = makertbin(tmp_path, {"model_parameters.onnx_model": str(dividing), **changes})
    assert "ZeroDivisionError" in ended.stdout


def started(program: str) -> tuple[subprocess.Popen[str], int]:
    """A command that goes on in a child, and the child's id."""
    command = [sys.executable, "-c", GO_ON + program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def is_gone(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("pass", 0),
        ("sys.exit(not gc.isenabled())", 0),
        ("raise SystemExit(3)", 3),
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_the_command_ends_as_the_child_does(program, status):
    process, child = started(program)
    assert process.wait(WAIT_S) == status
    assert child != process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_ends_the_command_ends_the_child(number):
    process, child = started("time.sleep(600)")
    process.send_signal(number)
    assert process.wait(WAIT_S) == -number
    wait_until(lambda: is_gone(child))


def test_a_handler_of_the_commands_own_is_the_childs():
    """The command itself passes the signal on, whatever it did with it before."""
    own = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));"
    command = [sys.executable, "-c", f"import signal, sys; {own} {GO_ON} time.sleep(600)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(WAIT_S) == 7


def test_an_interrupt_of_the_terminal_is_for_the_child():
    """It goes to all of a group; the command ends when the child has tidied up."""
    process, _ = started("time.sleep(600)")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(WAIT_S) == 130
