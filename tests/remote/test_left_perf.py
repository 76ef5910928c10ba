"""A measurement whose caller goes away leaves one line in the agent's log."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from bpu_board.agent.servicer import RuntimeServicer
from bpu_board.devices.simulated import SimDevice
from bpu_board.runtime import Runtime
from bpu_common.machine import X3M
from bpu_common.perf import PerfRequest
from tests.support.models_board import install, slow_model


def test_one_line_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logged = threading.Event()
    caplog.handler.addFilter(lambda _: logged.set() is None)
    runtime = Runtime(SimDevice(X3M))
    install(runtime, slow_model())

    async def leave() -> None:
        servicer = RuntimeServicer(runtime)
        events = servicer.perf(PerfRequest("slow", frame_count=1 << 40))
        await anext(events)
        await events.aclose()
        assert await asyncio.to_thread(logged.wait, 30)

    asyncio.run(leave())
    runtime.close()
    (line,) = caplog.records
    assert line.levelname == "INFO"
    assert line.getMessage().startswith("perf of slow, its caller is gone: the measurement was")
