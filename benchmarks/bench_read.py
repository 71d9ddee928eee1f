"""Reading a text file into forces: `balancecore.read` with all its checks beside pandas' C parser on known columns."""

from __future__ import annotations

import ezc3d
import numpy as np
import pandas as pd
import pytest

import balancecore as bc
from balancecore.io.c3d import write_c3d

from .conftest import SMALL, roles

NAMES = [f"ground_{part}{a}" for part in ("force_v", "force_p", "torque_") for a in "xyz"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """One plate as an OpenSim file: 60 s at 1 kHz, about 6 MB."""
    n = 500 if SMALL else 60_000
    rng = np.random.default_rng(3)
    rows = np.column_stack([np.arange(n) / 1000.0, rng.normal(0.0, 100.0, (n, 9))])
    path = tmp_path_factory.mktemp("read") / "grf.mot"
    head = f"run\nversion=1\nnRows={n}\nnColumns=10\ninDegrees=no\nendheader\n" + "\t".join(["time", *NAMES])
    np.savetxt(path, rows, fmt="%.6f", delimiter="\t", header=head, comments="")
    return path, n


@roles("lab")
def bench_read(recording, measure, role):
    path, n = recording

    def script():
        return pd.read_csv(path, sep="\t", skiprows=6).to_numpy()[:, 2]

    def ours():
        return bc.read(path).plates[0].wrench[:, 2]

    up = measure(
        script if role == "lab" else ours,
        group="read",
        case="OpenSim .mot, 1000 Hz, 1 plate",
        role=role,
        values=n * 10,
        duration_s=n / 1000.0,
    )
    np.testing.assert_allclose(up, script(), atol=1e-9)


@pytest.fixture(scope="module")
def c3d_recording(tmp_path_factory):
    """Two plates of six channels as C3D: 10 min at 1 kHz, 29 MB."""
    n = 2_000 if SMALL else 600_000
    rng = np.random.default_rng(4)
    wrenches = [rng.normal(0.0, 100.0, (n, 6)) + np.array([0.0, 0.0, 700.0, 0.0, 0.0, 0.0]) for _ in range(2)]
    path = tmp_path_factory.mktemp("read") / "plates.c3d"
    write_c3d(bc.Trial.from_wrenches(wrenches, rate_hz=1000.0), path)
    return path, n


@roles("lab")
def bench_read_c3d(c3d_recording, measure, role):
    """The bare container by ezc3d beside wrenches and centres of pressure in the lab by balancecore."""
    path, n = c3d_recording

    def script():
        return ezc3d.c3d(str(path))["data"]["analogs"][0, 2]

    def ours():
        plates = bc.read(path).plates
        return plates[0].wrench[:, 2], [plate.cop for plate in plates]

    found = measure(
        script if role == "lab" else ours,
        group="read",
        case="C3D, 1000 Hz, 2 plates",
        role=role,
        values=n * 12,
        duration_s=n / 1000.0,
    )
    up = found if role == "lab" else found[0]
    np.testing.assert_allclose(up, script()[: len(up)], atol=1e-3)
