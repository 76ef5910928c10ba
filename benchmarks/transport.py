"""What SSH costs: uploads against scp, inference against a plain gRPC call, recovery after kills.

    python -m benchmarks.transport

The board is a real sshd on loopback with an empty home folder, set up by `bpu boards add`. Every
comparison is interleaved; both sides use a connection that is open already.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np

from benchmarks.remote_infer import _METHOD, ROUNDS, SIZES, measure, model_of
from bpu_common import container
from bpu_common.wire.rpc.limits import CHANNEL_OPTIONS
from bpu_common.wire.rpc.memory import keep_large_blocks
from bpu_host.boards import BoardEntry
from bpu_host.boards.access import dial, open_route, supervise_command
from bpu_host.boards.install import InstallOptions
from bpu_host.boards.inventory import Inventory
from bpu_host.boards.places import runtime_folder
from bpu_host.client import connect, operations
from bpu_host.remote import Board
from bpu_host.remote.ssh import Tunnel
from tests.support.models_board import HEIGHT, WIDTH, tiny_model
from tests.support.sshd_ssh import SshBoard

UPLOAD_MIB = 64
UPLOADS = 5
KILLS = 3
RECOVERY_LIMIT_S = 5.0


def heavy(path: Path, seed: int) -> Path:
    """A model file of UPLOAD_MIB that cannot be compressed."""
    model = tiny_model("heavy")
    ballast = np.random.default_rng(seed).integers(0, 256, UPLOAD_MIB << 20, np.uint8)
    network = replace(model.network, constants={"ballast": ballast})
    path.write_bytes(container.dump([replace(model, network=network)]))
    return path


class SshProgram:
    """The system's ssh with one connection that all its commands share."""

    def __init__(self, board: SshBoard) -> None:
        self._board = board
        self._options = [
            *("-F", "/dev/null", "-i", str(board.user / ".ssh" / "id_ed25519")),
            *("-o", f"UserKnownHostsFile={board.user}/config/openbpu/known_hosts"),
            *("-o", "ControlMaster=auto", "-o", f"ControlPath={board.root}/ctl"),
            *("-o", "ControlPersist=600", "-o", "LogLevel=ERROR"),
            *("-c", "aes128-gcm@openssh.com"),
        ]
        self._ssh = ["ssh", *self._options, "-p", str(board.port), "127.0.0.1"]
        subprocess.run([*self._ssh, "true"], check=True, stdin=subprocess.DEVNULL)

    def copy(self, path: Path) -> None:
        """scp into the home folder."""
        target = f"127.0.0.1:{self._board.home}/copied"
        port = ["-P", str(self._board.port)]
        subprocess.run(["scp", "-q", *self._options, *port, path, target], check=True)

    def close(self) -> None:
        """End the connection."""
        command = [self._ssh[0], "-O", "exit", *self._ssh[1:]]
        subprocess.run(command, check=True, capture_output=True)


def seconds(call: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def uploads(sshd: SshBoard) -> None:
    program = SshProgram(sshd)
    times: list[tuple[float, ...]] = []
    direct_address = f"unix:{sshd.home}/.openbpu/run/agent.sock"
    with connect("desk") as board, Board.connect(direct_address) as direct:
        for seed in range(UPLOADS + 1):
            path = heavy(sshd.root / "heavy.bin", seed)
            copied_s = seconds(lambda path=path: program.copy(path))
            deployed_s = seconds(lambda path=path: board.deploy(path))
            again_s = seconds(lambda path=path: board.deploy(path))
            path = heavy(sshd.root / "heavy.bin", seed + 100)
            direct_s = seconds(lambda path=path: direct.deploy(path))
            times.append((copied_s, deployed_s, direct_s))
        board.remove("heavy")
    program.close()
    (sshd.home / "copied").unlink()
    size = UPLOAD_MIB * (1 << 20) / 1e6
    copied, deployed, direct_s = (
        statistics.median(each[k] for each in times[1:]) for k in range(3)
    )
    ratio, direct_ratio = (
        statistics.median(each[0] / each[k] for each in times[1:]) for k in (1, 2)
    )
    print(f"Upload of {UPLOAD_MIB} MiB, median of {UPLOADS}:\n")
    print("| | MB/s | of scp |\n|---|---|---|")
    print(f"| scp, connection shared, aes128-gcm | {size / copied:.0f} | 1.00 |")
    print(f"| `bpu deploy`: digest, transfer, check, sync | {size / deployed:.0f} | {ratio:.2f} |")
    print(f"| the same without SSH | {size / direct_s:.0f} | {direct_ratio:.2f} |")
    print(f"\nThe same file again: {again_s * 1e3:.0f} ms, nothing is sent.\n")


def round_trips(sshd: SshBoard) -> None:
    raw_socket = sshd.home / "raw.sock"
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.remote_infer", "--serve-raw", f"unix:{raw_socket}"],
        stdout=subprocess.PIPE,
    )
    entry = Inventory().get("desk")
    connection = dial(entry)  # one SSH connection for both
    tunnels = [
        Tunnel(lambda: connection, path, supervise_command(entry, "relay"), print, runtime_folder())
        for path in (f"{entry.folder}/run/agent.sock", str(raw_socket))
    ]
    try:
        assert server.stdout is not None
        server.stdout.readline()
        for tunnel in tunnels:
            tunnel.start()
        print("Inference against a plain gRPC call through the same SSH connection:\n")
        print("| request | raw p50 | infer p50 less runtime | ratio |\n|---|---|---|---|")
        with (
            Board.connect(tunnels[0].address) as board,
            grpc.insecure_channel(
                tunnels[1].address,
                options=[*CHANNEL_OPTIONS, ("grpc.default_authority", "localhost")],
            ) as channel,
        ):
            raw = channel.unary_unary(_METHOD)
            for label, shape in SIZES.items():
                path = sshd.root / "net.bin"
                model = model_of(f"net{shape[1]}", shape)
                path.write_bytes(container.dump([model]))
                board.deploy(path)
                rounds = measure(board, raw, model.name, shape[1])
                floor, infer = (statistics.median(each[k] for each in rounds) for k in range(2))
                ratio = statistics.median(each[1] / each[0] for each in rounds)
                print(f"| {label} | {floor:.3f} ms | {infer:.3f} ms | **{ratio:.2f}x** |")
        print(f"\nMedians of {ROUNDS} rounds; ratio is the median of the rounds' ratios.\n")
    finally:
        for tunnel in tunnels:
            tunnel.close()
        server.terminate()
        server.wait(20)
        raw_socket.unlink(missing_ok=True)


def recovery(sshd: SshBoard) -> bool:
    """Seconds from a kill -9 to the next answer of an open `Board`; True if all are in time."""
    path = sshd.root / "tiny.bin"
    path.write_bytes(container.dump([tiny_model()]))
    pixels = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    victims = {
        "agent": lambda: sshd.kill("bpu_board.cli.agent"),
        "supervisor": lambda: sshd.kill("bpu_board.cli.supervise run"),
        "SSH session": sshd.kill_sessions,
    }
    good = True
    print(f"From kill -9 to the next answer of an open `Board`, {KILLS} times each:\n")
    print("| killed | median | longest | |\n|---|---|---|---|")
    with connect("desk") as board:
        board.deploy(path)
        board.infer("tiny", pixels)
        for name, kill in victims.items():
            times = []
            for _ in range(KILLS):
                kill()
                times.append(seconds(lambda: board.infer("tiny", pixels)))
            verdict = "" if max(times) <= RECOVERY_LIMIT_S else f"over {RECOVERY_LIMIT_S:g} s"
            good &= not verdict
            print(f"| {name} | {statistics.median(times):.2f} s | {max(times):.2f} s | {verdict} |")
    return good


def main() -> int:
    keep_large_blocks()
    # Sockets need short paths.
    with (
        tempfile.TemporaryDirectory(prefix="bpu") as folder,
        SshBoard(Path(folder)) as sshd,
        sshd.as_user(),
    ):
        fingerprint = sshd.fingerprint()
        took_s = seconds(
            lambda: operations.add(
                BoardEntry("desk", "127.0.0.1", port=sshd.port),
                InstallOptions(bundle=True),
                lambda _host, key: key.fingerprint == fingerprint,
                lambda text: print(text, file=sys.stderr),
            )
        )
        print("## Through SSH: sshd on loopback\n")
        print(f"From a bare board to a working one: {took_s:.1f} s, wheels fetched included.\n")
        uploads(sshd)
        round_trips(sshd)
        good = recovery(sshd)
        open_route(Inventory().get("desk")).close()
        operations.remove("desk", forget=False)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
