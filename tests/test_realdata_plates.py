"""Plate models against what vendors' programs made of the same raw channels (docs/data.md)."""

import numpy as np
import pytest

from balancecore import plates
from balancecore.trial import CHANNELS

pytestmark = pytest.mark.realdata

#: Both sides of the export are rounded to 1e-6: a sum of four channels and the sum's own digits.
FORCE_N = 2.01e-6
#: The same through levers of up to 0.35 m; the vendor's program multiplies in single precision.
MOMENT_NM, SINGLE = 3e-6, 1.2e-7
#: Half of the last printed digit of the vendor's place, and what rounded forces change.
PLACE_M = 1e-6
FREE_NM = 3e-4
#: The vendor writes 0 for place and moments without load.
LOADED_N = 20.0
#: Half of the last of six digits of a place in cm, and of a moment in N·m over 500 N.
PRINTED_CM = 5e-7 + 100.0 * 5e-7 / 500.0
A_M, B_M = 0.21, 0.35


def bioware(path):
    """Columns of a BioWare text export, by name."""
    lines = path.read_text(encoding="latin-1").splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("abs time"))
    return dict(zip(lines[head].split("\t"), np.loadtxt(lines[head + 2 :], delimiter="\t").T, strict=True))


@pytest.mark.parametrize(
    ("name", "az0_m", "frames", "loaded_frames"),
    [("kistler_CMJ_1plate.txt", -0.052, 8000, 7446), ("kistler_COP.txt", -0.057, 500, 500)],
)
def test_kistler_channels_give_what_the_vendor_made_of_them(data_dir, name, az0_m, frames, loaded_frames):
    vendor = bioware(data_dir / "kistler_raw" / name)
    raw = np.column_stack([vendor[channel] for channel in plates.KISTLER_CHANNELS])
    wrench = plates.kistler(a_m=A_M, b_m=B_M, az0_m=az0_m).wrench(raw)
    cop, free_moment = plates.centre_of_pressure(wrench)
    loaded = vendor["Fz"] >= LOADED_N
    assert (len(raw), loaded.sum()) == (frames, loaded_frames)
    for k, channel in enumerate(CHANNELS):
        rows = slice(None) if k < 3 else loaded
        atol, rtol = (FORCE_N, 0.0) if k < 3 else (MOMENT_NM, SINGLE)
        np.testing.assert_allclose(
            wrench[rows, k], vendor[channel][rows], rtol=rtol, atol=atol, err_msg=channel
        )
    np.testing.assert_allclose(cop[loaded, 0], vendor["Ax"][loaded], rtol=0, atol=PLACE_M)
    np.testing.assert_allclose(cop[loaded, 1], vendor["Ay"][loaded], rtol=0, atol=PLACE_M)
    np.testing.assert_allclose(free_moment[loaded], vendor["Tz"][loaded], rtol=0, atol=FREE_NM)
    assert np.isnan(free_moment[~loaded]).all()


@pytest.mark.parametrize("number", range(1, 9))
def test_quiet_standing_on_an_amti_plate(data_dir, number):
    table = np.loadtxt(data_dir / "quiet_standing" / f"BDS{number:05d}.txt", skiprows=1)
    cop, _ = plates.centre_of_pressure(plates.calibrated().wrench(table[:, 1:7]))
    assert len(table) == 6000
    np.testing.assert_allclose(100.0 * cop[:, :2], table[:, 7:9], rtol=0, atol=PRINTED_CM)
