"""What holds for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _no_traces(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cache_home: Path
) -> None:
    """Nothing is remembered in the user's cache; system tests keep their downloads there."""
    if "system" not in request.keywords:
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))
