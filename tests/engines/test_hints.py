"""Hints: constants as bytes that are proved, never believed; and proofs that are remembered."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpu_common.environment import KERNELS
from bpu_common.errors import UsageError
from bpu_common.network import Network
from bpu_host.compiler.export import quantized_model
from bpu_sim.engines import OrtEngine, ReferenceEngine, open_engine, proofs
from bpu_sim.engines.ort import Plans, stage
from bpu_sim.engines.ort.hints import ENGINE, VERSION, read_hints, write_hints
from bpu_sim.engines.proofs import Proofs
from tests.engines.test_engines import feeds_of
from tests.support.nets_codes import NetBuilder, mixed_network

DIGEST = "a" * 64


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KERNELS.name, raising=False)


@pytest.fixture(scope="module")
def network() -> Network:
    return mixed_network()


@pytest.fixture(scope="module")
def hints(network: Network) -> bytes:
    return write_hints(network, Plans.of(network))


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is searched and proved from here on, as one word each."""
    found: list[str] = []

    def spy(name: str) -> None:
        real = getattr(stage, name)

        def called(*args: object) -> object:
            found.append(name)
            return real(*args)

        monkeypatch.setattr(stage, name, called)

    spy("_search")
    spy("_holds")
    return found


def test_good_hints_spare_the_search(network: Network, hints: bytes, searches: list[str]) -> None:
    engine, sentence = open_engine(network, prefer="onnxruntime", hints={ENGINE: hints})
    assert "proved now" in sentence
    assert set(searches) == {"_holds"}
    feeds = feeds_of(network)
    wanted = ReferenceEngine(network).run(feeds, network.tensors)
    for name, array in engine.run(feeds, network.tensors).items():
        np.testing.assert_array_equal(array, wanted[name], name)


def test_a_conversion_searches_once(network: Network, searches: list[str]) -> None:
    """The quantized ONNX and the hints of the file share their plans."""
    plans = Plans.of(network)
    quantized_model(network, plans)
    once = len(searches)
    assert once
    write_hints(network, plans)
    assert len(searches) == once


def test_hints_are_the_same_bytes_each_time(network: Network, hints: bytes) -> None:
    assert write_hints(network, Plans.of(network)) == hints
    known = Plans.of(network, read_hints(network, hints))
    assert write_hints(network, known) == hints


def test_every_form_is_read_as_it_was_written() -> None:
    net = NetBuilder(5)
    x = net.conv(net.input("x", (5, 5, 8)), 16, (3, 3))
    y = net.sum(x, net.conv(x, 16))
    deep = net.conv(y, 4, int32=True)
    network = net.network([y, deep])
    found = Plans.of(network)
    made = {op.y: op for op in network.ops}
    written = write_hints(network, found)
    forms = {
        "plain": written,
        "split": write_hints(network, _with(found, made, split=True)),
        "none": write_hints(network, _with(found, made, split=None)),
    }
    assert len(set(forms.values())) == 3
    feeds = feeds_of(network)
    wanted = ReferenceEngine(network).run(feeds)
    for name, data in forms.items():
        known = read_hints(network, data)
        assert known.keys() == {op.y for op in network.ops if op.y != deep}, name
        for trusted in (False, True):
            engine = OrtEngine(network, plans=Plans.of(network, known, trusted=trusted))
            for output, array in engine.run(feeds).items():
                np.testing.assert_array_equal(array, wanted[output], f"{name} {output}")


def _with(found: Plans, ops: dict[str, object], *, split: bool | None) -> Plans:
    """The plans in another form that is exact too."""
    convs = {}
    for name, plan in found.convs.items():
        form = plan.stage
        if form is not None:
            requants = stage.requants_of(ops[name].params)  # type: ignore[attr-defined]
            form = stage.split_stage(requants, form.clamp) if split else None
        convs[name] = replace(plan, stage=form)
    return replace(found, convs=convs)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"XXXX" + data[4:],
        lambda data: data[:4] + (VERSION + 1).to_bytes(2, "little") + data[6:],
        lambda data: data[:6] + b"\0\0\0\0" + data[10:],
        lambda data: data[:11],
    ],
)
def test_damaged_hints_are_no_hints(network: Network, hints: bytes, damage) -> None:
    assert read_hints(network, damage(hints)) == {}
    assert (
        "searched" in open_engine(network, prefer="onnxruntime", hints={ENGINE: damage(hints)})[1]
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_hostile_hints_change_no_bit(data: st.DataObject) -> None:
    """Bytes flipped, floats and flags replaced: the bits stay, and nothing warns."""
    network, good, feeds, wanted = _hostile_case()
    bytes_ = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):
            bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
        else:
            at = data.draw(st.integers(10, len(bytes_) - 4))
            value = data.draw(st.floats(width=32))
            bytes_[at : at + 4] = np.float32(value).tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine, _ = open_engine(network, prefer="onnxruntime", hints={ENGINE: bytes(bytes_)})
        found = engine.run(feeds)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


_CASE: list[tuple] = []


def _hostile_case() -> tuple:
    if not _CASE:
        net = NetBuilder(1)
        x = net.conv(net.input("x", (16, 16, 4)), 8, clamp=(0, 127))
        y = net.sum(x, net.conv(x, 8, (3, 3), groups=8))
        network = net.network([x, y])
        feeds = feeds_of(network)
        wanted = ReferenceEngine(network).run(feeds)
        _CASE.append((network, write_hints(network, Plans.of(network)), feeds, wanted))
    return _CASE[0]


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    slope=st.floats(0, 2, width=32),
    offset=st.floats(-2, 2, width=32),
)
def test_what_is_proved_holds_everywhere(seed: int, slope: float, offset: float) -> None:
    """Constants that nobody searched: those that pass give every accumulator's code."""
    rng = np.random.default_rng(seed)
    one = np.ones(1, np.int64)
    shift, multiplier = int(rng.integers(0, 3)), int(rng.integers(1, 1 << 15))
    channels = stage.Channels(
        shift * one, multiplier * one, int(rng.integers(8, 20)) * one, 0 * one,
        -rng.integers(0, 300, 1), rng.integers(0, 300, 1),
        ((-128, 127), (0, 127), (0, 0), (5, 5))[seed % 4],
    )  # fmt: skip
    exact = multiplier / 2.0 ** int(channels.out_shift[0])
    for each in (np.float32(slope), np.float32(exact)):
        trial = stage.Stage(
            shift > 0, bool(seed % 2), channels.clamp, np.array([each], np.float32),
            np.array([offset], np.float32),
        )  # fmt: skip
        if stage.proved(channels, trial)[0]:
            acc = np.arange(channels.lowest[0], channels.highest[0] + 1)[None]
            for fused in (False, True):
                got = stage.emulate(channels, trial, acc, fused=fused)
                np.testing.assert_array_equal(got, channels.exact(acc))


def test_a_proof_is_remembered(
    network: Network, hints: bytes, searches: list[str], tmp_path: Path
) -> None:
    memory = Proofs(tmp_path)
    assert "searched" in open_engine(network, prefer="onnxruntime", digest=DIGEST, proofs=memory)[1]
    searches.clear()
    engine, sentence = open_engine(network, prefer="onnxruntime", digest=DIGEST, proofs=memory)
    assert "proved before" in sentence
    assert not searches
    feeds = feeds_of(network)
    wanted = ReferenceEngine(network).run(feeds)
    for name, array in engine.run(feeds).items():
        np.testing.assert_array_equal(array, wanted[name])
    assert (
        "proved now"
        in open_engine(
            network, prefer="onnxruntime", hints={ENGINE: hints}, digest="b" * 64, proofs=memory
        )[1]
    )
    assert memory.load(DIGEST) == hints


def test_a_damaged_memory_is_none(network: Network, tmp_path: Path) -> None:
    memory = Proofs(tmp_path)
    memory.save(DIGEST, b"hints")
    assert memory.load(DIGEST) == b"hints"
    (file,) = tmp_path.iterdir()
    for content in (b"", b"short", file.read_bytes()[:-1], b"x" + file.read_bytes()[1:]):
        file.write_bytes(content)
        assert memory.load(DIGEST) is None
        assert (
            "searched"
            in open_engine(network, prefer="onnxruntime", digest=DIGEST, proofs=memory)[1]
        )
    file.unlink()
    file.mkdir()
    assert memory.load(DIGEST) is None
    memory.save(DIGEST, b"hints")


def test_the_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MAX_FILES", 3)
    memory = Proofs(tmp_path)
    for index in range(5):
        memory.save(str(index), b"hints")
        for file in tmp_path.iterdir():  # all older than the next
            os.utime(file, ns=(file.stat().st_mtime_ns - 10**9,) * 2)
    assert len(list(tmp_path.iterdir())) == 3
    assert [memory.load(str(index)) for index in range(5)] == [None, None, *[b"hints"] * 3]


def test_a_folder_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    memory = Proofs(tmp_path)
    memory.save(DIGEST, b"hints")
    tmp_path.chmod(0o777)
    assert memory.load(DIGEST) is None
    tmp_path.chmod(0o700)
    assert memory.load(DIGEST) == b"hints"
    blocked = Proofs(tmp_path / "file" / "folder")
    (tmp_path / "file").write_bytes(b"")
    blocked.save(DIGEST, b"hints")
    assert blocked.load(DIGEST) is None


def test_the_user_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Proofs().save(DIGEST, b"hints")
    assert Proofs().load(DIGEST) == b"hints"
    assert (tmp_path / "openbpu" / "engines").stat().st_mode & 0o077 == 0


def test_the_choice(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, sentence = open_engine(network, prefer="reference")
    assert engine.name == "reference"
    assert sentence.startswith("reference")
    monkeypatch.setenv(KERNELS.name, "reference")
    assert open_engine(network, prefer="onnxruntime")[0].name == "reference"
    monkeypatch.setenv(KERNELS.name, "fast")
    with pytest.raises(UsageError, match="'fast'"):
        open_engine(network)
