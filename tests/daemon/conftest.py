"""Two real agents, a user of their own, and a daemon that is connected to both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bpu_common import container
from bpu_common.daemon import LinkState
from bpu_host.daemon.client import Daemon
from bpu_host.remote import Board
from tests.support.agent_remote import Agent, wait_until
from tests.support.daemon_home import Home
from tests.support.models_board import tiny_model


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agent, Agent]]:
    folder = tmp_path_factory.mktemp("agents")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    path = folder / "tiny.bin"
    path.write_bytes(container.dump([tiny_model()]))
    with Agent(folder / "a", "--clock", "virtual") as desk, Agent(folder / "b") as rack:
        for agent in (desk, rack):
            with Board.connect(agent.address) as board:
                board.deploy(path)
        yield desk, rack


@pytest.fixture
def home(agents: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = Home(monkeypatch)
    made.add("desk", agents[0].address)
    made.add("rack", agents[1].address)
    yield made
    made.close()


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    home.start()
    found = Daemon.find()
    assert found is not None
    with found:
        wait_until(lambda: all(link.state is LinkState.UP for link in found.status().boards))
        yield found
