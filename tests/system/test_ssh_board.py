"""From a bare board behind a real sshd to results, by the documented commands, and back to bare."""

from __future__ import annotations

import json
import platform
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bpu_common import container
from bpu_common.errors import BpuError
from bpu_host.boards import wheel
from bpu_host.boards.access import open_route
from bpu_host.boards.inventory import BoardEntry, Inventory
from bpu_host.client import connect
from bpu_host.remote import Board
from tests.support.agent_remote import wait_until
from tests.support.models_board import HEIGHT, WIDTH, expected_codes, image_input
from tests.support.sshd_ssh import SshBoard

pytestmark = pytest.mark.system

BACK_S = 30
"""Generous: recovery is measured in benchmarks/transport.py."""

PIXELS = np.random.default_rng(5).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)


def test_from_nothing_to_results(sshd: SshBoard, bpu, tiny: Path) -> None:
    """The commands of docs/boards.md, in their order."""
    fingerprint = sshd.fingerprint()
    status, _, err = bpu("boards", "add", "desk", sshd.target)
    assert status != 0  # nobody has answered the question
    assert fingerprint in err
    assert list(sshd.home.iterdir()) == []

    wrong = "SHA256:" + "A" * 43
    status, _, err = bpu("boards", "add", "desk", sshd.target, "--fingerprint", wrong)
    assert (status, fingerprint in err) == (2, True)
    assert list(sshd.home.iterdir()) == []

    from bpu_host.cli.bpu import bpu as command

    add = ["boards", "add", "desk", sshd.target, "--bundle"]
    assert CliRunner().invoke(command, add, "y\n").exit_code == 1  # a pipe is nobody
    done = CliRunner().invoke(command, [*add, "--fingerprint", fingerprint])
    assert "desk: works (x3m" in done.output

    status, out, _ = bpu("deploy", tiny, "--board", "desk", "--json")
    assert (status, json.loads(out)["sent_bytes"]) == (0, tiny.stat().st_size)
    status, out, _ = bpu("deploy", tiny, "--board", "desk", "--json")
    assert (status, json.loads(out)["sent_bytes"]) == (0, 0)

    np.save(sshd.root / "in.npy", PIXELS)
    status, out, _ = bpu("run", "tiny", sshd.root / "in.npy", "--board", "desk", "--json")
    assert (status, json.loads(out)["model"]) == (0, "tiny")
    status, out, _ = bpu("perf", "tiny", "--board", "desk", "--frames", 50, "--profile", "--json")
    result = json.loads(out)
    assert (status, result["frame_count"]) == (0, 50)
    assert result["profile"]["model_latency"]

    status, out, _ = bpu("boards", "list", "--json")
    (entry,) = json.loads(out)["boards"]
    assert (entry["name"], entry["folder"]) == ("desk", f"{sshd.home}/.openbpu")
    status, out, _ = bpu("boards", "status", "--json")
    (state,) = json.loads(out)["boards"]
    assert (status, state["problem"], state["models"]) == (0, "", 1)


def test_python_interface(desk: SshBoard, tiny: Path) -> None:
    with connect("desk") as board:
        board.deploy(tiny)
        result = board.infer("tiny", PIXELS)
    np.testing.assert_array_equal(result.outputs["codes"], expected_codes(PIXELS, image_input()))


def test_private_and_in_one_folder(desk: SshBoard) -> None:
    """The installation is one folder that only its owner can enter; no port is open."""
    found = list(desk.home.iterdir())
    assert [each.name for each in found] == [".openbpu"]
    (folder,) = found
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "run" / "agent.sock").stat().st_mode) == 0o600
    for name in ("boards.json", "known_hosts"):
        mode = (desk.user / "config" / "openbpu" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    (agent,) = desk.processes("bpu_board.cli.agent")
    listening = {
        line.split()[9]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{agent}/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    held = {str(path.readlink()) for path in Path(f"/proc/{agent}/fd").iterdir()}
    assert not [each for each in listening if f"socket:[{each}]" in held]


def test_adding_again_changes_nothing(desk: SshBoard, bpu) -> None:
    before = desk.processes("bpu_board.cli.agent")
    status, out, err = bpu("boards", "add", "desk", desk.target)
    assert (status, "desk: works" in out) == (0, True)
    assert "runs already" in err
    assert desk.processes("bpu_board.cli.agent") == before
    status, _, err = bpu("boards", "add", "desk", "elsewhere")
    assert (status, "use another name" in err) == (2, True)


def test_doctor(desk: SshBoard, bpu) -> None:
    status, out, _ = bpu("boards", "doctor", "desk", "--json")
    findings = {each["what"]: each for each in json.loads(out)["findings"]}
    assert status == 0, findings
    assert {"address", "host key", "ssh", "board", "installation", "agent"} <= set(findings)
    assert findings["engine"]["found"].startswith("compiled kernels (")
    (desk.home / ".openbpu" / "run").chmod(0o755)
    try:
        status, out, _ = bpu("boards", "doctor", "desk")
    finally:
        (desk.home / ".openbpu" / "run").chmod(0o700)
    assert (status, "BAD permissions" in out) == (1, True)


@pytest.mark.parametrize("victim", ["agent", "supervise run", "session"])
def test_kill_9_during_inference(desk: SshBoard, tiny: Path, victim: str) -> None:
    """Calls go on by themselves: one is repeated, none gives a wrong answer."""
    wanted = expected_codes(PIXELS, image_input())
    with connect("desk") as board:
        board.deploy(tiny)
        answers = 0
        stop = threading.Event()

        def kill() -> None:
            stop.wait(0.3)
            if victim == "session":
                desk.kill_sessions()
            else:
                desk.kill(f"bpu_board.cli.{victim}")
            stop.set()

        thread = threading.Thread(target=kill)
        thread.start()
        after = 0
        end = time.monotonic() + BACK_S
        while after < 5:
            assert time.monotonic() < end, f"{answers} answers"
            result = board.infer("tiny", PIXELS)
            np.testing.assert_array_equal(result.outputs["codes"], wanted)
            answers += 1
            after += stop.is_set()
        thread.join()


@pytest.mark.parametrize(("seed", "victim"), list(enumerate(["agent", "supervise run", "session"])))
def test_kill_9_during_upload(
    desk: SshBoard, heavy: Callable[[int, int], Path], seed: int, victim: str
) -> None:
    """The upload goes on where it was cut; the model is there whole."""
    path = heavy(8, seed)
    killed = threading.Event()

    def progress(done: int, total: int) -> None:
        if done > total // 2 and not killed.is_set():
            killed.set()
            if victim == "session":
                desk.kill_sessions()
            else:
                desk.kill(f"bpu_board.cli.{victim}")

    with connect("desk") as board:
        result = board.deploy(path, progress)
        assert killed.is_set()
        assert result.models == (f"heavy{seed}",)
        board.infer(f"heavy{seed}", PIXELS)
        board.remove(f"heavy{seed}")
    stored = desk.home / ".openbpu" / "models" / "models"
    for file in stored.glob("*"):
        assert container.digest(file) == file.stem


def test_kill_9_of_the_client(desk: SshBoard, tiny: Path) -> None:
    """The board ends what nobody waits for."""
    with connect("desk") as board:
        board.deploy(tiny)
        words = ["perf", "tiny", "--board", "desk", "--frames", "100000000", "--threads", "8"]
        client = subprocess.Popen([sys.executable, "-m", "bpu_host.cli.bpu", *words])
        try:
            wait_until(lambda: _running(board) > 0, BACK_S)
        finally:
            client.kill()
            client.wait()
        wait_until(lambda: _running(board) == 0, BACK_S)


def _running(board: Board) -> int:
    return max(frame.queue.running for frame in board.telemetry(20, 5))


def test_a_lost_measurement_says_so(desk: SshBoard, bpu, tiny: Path) -> None:
    with connect("desk") as board:
        board.deploy(tiny)
    timer = threading.Timer(2.5, desk.kill_sessions)
    timer.start()
    status, _, err = bpu("perf", "tiny", "--board", "desk", "--frames", 10_000_000)
    timer.join()
    assert status == 1
    assert "lost during the measurement" in err
    assert "hint: " in err
    with connect("desk") as board:
        wait_until(lambda: _running(board) == 0, BACK_S)


def test_servers_without_socket_forwarding(desk: SshBoard, bpu, tiny: Path) -> None:
    """A relay takes its place; a dead agent is started then too."""
    desk.stop()
    desk.start(forwarding=False)
    try:
        assert bpu("deploy", tiny, "--board", "desk")[0] == 0
        desk.kill("bpu_board.cli.supervise run")
        status, out, err = bpu("models", "--board", "desk")
        assert (status, "tiny" in out) == (0, True), err
    finally:
        desk.stop()
        desk.start()


def test_the_ssh_program_as_transport(
    desk: SshBoard, bpu, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks its own configuration: here one that a wrapper names."""
    folder = desk.root / "bin"
    folder.mkdir()
    config = desk.root / "ssh_config"
    config.write_text(
        f"Host alias\n  HostName 127.0.0.1\n  Port {desk.port}\n"
        f"  IdentityFile {desk.user}/.ssh/id_ed25519\n  IdentitiesOnly yes\n"
    )
    (folder / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    status, out, err = bpu("boards", "add", "other", "alias", "--transport", "openssh")
    assert (status, "other: works" in out) == (0, True), err
    assert bpu("deploy", tiny, "--board", "other")[0] == 0
    with connect("other") as board:
        board.infer("tiny", PIXELS)
        desk.kill("bpu_board.cli.supervise run")
        board.infer("tiny", PIXELS)
        desk.kill_sessions()
        wait_until(lambda: _answers(board), BACK_S)
    assert bpu("boards", "remove", "other", "--forget")[0] == 0


def _answers(board: Board) -> bool:
    try:
        board.infer("tiny", PIXELS)
    except BpuError:
        return False
    return True


def test_proxy_command_and_alias(desk: SshBoard) -> None:
    """The user's configuration is used: alias, included file, key, proxy."""
    config = desk.user / ".ssh" / "config"
    config.write_text("Include more\n")
    (desk.user / ".ssh" / "more").write_text(
        f"Host through\n  HostName 127.0.0.1\n  Port {desk.port}\n"
        f"  IdentityFile {desk.user}/.ssh/id_ed25519\n"
        f"  ProxyCommand /usr/bin/ssh -F /dev/null -p {desk.port} "
        f"-i {desk.user}/.ssh/id_ed25519 "
        f"-o UserKnownHostsFile={desk.user}/config/openbpu/known_hosts -W %h:%p 127.0.0.1\n"
    )
    entry = BoardEntry("through", "through", folder=f"{desk.home}/.openbpu")
    try:
        route = open_route(entry)
        try:
            with Board.connect(route.address) as board:
                assert board.info().machine == "x3m"
        finally:
            route.close()
    finally:
        config.unlink()


def test_a_key_that_is_not_accepted(desk: SshBoard, bpu) -> None:
    keys = desk.root / "authorized_keys"
    text = keys.read_text()
    keys.write_text("")
    try:
        status, _, err = bpu("models", "--board", "desk")
    finally:
        keys.write_text(text)
    assert status == 1
    assert "ssh-copy-id" in err
    assert "id_ed25519" in err


def test_a_changed_host_key_is_refused(desk: SshBoard, bpu) -> None:
    desk.stop()
    desk.start(key="second")
    try:
        second = desk.fingerprint("second")
        status, _, err = bpu("models", "--board", "desk")
        assert status == 1
        assert "CHANGED" in err
        assert f"bpu boards trust desk --fingerprint {second}" in err
        assert bpu("boards", "add", "desk", desk.target, "--fingerprint", second)[0] == 1
        first = desk.fingerprint("first")
        status, _, err = bpu("boards", "trust", "desk", "--fingerprint", first)
        assert (status, "another key" in err) == (2, True)
        assert bpu("boards", "trust", "desk", "--fingerprint", second)[0] == 0
        assert bpu("models", "--board", "desk")[0] == 0
    finally:
        desk.stop()
        desk.start()
    assert bpu("boards", "trust", "desk", "--fingerprint", desk.fingerprint())[0] == 0


def _with(monkeypatch: pytest.MonkeyPatch, name: str, data: bytes) -> None:
    """A version of the board's wheel with one file changed."""
    files = {**dict(wheel._package_files(platform.machine())), name: data}
    wheel.board_wheel.cache_clear()
    monkeypatch.setattr(wheel, "_package_files", lambda _: iter(files.items()))


def test_upgrade_and_one_that_does_not_start(
    desk: SshBoard, bpu, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bpu("deploy", tiny, "--board", "desk")[0] == 0
    folder = desk.home / ".openbpu"
    assert (folder / "wheels" / wheel.board_wheel(platform.machine()).name).exists()
    before = (folder / "current").readlink()
    with monkeypatch.context() as changed:
        _with(changed, "bpu_board/newer.txt", b"a newer version")
        status, _, err = bpu("boards", "upgrade", "desk", "--clock", "paced")
        assert status == 0, err
        after = (folder / "current").readlink()
        assert after != before
        assert [each.name for each in folder.glob("env-*")] == [after.name]
        assert desk.processes("--clock paced")
        status, out, _ = bpu("models", "--board", "desk")
        assert "tiny" in out

    with monkeypatch.context() as changed:
        monkeypatch.setattr("bpu_host.boards.install._START_S", 3.0)
        _with(changed, "bpu_board/cli/agent.py", b"raise SystemExit('this version is broken')\n")
        status, _, err = bpu("boards", "upgrade", "desk")
        assert status == 1
        assert "this version is broken" in err
        assert "going back" in err
        assert (folder / "current").readlink() == after
        assert desk.processes("--clock paced")
        assert bpu("models", "--board", "desk")[0] == 0
    wheel.board_wheel.cache_clear()


def test_what_a_board_lacks(desk: SshBoard, bpu) -> None:
    old = desk.root / "python-old"
    old.write_text("#!/bin/sh\necho '" + json.dumps(_facts(version=[3, 8, 10])) + "'\n")
    old.chmod(0o755)
    arguments = ("boards", "add", "poor", desk.target, "--python", old)
    status, _, err = bpu(*arguments)
    assert (status, "needs Python 3.10" in err, "3.8.10" in err) == (2, True, True)
    old.write_text("#!/bin/sh\necho '" + json.dumps(_facts(machine="armv7l", free=1)) + "'\n")
    status, _, err = bpu(*arguments)
    assert (status, "armv7l" in err, "0 MB are free" in err) == (2, True, True)
    assert Inventory().find("poor") is None


def _facts(**changed: object) -> dict[str, object]:
    return {
        "version": [3, 11, 2], "machine": "aarch64", "libc": ["glibc", "2.31"], "free": 1 << 33,
        "missing": "", "home": "/nowhere", "bits": True, "path": "python", "system": "linux",
        "implementation": "CPython", **changed,
    }  # fmt: skip


def test_zz_removal_leaves_nothing(desk: SshBoard, bpu, tiny: Path) -> None:
    """The last test of this file: the board is bare again, and so is the host."""
    assert bpu("deploy", tiny, "--board", "desk")[0] == 0
    stray = desk.home / ".openbpu" / "thesis.txt"
    stray.write_text("not ours")
    status, _, err = bpu("boards", "remove", "desk")
    assert (status, "thesis.txt" in err) == (1, True)
    stray.unlink()
    status, _, err = bpu("boards", "remove", "desk")
    assert status == 0, err
    assert list(desk.home.iterdir()) == []
    assert desk.processes() == []
    assert Inventory().entries() == ()
    assert (desk.user / "config" / "openbpu" / "known_hosts").read_text() == ""
    assert list((desk.user / "openbpu").glob("*.sock")) == []
    status, _, err = bpu("models", "--board", "desk")
    assert (status, "no boards" in err) == (2, True)
