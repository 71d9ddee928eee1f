"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test may depend on how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Assertions of the contract that drivers inherit say what they saw, like those of a test module.
pytest.register_assert_rewrite("tests.drivers.contract")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real recordings (see docs/data.md), or a skip that says why.

    With BALANCECORE_REQUIRE_DATA=1 their absence is a failure, so that a machine that has them can't skip
    unseen.
    """
    named = os.environ.get("BALANCECORE_DATA", "")
    if named and Path(named).is_dir():
        return Path(named)
    reason = "BALANCECORE_DATA is not set" if not named else "BALANCECORE_DATA names no folder"
    if os.environ.get("BALANCECORE_REQUIRE_DATA") == "1":
        pytest.fail(f"{reason}, and BALANCECORE_REQUIRE_DATA=1 asks for them (docs/data.md)")
    pytest.skip(f"{reason}: the real recordings are described in docs/data.md")
