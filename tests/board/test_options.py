"""The command line of hrt_model_exec is read the way its users are used to."""

from __future__ import annotations

import re

import pytest

from bpu_board.cli.hrt_model_exec.options import OPTIONS, Command, parse
from bpu_board.cli.hrt_model_exec.usage import usage_text
from bpu_common.errors import UsageError


def perf(*words):
    return parse(["perf", "--model_file=m.bin", *words])


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["perf", "--help"]])
def test_help(words):
    assert parse(words).command is Command.HELP


@pytest.mark.parametrize("words", [["-v"], ["--version"]])
def test_version(words):
    assert parse(words).command is Command.VERSION


def test_equals_sign_and_space():
    assert perf("--thread_num=4") == perf("--thread_num", "4")
    assert perf("--thread_num=4").thread_num == 4


def test_last_value_wins():
    assert perf("--frame_count=3", "--frame_count", "7").frame_count == 7


def test_bare_words_are_ignored():
    assert parse(["perf", "--model_file=x.bin", "yyy.bin"]).model_file == "x.bin"


def test_options_may_stand_before_the_subcommand():
    assert parse(["--model_file=x.bin", "perf"]).command is Command.PERF


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--exact"], True),
        (["--exact=true"], True),
        (["--exact", "true"], True),
        (["--exact=1"], True),
        (["--exact=false"], False),
        (["--exact", "false"], False),
        (["--exact", "--json"], True),
        (["--exact", "stray.bin"], True),
        (["--exact", "--exact=false"], False),
        ([], False),
    ],
)
def test_bool_forms(words, value):
    assert perf(*words).exact is value


def test_defaults():
    options = perf()
    assert (options.core_id, options.frame_count, options.thread_num) == (0, 0, 1)
    assert (options.perf_time, options.priority, options.machine) == (0, 0, "")
    assert (options.dump_format, options.dump_precision, options.dump_txt_axis) == ("bin", 9, 4)


def test_old_spelling_of_perf_time():
    assert perf("--per_time=2").perf_time == 2


def test_empty_value():
    assert perf("--model_name=").model_name == ""
    assert perf("--model_name", "").model_name == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--core_id=3"], r"--core_id is 3, it must be in \[0,2\]"),
        (["--core_id", "-1"], r"--core_id is -1"),
        (["--core_id=one"], "whole number"),
        (["--thread_num=0"], "--thread_num is 0, it must be at least 1"),
        (["--frame_count=0"], "--frame_count is 0"),
        (["--perf_time=-1"], "--perf_time is -1"),
        (["--priority=256"], r"\[0,255\]"),
        (["--machine=x5"], "x3m, j3, x3e"),
        (["--dump_format=csv"], "bin, txt"),
        (["--dump_intermediate=4"], r"\[0,3\]"),
        (["--dump_txt_axis=9"], r"\[0,8\]"),
        (["--dump_precision=99"], r"\[0,17\]"),
        (["--exact=maybe"], "true or false"),
        (["--frame_coun=3"], r"did you mean --frame_count\?"),
        (["--nothing_like_it"], "unknown option"),
        (["--frame_count"], "expected one argument"),
    ],
)
def test_bad_values(words, message):
    with pytest.raises(UsageError) as error:
        perf(*words)
    assert re.search(message, str(error.value))


@pytest.mark.parametrize("words", [["--model_file=x"], ["prf", "--model_file=x"], ["perf"]])
def test_bad_command(words):
    with pytest.raises(UsageError):
        parse(words)


def test_unused_options_are_named():
    assert perf("--enable_dump", "--core_id=1").unused == ("enable_dump",)


def test_help_names_every_option_and_its_type():
    text = usage_text()
    for option in OPTIONS:
        assert f"--{option.name}" in text
        assert f"[{option.kind}]" in text
    assert text.startswith("Usage:\n")
    for heading in ("[Option]", "[Parameter]", "[Examples]"):
        assert heading in text
    assert max(len(line) for line in text.splitlines()) <= 80
