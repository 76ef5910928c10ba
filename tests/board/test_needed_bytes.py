"""A request with tensors may be as large as the inputs of some model on the board."""

from __future__ import annotations

import numpy as np
import pytest

from bpu_board.agent.call import needed_request_bytes
from bpu_common import container
from bpu_common.errors import CapacityError
from bpu_common.wire.rpc.intake import SMALL_REQUEST_BYTES
from bpu_common.wire.rpc.limits import MAX_MESSAGE_BYTES
from bpu_host.remote import Board
from tests.support.agent_remote import Agent
from tests.support.models_board import image_input, tiny_model


def test_it_is_what_the_largest_inputs_need():
    one = (image_input(),)
    values = int(np.prod(one[0].tensor.shape))
    assert needed_request_bytes(()) == SMALL_REQUEST_BYTES
    assert needed_request_bytes((one, one * 3)) == 3 * 10 * values + SMALL_REQUEST_BYTES
    assert needed_request_bytes((one * 10_000_000,)) == MAX_MESSAGE_BYTES


def test_what_no_model_takes_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "tiny.bin"
    path.write_bytes(container.dump([tiny_model()]))
    with Agent(tmp_path) as agent, Board.connect(agent.address) as board:
        board.deploy(path)
        with pytest.raises(CapacityError, match="no model here takes more than"):
            board.infer("tiny", np.zeros(1 << 20, np.uint8))
        assert board.infer("tiny", np.zeros(image_input().caller_shape, np.uint8)).outputs
