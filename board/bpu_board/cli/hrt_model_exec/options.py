"""The command line of `hrt_model_exec`, read the way its users are used to.

`--opt=value` and `--opt value`; a bare `--flag` is true; the last value of a repeated option wins;
bare extra words are ignored; options stand before or after the sub-command.
"""

from __future__ import annotations

import argparse
import difflib
import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NoReturn

from bpu_board.cli.completing import Kind, Taken, answer
from bpu_common.errors import UsageError


class Command(enum.Enum):
    HELP = "help"
    VERSION = "version"
    MODEL_INFO = "model_info"
    INFER = "infer"
    PERF = "perf"


_INFO = frozenset({Command.MODEL_INFO})
_INFER = frozenset({Command.INFER})
_PERF = frozenset({Command.PERF})
_RUNS = _INFER | _PERF
_ALL = _RUNS | _INFO


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its type tag, the sub-commands that use it, and its range if it is a number.

    Attributes:
        takes: what a shell completes behind it, where `choices` do not say that.
    """

    name: str
    kind: str
    used_by: frozenset[Command]
    help: str
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    takes: Kind = Kind.WORD


OPTIONS: tuple[Option, ...] = (
    Option(
        "model_file",
        "string",
        _ALL,
        "Model file paths, separated by comma. Required.",
        takes=Kind.FILE,
    ),
    Option("model_name", "string", _ALL, "Model to use; needed when several are loaded."),
    Option("core_id", "int", _RUNS, "0 for any core, 1 for core 0, 2 for core 1.", 0, 2),
    Option(
        "input_file",
        "string",
        _RUNS,
        "Input files, separated by comma, one per input: jpg, jpeg, png, bmp, webp, npy or bin for "
        "image inputs, npy, bin or txt for featuremap inputs. perf uses random tensors without it.",
        takes=Kind.FILE,
    ),
    Option("roi_infer", "bool", _RUNS, "Resizer inputs; not supported yet."),
    Option("roi", "string", _RUNS, "Regions for resizer inputs; not supported yet."),
    Option("frame_count", "int", _RUNS, "Frames to run: infer 1, perf 200 by default.", 1),
    Option(
        "dump_intermediate",
        "int",
        _RUNS,
        "Dump what goes in and out of every segment. 0: off, 1: bin, 2: bin and txt, 3: bin and "
        "txt, BPU outputs without padding.",
        0,
        3,
    ),
    Option("enable_dump", "bool", _INFER, "Dump the model's inputs and outputs."),
    Option("dump_precision", "int", _INFER, "Decimals of float numbers in txt dumps, 9.", 0, 17),
    Option(
        "hybrid_dequantize_process",
        "bool",
        _INFER,
        "With enable_dump: outputs as float txt without padding; 4-D outputs only.",
    ),
    Option("dump_format", "string", _INFER, "bin or txt.", choices=("bin", "txt")),
    Option(
        "dump_txt_axis",
        "int",
        _INFER,
        "Axes from this one on share a line of a txt dump; 4 writes one value per line.",
        0,
        8,
    ),
    Option("enable_cls_post_process", "bool", _INFER, "Print the classification result."),
    Option("perf_time", "int", _PERF, "Minutes to run; above 0 it overrides frame_count.", 0),
    Option("thread_num", "int", _PERF, "Threads in [1,8]; values above 8 act as 8.", 1),
    Option(
        "profile_path",
        "string",
        _PERF,
        "Folder for profiler.log and profiler.csv.",
        takes=Kind.FOLDER,
    ),
    Option("priority", "int", _RUNS, "Priority of the frames; 255 preempts.", 0, 255),
    Option(
        "machine",
        "string",
        _RUNS,
        "Chip to simulate: x3m, j3 or x3e; the one of the model by default.",
        choices=("x3m", "j3", "x3e"),
    ),
    Option("exact", "bool", _RUNS, "Run the instructions too and compare all values."),
    Option("json", "bool", _ALL, "Print the result as one JSON object."),
)

_OLD_NAMES = {"per_time": "perf_time"}
_TRUE = {"true", "t", "1", "yes", "y"}
_FALSE = {"false", "f", "0", "no", "n"}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `frame_count` 0 stands for the sub-command's default.

    Attributes:
        unused: names of options that were given and that the sub-command does not use.
    """

    command: Command
    model_file: str = ""
    model_name: str = ""
    core_id: int = 0
    input_file: str = ""
    roi_infer: bool = False
    roi: str = ""
    frame_count: int = 0
    dump_intermediate: int = 0
    enable_dump: bool = False
    dump_precision: int = 9
    hybrid_dequantize_process: bool = False
    dump_format: str = "bin"
    dump_txt_axis: int = 4
    enable_cls_post_process: bool = False
    perf_time: int = 0
    thread_num: int = 1
    profile_path: str = ""
    priority: int = 0
    machine: str = ""
    exact: bool = False
    json: bool = False
    unused: tuple[str, ...] = ()


def parse(arguments: Sequence[str]) -> Options:
    """Read the words of the command line.

    Raises:
        UsageError: unknown sub-command or option, or a value of the wrong kind or range.
    """
    if not arguments or any(word in {"-h", "--help"} for word in arguments):
        return Options(Command.HELP)
    if any(word in {"-v", "--version"} for word in arguments):
        return Options(Command.VERSION)
    known, words = _parser().parse_known_args(_joined(arguments))
    given = {name: value for name, value in vars(known).items() if value is not None}
    for word in words:
        if word.startswith("-"):
            raise _unknown_option(word)
    command = _command([*words])
    values = {name: _value(name, str(text)) for name, text in given.items()}
    unused = tuple(o.name for o in OPTIONS if o.name in given and command not in o.used_by)
    options = Options(command=command, unused=unused, **values)  # type: ignore[arg-type]
    if not options.model_file:
        raise UsageError(
            f"{command.value} needs --model_file", hint="hrt_model_exec --help shows examples"
        )
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint="hrt_model_exec --help lists the options")


def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    for option in OPTIONS:
        names = [f"--{option.name}", *(f"--{o}" for o, n in _OLD_NAMES.items() if n == option.name)]
        parser.add_argument(*names, dest=option.name, default=None)
    return parser


def _joined(arguments: Sequence[str]) -> list[str]:
    """Give every bare flag of type bool its value, so that it takes no word from its neighbour."""
    flags = {f"--{option.name}" for option in OPTIONS if option.kind == "bool"}
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in flags:
            following = rest[0].lower() if rest else ""
            word = f"{word}={rest.pop(0) if following in _TRUE | _FALSE else 'true'}"
        words.append(word)
    return words


def _command(words: list[str]) -> Command:
    names = [Command.MODEL_INFO.value, Command.INFER.value, Command.PERF.value]
    if not words:
        raise UsageError("no sub-command is given", hint=f"use one of {', '.join(names)}")
    if words[0] not in names:
        near = difflib.get_close_matches(words[0], names, 1)
        hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(names)}"
        raise UsageError(f"unknown sub-command {words[0]!r}", hint=hint)
    return Command(words[0])


def _unknown_option(word: str) -> UsageError:
    name = word.split("=", 1)[0]
    near = difflib.get_close_matches(name, [f"--{option.name}" for option in OPTIONS], 1)
    hint = f"did you mean {near[0]}?" if near else "hrt_model_exec --help lists the options"
    return UsageError(f"unknown option {name}", hint=hint)


def _value(name: str, text: str) -> str | int | bool:
    option = next(each for each in OPTIONS if each.name == name)
    if option.kind == "bool":
        return _bool(name, text)
    if option.kind == "int":
        return _int(option, text)
    if option.choices and text not in option.choices:
        raise UsageError(f"--{name} is {text!r}, it must be one of {', '.join(option.choices)}")
    return text


def _bool(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise UsageError(f"--{name} is {text!r}, it must be true or false")


def _int(option: Option, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"--{option.name} is {text!r}, it must be a whole number") from None
    low, high = option.low, option.high
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = f"in [{low},{high}]" if high is not None else f"at least {low}"
        raise UsageError(f"--{option.name} is {value}, it must be {allowed}")
    return value


def completions() -> str:
    """What the shell that asks gets."""
    options = {
        f"--{option.name}": Taken(
            Kind.FLAG if option.kind == "bool" else option.takes, option.choices
        )
        for option in OPTIONS
    }
    flags = {"--help": Taken(Kind.FLAG), "--version": Taken(Kind.FLAG)}
    commands = (Command.MODEL_INFO.value, Command.INFER.value, Command.PERF.value)
    return answer("hrt_model_exec", commands, {**options, **flags})


assert {option.name for option in OPTIONS} == {f.name for f in fields(Options)} - {
    "command",
    "unused",
}
