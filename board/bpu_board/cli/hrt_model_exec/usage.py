"""The help screen of `hrt_model_exec`."""

from __future__ import annotations

import textwrap

from bpu_board.cli.hrt_model_exec.options import OPTIONS, Command
from bpu_common import __version__

VERSION_TEXT = f"hrt_model_exec (OpenBPU) {__version__}\n"

_WIDTH = 80
_RULE = "-" * _WIDTH

_EXAMPLES = """\
[Examples]
--------------------------------------------------------------------------------
hrt_model_exec model_info | hrt_model_exec infer     | hrt_model_exec perf
  --model_file=model.bin  |   --model_file=model.bin |   --model_file=model.bin
  --model_name=""         |   --model_name=""        |   --model_name=""
                          |   --core_id=0            |   --core_id=0
                          |   --input_file=photo.jpg |   --frame_count=200
                          |   --frame_count=1        |   --perf_time=0
                          |   --enable_dump=true     |   --thread_num=8
                          |   --dump_format=txt      |   --profile_path="."
--------------------------------------------------------------------------------
"""


def usage_text() -> str:
    """What `--help` prints."""
    lines = [
        "Usage:",
        "hrt_model_exec [Option] [Parameter]",
        "",
        f"{'[Option]':<28}[Parameter]",
        _RULE,
        f"{'model_info':<28}Print inputs, outputs and properties of models.",
        f"{'infer':<28}Run a model on given inputs, print a frame's time.",
        f"{'perf':<28}Measure latency and frame rate of a model.",
        _RULE,
    ]
    lines += [_line("--help", "", "Print this screen (also -h)."), ""]
    lines += [_line("--version", "", "Print the version (also -v)."), ""]
    for option in OPTIONS:
        used = ", ".join(c.value for c in Command if c in option.used_by)
        text = textwrap.wrap(f"{option.help} ({used})", _WIDTH - len(_line("", "", "")))
        lines.append(_line(f"--{option.name}", f"[{option.kind}]", text[0]))
        lines += [" " * 38 + more for more in text[1:]]
        lines.append("")
    lines += [_RULE, "", _EXAMPLES]
    return "\n".join(lines)


def _line(name: str, kind: str, text: str) -> str:
    return f"{name:<28}{kind:<10}{text}"
