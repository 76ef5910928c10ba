"""YAML that unfolds, and YAML with more mistakes than anybody reads."""

from __future__ import annotations

from pathlib import Path

from tests.hostile.row import Row

MAKERTBIN = ("hb_mapper", "makertbin", "--model-type", "onnx", "-c", "bomb.yaml")


def alias_bomb(levels: int = 5, width: int = 100) -> str:
    """`width` to the power of `levels` keys in a few bytes a key."""
    keys = [f"k{index}" for index in range(width)]
    lines = ["a0: &a0 {" + ", ".join(f"{key}: 1" for key in keys) + "}"]
    for level in range(1, levels):
        refs = ", ".join(f"{key}: *a{level - 1}" for key in keys)
        lines.append(f"a{level}: &a{level} {{{refs}}}")
    return "\n".join(lines) + "\n"


def merge_bomb(levels: int = 7, width: int = 50) -> str:
    """As many merges, all of them of one key."""
    lines = ["b0: &b0 {x: 1}"]
    for level in range(1, levels):
        refs = ",".join([f"*b{level - 1}"] * width)
        lines.append(f"b{level}: &b{level} {{<<: [{refs}]}}")
    return "\n".join(lines) + "\n"


def unknown_keys(count: int = 4000) -> str:
    """One mistake a line."""
    return "model_parameters:\n" + "".join(f"  key{index}: 1\n" for index in range(count))


def _row(name: str, text: str, answer: str) -> Row:
    def make(folder: Path) -> None:
        (folder / "bomb.yaml").write_text(text)

    return Row(name, make, MAKERTBIN, answer, 2)


ROWS = (
    _row("aliases", alias_bomb(), r"bomb\.yaml:2:\d+: aliases \(\*name\) are not read"),
    _row("merge keys", merge_bomb(), "aliases .* are not read"),
    _row("a merge key alone", "a: {<<: {x: 1}}\n", r"bomb\.yaml:1:5: merge keys \(<<\) are not"),
    _row("a megabyte", "x: 1\n" * (1 << 18), "at most 65536 bytes"),
    _row("thousands of mistakes", unknown_keys(), r"and \d+ further problems"),
    _row("deep", "[" * 30_000, "nests too deeply"),
    _row("digits", "a: " + "1" * 60_000, "not valid YAML"),
)
