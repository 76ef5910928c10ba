"""One small network, the same bits on other CPUs: digests under qemu-user.

    python tests/system/qemu_digest.py            # here, Haswell (AVX2, no AVX-512), Cortex-A72

The network is compiled here once, as quantized model and as `.bin`. Each CPU then runs the one in
stock onnxruntime and the other in the onnxruntime engine, and prints a digest of all outputs; a
digest that differs is an error.

Haswell runs this interpreter under `qemu-x86_64-static -cpu Haswell`. The ARM CPU needs an ARM
Python: Debian's packages for arm64, unpacked (not installed) into a folder, and wheels for aarch64
beside them; qemu finds the libraries by `-L`. onnxruntime is pinned to 1.27.0 there: 1.32.0 crashes
when imported under qemu 7.2. Packages come from the machine's own apt sources and Python index.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARM_ONNXRUNTIME = "onnxruntime==1.27.0"
ARM_WHEELS = (ARM_ONNXRUNTIME, "numpy==2.3.5", "protobuf>=6.33,<8", "flatbuffers", "packaging")
ARM_PYTHONS = ("3.11", "3.13", "3.12")
ARM_LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
TIMEOUT_S = 900


class Missing(Exception):
    """Something the check needs and could not get; the message says what and how to get it."""


def digests(folder: Path) -> dict[str, str]:
    """Run both forms of the network in `folder`; needs numpy, onnxruntime and protobuf."""
    import numpy as np
    import onnxruntime as ort

    from bpu_common import container
    from bpu_sim.engines import OrtEngine
    from tests.support.kernels_runs import digest

    (model,) = container.load(folder / "model.bin")
    names = [output.tensor for output in model.network.outputs]
    feeds = {
        each.tensor.name: np.load(folder / f"input_{each.tensor.name}.npy") for each in model.inputs
    }
    quantized = ort.InferenceSession(
        str(folder / "quantized.onnx"), providers=["CPUExecutionProvider"]
    )
    stock = dict(zip(names, quantized.run(names, feeds), strict=True))
    fast = OrtEngine(model.network, threads=2).run(feeds)
    return {"quantized model": digest(stock), "engine": digest(fast)}


def kernel_digests(folder: Path) -> dict[str, str]:
    """Run the network on every set of compiled kernels that runs here, and each set's own test.

    The library lies in `folder`; needs numpy and protobuf.
    """
    import numpy as np

    from bpu_common import container
    from bpu_sim.kernels.library import library_file, load
    from bpu_sim.kernels.part import KernelPart
    from bpu_sim.kernels.selftest import failure
    from tests.support.kernels_runs import digest

    library, problem = load(folder / library_file().name)
    assert library is not None, problem
    (model,) = container.load(folder / "model.bin")
    (part,) = model.network.parts
    feeds = {name: np.load(folder / f"input_{name}.npy") for name in part.inputs}
    found = {}
    for name in library.runs:
        runner = KernelPart(library, name, part, model.network, 2)
        found[name] = failure(library, name) or digest(runner.run(feeds))
    return found


def build_kernels(folder: Path, machine: str, compiler: str) -> None:
    """Compile the kernels for a machine into `folder`."""
    target = folder / f"libbpukernels-{machine}.so"
    command = [sys.executable, "-m", "bpu_sim.kernels.build", "--machine", machine]
    env = os.environ | {"CXX": compiler, "PYTHONPATH": _python_path()}
    run([*command, "--output", str(target)], f"compiling the kernels with {compiler}", env)


def build_network(folder: Path) -> dict[str, str]:
    """Compile the network into `folder`; returns the digests of `bpu_sim.arith`, the reference."""
    import numpy as np

    from bpu_common import container
    from bpu_common.machine import X3M
    from bpu_host.compiler.emit import EmitOptions, build_model
    from bpu_host.compiler.export import quantized_model
    from tests.support.kernels_runs import digest
    from tests.support.nets_codes import mixed_network, reference

    network = mixed_network()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quantized.onnx").write_bytes(quantized_model(network))
    model = build_model(network, X3M, EmitOptions())
    (folder / "model.bin").write_bytes(container.dump((model,)))
    rng = np.random.default_rng(0)
    feeds = {}
    for each in network.inputs:
        feeds[each.tensor.name] = rng.integers(-128, 128, each.tensor.shape).astype(np.int8)
        np.save(folder / f"input_{each.tensor.name}.npy", feeds[each.tensor.name])
    values = reference(network, feeds)
    wanted = digest({output.tensor: values[output.tensor][None] for output in network.outputs})
    return {"quantized model": wanted, "engine": wanted}


def emulator(name: str) -> str:
    """Path of a qemu-user emulator.

    Raises:
        Missing: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed: apt-get install qemu-user-static")
    return found


def arm_root(cache: Path) -> tuple[Path, str]:
    """Folder with an unpacked arm64 Python and aarch64 wheels, and the Python's version.

    Raises:
        Missing: no apt, or it has no arm64 packages.
    """
    key = hashlib.sha256(" ".join((*ARM_WHEELS, *ARM_LIBRARIES)).encode()).hexdigest()[:12]
    root = cache / f"aarch64-{key}"
    done = root / "complete"
    if done.exists():
        return root, done.read_text()
    shutil.rmtree(root, ignore_errors=True)
    debs = root / "debs"
    debs.mkdir(parents=True)
    version = _unpack_debian(root, debs)
    _install_wheels(root / "site", version)
    shutil.rmtree(debs)
    done.write_text(version)
    return root, version


def _unpack_debian(root: Path, debs: Path) -> str:
    """Download and unpack arm64 packages with a private apt state; the system's is not touched."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing("an ARM Python is unpacked from Debian packages: this system has no apt")
    state = root / "apt"
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    options = [
        "-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64",
        "-o", f"Dir::State={state}", "-o", f"Dir::State::Lists={state}/lists",
        "-o", f"Dir::State::status={state}/status", "-o", f"Dir::Cache={state}/cache",
        "-o", "APT::Sandbox::User=root", "-q",
    ]  # fmt: skip
    run(["apt-get", *options, "update"], "apt-get update for arm64")
    for version in ARM_PYTHONS:
        python = (f"python{version}-minimal", f"libpython{version}-minimal",
                  f"libpython{version}-stdlib")  # fmt: skip
        command = ["apt-get", *options, "download", *python, *ARM_LIBRARIES]
        if subprocess.run(command, cwd=debs, capture_output=True, check=False).returncode == 0:
            break
    else:
        raise Missing(f"apt has no arm64 package of Python {', '.join(ARM_PYTHONS)}")
    for deb in sorted(debs.glob("*.deb")):
        run(["dpkg-deb", "-x", str(deb), str(root)], f"unpacking {deb.name}")
    return version


def _install_wheels(site: Path, version: str) -> None:
    wheels = list(ARM_WHEELS)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is not None:
        command = [
            uv, "pip", "install", "-q", "--python-platform", "aarch64-manylinux_2_28",
            "--python-version", version, "--only-binary", ":all:", "--no-deps",
            "--target", str(site), *wheels,
        ]  # fmt: skip
    else:
        platforms = [part for name in PLATFORMS for part in ("--platform", name)]
        command = [
            sys.executable, "-m", "pip", "install", "-q", *platforms, "--python-version", version,
            "--only-binary", ":all:", "--no-deps", "--target", str(site), *wheels,
        ]  # fmt: skip
    run(command, "installing aarch64 wheels")


def run(command: list[str], what: str, env: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed.

    Raises:
        Missing: it failed; with the end of what it said.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=env
    )
    if done.returncode != 0:
        raise Missing(f"{what} failed ({done.returncode}): {done.stderr.strip()[-800:]}")
    return done.stdout


def on_haswell(folder: Path) -> dict[str, str]:
    """Digests by this interpreter on an emulated AVX2-only x86 CPU."""
    command = [emulator("qemu-x86_64-static"), "-cpu", "Haswell", sys.executable]
    return _run_here(command, folder, os.environ | {"PYTHONPATH": _python_path()})


def on_arm(folder: Path, cache: Path, cpu: str = "cortex-a72") -> dict[str, str]:
    """Digests by an ARM Python on an emulated ARM CPU."""
    qemu = emulator("qemu-aarch64-static")
    root, version = arm_root(cache)
    command = [qemu, "-L", str(root), "-cpu", cpu, str(root / f"usr/bin/python{version}")]
    path = f"{root / 'site'}:{_python_path()}"
    env = {"PYTHONPATH": path, "PYTHONHOME": str(root / "usr"), "HOME": str(root)}
    return _run_here(command, folder, env)


def kernels_on_haswell(folder: Path, what: str = "--kernels") -> dict[str, str]:
    """What the kernels make on an emulated AVX2-only x86 CPU."""
    build_kernels(folder, "x86_64", "g++")
    command = [emulator("qemu-x86_64-static"), "-cpu", "Haswell", sys.executable]
    env = os.environ | {"PYTHONPATH": _python_path()}
    return _run_here(command, folder, env, what)


def kernels_on_arm(folder: Path, cache: Path, cpu: str, what: str = "--kernels") -> dict[str, str]:
    """What the kernels make on an emulated ARM CPU."""
    build_kernels(folder, "aarch64", "aarch64-linux-gnu-g++")
    root, version = arm_root(cache)
    python = str(root / f"usr/bin/python{version}")
    command = [emulator("qemu-aarch64-static"), "-L", str(root), "-cpu", cpu, python]
    path = f"{root / 'site'}:{_python_path()}"
    env = {"PYTHONPATH": path, "PYTHONHOME": str(root / "usr"), "HOME": str(root)}
    return _run_here(command, folder, env, what)


def _python_path() -> str:
    return f"{ROOT / 'common'}:{ROOT / 'simulator'}:{ROOT}"


def _run_here(
    command: list[str], folder: Path, env: dict[str, str], what: str = "--run"
) -> dict[str, str]:
    said = run([*command, __file__, what, str(folder)], " ".join(command[:4]), env)
    found: dict[str, str] = json.loads(said.strip().splitlines()[-1])
    return found


def default_cache() -> Path:
    """Where the ARM root is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "openbpu" / "qemu"


def main() -> int:
    """Print the digests of all CPUs; 1 if they differ or something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="only run the network in this folder, here")
    parser.add_argument("--kernels", type=Path, help="the same on compiled kernels")
    parser.add_argument("--replay", type=Path, help="recorded cases on compiled kernels")
    parser.add_argument("--folder", type=Path, default=default_cache() / "network")
    arguments = parser.parse_args()
    if arguments.run is not None:
        print(json.dumps(digests(arguments.run)))
        return 0
    if arguments.kernels is not None:
        print(json.dumps(kernel_digests(arguments.kernels)))
        return 0
    if arguments.replay is not None:
        from tests.support.kernels_runs import replay

        print(json.dumps(replay(arguments.replay)))
        return 0
    folder = arguments.folder
    sys.path.insert(0, str(ROOT))
    try:
        wanted = build_network(folder)
        found = {
            "arithmetic": wanted,
            "this CPU": digests(folder),
            "Haswell": on_haswell(folder),
            "Cortex-A72": on_arm(folder, default_cache()),
        }
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, values in found.items():
        print(f"{name:12} {values['quantized model'][:16]} {values['engine'][:16]}")
    return 0 if all(values == wanted for values in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
