"""BioWare, Nexus and other makers' files: what they say is what is read."""

import struct

import numpy as np
import pytest

import balancecore as bc
from balancecore.errors import DataError

#: Text exports print six decimals, so that half of the last one is lost.
PRINTED = 5e-7
#: A free moment made of printed moments, forces (up to 1 kN here) and places has their roundings multiplied.
TZ_ATOL = 1e-5
CHANNELS = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")


def printed(path, head=17):
    names = path.read_text(encoding="cp1252").splitlines()[head].split("\t")
    return dict(zip((n.strip() for n in names), np.loadtxt(path, skiprows=head + 2).T, strict=True))


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "rate_hz"), [("kistler_CMJ_1plate.txt", 1000.0), ("kistler_COP.txt", 50.0)])
def test_bioware_text_gives_what_the_vendor_printed(data_dir, name, rate_hz):
    path = data_dir / "kistler_raw" / name
    want = printed(path)
    trial = bc.read(path, convention="reaction", axes=("x", "y", "z"))
    assert trial.rate_hz == rate_hz
    plate = trial.plates[0]
    for k, channel in enumerate(CHANNELS):
        np.testing.assert_array_equal(plate.wrench[:, k], want[channel])
    loaded = want["Fz"] >= 20.0
    assert loaded.sum() > 400
    np.testing.assert_allclose(plate.cop[loaded, 0], want["Ax"][loaded], atol=2 * PRINTED, rtol=0)
    np.testing.assert_allclose(plate.cop[loaded, 1], want["Ay"][loaded], atol=2 * PRINTED, rtol=0)
    np.testing.assert_allclose(plate.free_moment[loaded], want["Tz"][loaded], atol=TZ_ATOL, rtol=0)
    # The transducers stay beside the plate.
    for channel in trial.analog:
        np.testing.assert_array_equal(channel.values, want[channel.name])
        assert (channel.unit, channel.rate_hz) == ("N", rate_hz)
    assert len(trial.analog) == 8


@pytest.mark.realdata
def test_bioware_text_is_turned_into_the_reaction(data_dir):
    """By default it is turned as Kistler's own sheet turns it into 'reactionary' axes, none of them mirrored."""
    path = data_dir / "kistler_raw" / "kistler_COP.txt"
    trial, want = bc.read(path), printed(path)
    wrench = np.column_stack([want[c] for c in CHANNELS]) * [1, -1, 1, 1, -1, 1]
    np.testing.assert_array_equal(trial.plates[0].wrench, wrench)
    np.testing.assert_allclose(trial.plates[0].cop[:, 0], -want["Ax"], atol=2 * PRINTED, rtol=0)
    np.testing.assert_allclose(trial.plates[0].cop[:, 1], want["Ay"], atol=2 * PRINTED, rtol=0)
    assert (trial.convention, trial.axes, trial.lateral_known) == ("action", ("-x", "y", "-z"), False)
    assert bc.read(path, axes=("-x", "y", "-z")).lateral_known
    # In quiet standing the reaction pushes the body back towards where the centre of pressure comes from: sway
    # of the two is opposite, in both directions.
    sway = slice(None)
    for axis in (0, 1):
        force = trial.plates[0].wrench[sway, axis]
        place = trial.plates[0].cop[sway, axis]
        fast = place - np.convolve(place, np.ones(50) / 50, mode="same")
        assert np.corrcoef(force[50:-50], fast[50:-50])[0, 1] < -0.3


@pytest.mark.realdata
def test_quiet_standing_keeps_its_centre_of_pressure(data_dir):
    for number in range(1, 9):
        path = data_dir / "quiet_standing" / f"BDS0000{number}.txt"
        trial, table = bc.read(path), np.loadtxt(path, skiprows=1)
        assert (trial.rate_hz, len(trial), trial.notes) == (100.0, 6000, ())
        # Printed in cm with six decimals.
        np.testing.assert_allclose(
            trial.plates[0].cop[:, :2], table[:, 7:9] / 100, atol=2e-2 * PRINTED, rtol=0
        )


BIOWARE = """BioWare Version 5.6.1.0 Export
Device:\t{devices}
Samples (#):\t{samples}
Rate (Hz):\t{rates}
Description\t
abs time\t{names}
s\t{units}
{rows}
"""


def bioware(path, names, values, *, devices=None, samples=None, rates=None):
    count = len(names)
    rows = ["\t".join(f"{v:.6f}" for v in (k / 500.0, *row)) for k, row in enumerate(values)]
    path.write_text(
        BIOWARE.format(
            devices="\t".join(devices or ["one"] * count),
            samples="\t".join(map(str, samples or [len(values)] * count)),
            rates="\t".join(map(str, rates or [500.0] * count)),
            names="\t".join(names),
            units="\t".join({"F": "N", "M": "N m", "A": "m"}[name[0]] for name in names),
            rows="\n".join(rows),
        ).replace("\n", "\r\n")
    )
    return path


def test_bioware_tells_plates_by_their_device(tmp_path):
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(500.0, 50.0, (20, 16)), 3)
    names = [*CHANNELS, "Ax", "Ay"] * 2
    path = bioware(tmp_path / "two.txt", names, values, devices=["left"] * 8 + ["right"] * 8)
    trial = bc.read(path, convention="reaction", axes=("x", "y", "z"))
    assert len(trial.plates) == 2
    np.testing.assert_array_equal(trial.plates[1].wrench, values[:, 8:14])
    # Its centre of pressure is nonsense here, and that is told.
    assert "its centre of pressure is" in trial.notes[0]


def test_bioware_with_nothing_but_transducers_gives_forces(tmp_path):
    names = ["Fx12", "Fx34", "Fy14", "Fy23", "Fz1", "Fz2", "Fz3", "Fz4"]
    values = np.arange(80.0).reshape(10, 8)
    trial = bc.read(bioware(tmp_path / "raw.txt", names, values))
    plate = trial.plates[0]
    np.testing.assert_array_equal(plate.wrench[:, 0], values[:, 0] + values[:, 1])
    np.testing.assert_array_equal(plate.wrench[:, 1], -(values[:, 2] + values[:, 3]))
    np.testing.assert_array_equal(plate.wrench[:, 2], values[:, 4:].sum(axis=1))
    assert plate.missing == {"Mx", "My", "Mz"}
    assert "balancecore.plates.kistler" in trial.notes[0]
    assert [channel.name for channel in trial.analog] == names


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"samples": [11, 11, 11]}, "the header says 11 samples, the table has 10: the file is cut short"),
        ({"samples": [9, 9, 9]}, "these are too many"),
        ({"rates": [500.0, 500.0, 250.0]}, r"Rate \(Hz\) differs between the columns"),
        ({"rates": ["fast"] * 3}, r"Rate \(Hz\) must be numbers"),
        ({"rates": [250.0] * 3}, "the rate is given as 250 Hz|the time column says"),
        ({"rates": [0.0] * 3}, "the sampling rate|the time column says"),
    ],
)
def test_bioware_that_contradicts_itself_is_refused(tmp_path, change, reason):
    path = bioware(tmp_path / "bad.txt", ["Fx", "Fy", "Fz"], np.ones((10, 3)), **change)
    with pytest.raises(DataError, match=rf"^bad\.txt.*({reason})"):
        bc.read(path)


@pytest.mark.realdata
def test_bioware_dat_gives_the_jump_on_its_plate(data_dir):
    trial = bc.read(data_dir / "kistler_raw" / "BioWare17.dat")
    assert (trial.rate_hz, len(trial), len(trial.plates)) == (1000.0, 5000, 1)
    assert trial.notes == ("BioWare17.dat: a smoothed copy of the recording was left out",)
    plate = trial.plates[0]
    fz = plate.wrench[:, 2]
    # It is a jump: standing, 0.6 s of flight, standing again; the plate is 0.4 by 0.6 m.
    flight = np.flatnonzero(np.abs(fz) < 25.0)
    assert 0.5 < len(flight) / 1000.0 < 0.65
    assert fz[-500:].std() < 10.0
    assert 60.0 < fz[-500:].mean() / 9.81 < 100.0
    loaded = fz > 100.0
    assert (np.abs(plate.cop[loaded, 0]) < 0.2).all()
    assert (np.abs(plate.cop[loaded, 1]) < 0.3).all()


def dat(
    *, copies=0, frames=50, geometry=(400.0, 600.0, 175.0, 275.0, 0.0, 0.0, 0.0, -27.0), maker=b"Kistler"
):
    """A recording by the layout that is understood, and its channels."""
    forces = np.random.default_rng(3).normal(100.0, 10.0, (8, frames)).astype("<f4")
    head = bytes(12) + struct.pack("<ii", 8, frames) + bytes(8) + struct.pack("<d", 1000.0) + bytes(28)
    texts = b"".join(bytes([len(t)]) + t for t in (maker, b"9286AA", b"123"))
    head += texts + struct.pack("<ii", 0, frames - 1) + bytes(12)
    head += struct.pack("<8d", *geometry) + bytes(8)
    head += 3 * b"\x0aIntegrated" + bytes(8 + 128 + 128 + 104)
    plate = head + forces.tobytes()
    start = struct.pack("<i", copies + 1) + bytes(122) + b"CPlateEight"
    return start + plate + copies * (b"\x01\x80" + plate), forces


@pytest.mark.parametrize("copies", [0, 2])
def test_bioware_dat_is_read_as_the_text_is(tmp_path, copies):
    data, forces = dat(copies=copies)
    (tmp_path / "jump.dat").write_bytes(data)
    trial = bc.read(tmp_path / "jump.dat", convention="reaction", axes=("x", "y", "z"))
    fx12, fx34, fy14, fy23, fz1, fz2, fz3, fz4 = forces.astype(np.float64)
    wrench = trial.plates[0].wrench
    np.testing.assert_allclose(wrench[:, 2], fz1 + fz2 + fz3 + fz4)
    mx = 0.275 * (fz1 + fz2 - fz3 - fz4) + (fy14 + fy23) * -0.027
    np.testing.assert_allclose(wrench[:, 3], mx)
    my = 0.175 * (-fz1 + fz2 + fz3 - fz4) - (fx12 + fx34) * -0.027
    np.testing.assert_allclose(wrench[:, 4], my)
    np.testing.assert_allclose(wrench[:, 5], 0.275 * (-fx12 + fx34) + 0.175 * (fy14 - fy23))
    assert bool(trial.notes) == bool(copies)
    assert [channel.name for channel in trial.analog][:2] == ["Fx12", "Fx34"]


@pytest.mark.parametrize(
    "data",
    [
        dat(maker=b"Somebody")[0],
        dat(geometry=(400.0, 600.0, 500.0, 275.0, 0.0, 0.0, 0.0, -27.0))[0],
        dat(geometry=(float("nan"),) * 8)[0],
        dat()[0] + b"more",
        dat(copies=1)[0].replace(b"9286AA", b"9286AB", 1),
        b"\x02" + dat()[0][1:],
        dat()[0][:-1],
    ],
)
def test_bioware_dat_of_another_make_is_refused(tmp_path, data):
    (tmp_path / "jump.dat").write_bytes(data)
    with pytest.raises(
        DataError, match=r"^jump\.dat: a BioWare \.dat recording .* export it from BioWare as text"
    ):
        bc.read(tmp_path / "jump.dat")


# ---------------------------------------------------------------------------------------------------------------
# Vicon Nexus

N = 40
ORIGINS = ((0.3, 0.2), (1.1, 0.2))


def nexus_wrenches():
    """Reaction forces and moments about the plates' origins, and the centre of pressure in the lab."""
    rng = np.random.default_rng(2)
    found = []
    for x0, y0 in ORIGINS:
        wrench = rng.normal(0.0, 5.0, (N, 6))
        wrench[:, 2] += 400.0
        x = x0 - wrench[:, 4] / wrench[:, 2]
        y = y0 + wrench[:, 3] / wrench[:, 2]
        found.append((wrench, np.column_stack([x, y, np.zeros(N)])))
    return found


def nexus(*, separator=",", drop=None, units=("N", "N.mm", "mm"), trajectories=True, first=7):
    """An export of two plates at 1000 Hz, an EMG channel, and two markers at 250 Hz."""
    parts = nexus_wrenches()
    devices, columns, unit_row, data = ["", ""], ["Frame", "Sub Frame"], ["", ""], []
    for number, (wrench, cop) in enumerate(parts, 1):
        for what, letter, unit, values in (
            ("Force", "F", units[0], -wrench[:, :3]),
            ("Moment", "M", units[1], -1e3 * wrench[:, 3:]),
            ("CoP", "C", units[2], 1e3 * cop),
        ):
            devices += [f"AMTI Plate #{number} - {what}", "", ""]
            columns += [letter + axis for axis in "xyz"]
            unit_row += [unit] * 3
            data.append(values)
    devices += ["EMG - Voltage", ""]
    columns += ["IM EMG1", "IM EMG2"]
    unit_row += ["V", "V"]
    data.append(np.arange(2.0 * N).reshape(N, 2))
    rows = [
        [str(first + k // 4), str(k % 4), *(repr(float(v)) for v in row)]
        for k, row in enumerate(np.hstack(data))
        if k != drop
    ]
    lines = [["Devices"], ["1000"], devices, columns, unit_row, *rows]
    if trajectories:
        lines += [[""], ["Trajectories"], ["250"], ["", "", "S:heel", "", "", "S:toe", "", ""]]
        lines += [["Frame", "Sub Frame", *"XYZXYZ"], ["", "", *["mm"] * 6]]
        lines += [[str(first + k), "0", str(k), "2", "3", "", "", ""] for k in range(N // 4)]
    return "\n".join(separator.join(line) for line in lines) + "\n"


@pytest.mark.parametrize("separator", [",", "\t"])
def test_nexus_gives_plates_analog_channels_and_markers(tmp_path, separator):
    path = tmp_path / "walk.csv"
    path.write_text(nexus(separator=separator))
    trial = bc.read(path)
    assert (trial.rate_hz, len(trial), trial.convention, trial.notes) == (1000.0, N, "action", ())
    for plate, (wrench, cop), place in zip(trial.plates, nexus_wrenches(), ORIGINS, strict=True):
        np.testing.assert_allclose(plate.wrench, wrench)
        np.testing.assert_allclose(plate.cop, cop, atol=1e-12)
        np.testing.assert_allclose(plate.origin_m, [*place, 0.0])
    assert [plate.name for plate in trial.plates] == ["AMTI Plate #1", "AMTI Plate #2"]
    assert [(c.name, c.unit, c.rate_hz) for c in trial.analog] == [
        ("EMG - Voltage IM EMG1", "V", 1000.0),
        ("EMG - Voltage IM EMG2", "V", 1000.0),
    ]
    assert trial.markers.names == ("S:heel", "S:toe")
    assert trial.markers.rate_hz == 250.0
    np.testing.assert_allclose(trial.markers.positions_m[3, 0], [0.003, 0.002, 0.003])
    assert np.isnan(trial.markers.positions_m[:, 1]).all()


def test_nexus_turns_into_the_subjects_axes(tmp_path):
    path = tmp_path / "walk.csv"
    path.write_text(nexus())
    there, back = bc.read(path), bc.read(path, axes=("-x", "-y", "z"))
    np.testing.assert_array_equal(back.plates[0].cop[:, 0], -there.plates[0].cop[:, 0])
    np.testing.assert_array_equal(back.markers.positions_m[:, 0, 0], -there.markers.positions_m[:, 0, 0])
    note = bc.read(path, convention="reaction").notes
    assert "Fz is negative under load" in note[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (nexus(drop=11), "line 17: the frame numbers do not follow each other"),
        (nexus().replace("Devices", "Model Outputs"), "no Devices section"),
        (nexus().replace("\n1000\n", "\nfast\n"), "line 2: here the section's rate in Hz should stand"),
        (nexus().replace("\n1000\n", "\nnan\n"), "line 2: here the section's rate in Hz should stand"),
        (
            nexus().replace(" - Force", " - Load").replace(" - Moment", "").replace(" - CoP", ""),
            "0 force plates",
        ),
        (nexus(units=("V", "N.mm", "mm")), r"column 3 \(Fx\): unit 'V' is not a known unit of force"),
        (nexus(units=("N", "N.mm", "V")), "column 9: unit 'V'"),
        (nexus()[: nexus().index("Trajectories") + 20], "this section has no rows"),
        (nexus()[: nexus().index("Trajectories") - 40], "cut short"),
        (nexus() + "\nDevices\n1000\n", "a second section 'devices'"),
        (nexus().replace("7,0,0,2,3", "x,0,0,2,3"), "'x' is not a number"),
        (nexus(first=7).replace("\n7,0,0,2,3", "\n6,0,0,2,3"), "frame numbers|start at frame 6"),
    ],
)
def test_damaged_nexus_is_refused(tmp_path, text, reason):
    (tmp_path / "walk.csv").write_text(text)
    with pytest.raises(DataError, match=rf"^walk\.csv.*({reason})"):
        bc.read(tmp_path / "walk.csv")


def netforce_text(values):
    """As NetForce exports: an empty line, then five decimals, padded, between commas."""
    return "\n" + "".join(", ".join(f"{v:8.5f}" for v in row) + "\n" for row in values)


#: Half of the last of five decimals.
NETFORCE_N = 5e-6


@pytest.mark.parametrize("plates", [1, 2])
def test_netforce_is_known_by_how_it_is_written(tmp_path, plates):
    values = np.random.default_rng(5).normal(0.0, 50.0, size=(30, 6 * plates))
    path = tmp_path / "stand.txt"
    path.write_text(netforce_text(values))
    with pytest.raises(
        DataError, match=r"stand\.txt: AMTI NetForce text does not say its rate: pass rate_hz="
    ):
        bc.read(path)
    trial = bc.read(path, rate_hz=100.0)
    wrenches = np.hstack([plate.wrench for plate in trial.plates])
    np.testing.assert_allclose(wrenches, values, atol=NETFORCE_N)
    assert (trial.rate_hz, trial.lateral_known) == (100.0, False)
    assert any("read as AMTI NetForce text" in note for note in trial.notes)
    assert bc.inspect(path, rate_hz=100.0).files[0].format == "AMTI NetForce text"


def test_netforce_turns_out_of_amtis_axes(tmp_path):
    # A body pushes down, forward and to its left on a plate whose axes point left, forward and down.
    values = np.tile([20.0, 30.0, 700.0, 14.0, 35.0, 2.0], (30, 1))
    (tmp_path / "stand.txt").write_text(netforce_text(values))
    trial = bc.read(tmp_path / "stand.txt", rate_hz=100.0, convention="action", axes=("-x", "y", "-z"))
    np.testing.assert_allclose(trial.plates[0].wrench[0, :3], [20.0, -30.0, 700.0], atol=NETFORCE_N)
    # In those axes x = -My/Fz and y = Mx/Fz (AMTI's equations): 50 mm to the right, 20 mm forward.
    np.testing.assert_allclose(trial.plates[0].cop[0, :2], [0.05, 0.02], atol=1e-6)


@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_netforce_that_was_written_anew_needs_to_be_named(tmp_path, separator):
    values = np.random.default_rng(5).normal(500.0, 5.0, size=(20, 6))
    path = tmp_path / "stand.txt"
    np.savetxt(path, values, delimiter=separator, fmt="%.18g")
    with pytest.raises(
        DataError, match=r"stand\.txt: 6 columns without names .* format='netforce' .*columns="
    ):
        bc.read(path, rate_hz=100.0)
    np.testing.assert_array_equal(bc.read(path, rate_hz=100.0, format="netforce").plates[0].wrench, values)
    # Whoever knows better says so.
    swapped = bc.read(
        path, rate_hz=100.0, format="netforce", columns=dict(zip(CHANNELS[::-1], range(6), strict=True))
    )
    np.testing.assert_array_equal(swapped.plates[0].wrench, values[:, ::-1])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"Fx,Fy,Fz,Mx,My,Mz\n1,2,3,4,5,6\n1,2,3,4,5,6\n", "these have some: leave it out"),
        ("a.txt", b"1,2,3,4,5,6,7\n1,2,3,4,5,6,7\n", "6 columns a plate, this has 7"),
        ("a.txt", b"1,2,3,4,5,6\n1,2,3,4,5\n", "5 columns, the table has 6"),
        ("a.npy", b"\x93NUMPY\x01\x00" + bytes(100), "is for text, this is NumPy"),
    ],
)
def test_what_cannot_be_netforce_is_refused(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=reason):
        bc.read(tmp_path / name, rate_hz=100.0, format="netforce")


def test_other_tables_are_not_taken_for_netforce(tmp_path):
    values = np.random.default_rng(5).normal(500.0, 5.0, size=(30, 6))
    text = netforce_text(values)
    for number, other in enumerate((text[1:], text.replace(", ", ","), netforce_text(values[:, :5]))):
        path = tmp_path / f"{number}.txt"
        path.write_text(other)
        with pytest.raises(DataError, match="columns without names"):
            bc.read(path, rate_hz=100.0)
    with pytest.raises(DataError, match="format='bioware': it is 'netforce'"):
        bc.read(path, format="bioware")


def test_times_and_five_columns_are_not_taken_for_netforce(tmp_path):
    values = np.random.default_rng(5).normal(500.0, 5.0, size=(30, 6))
    values[:, 0] = np.arange(30) / 1200
    path = tmp_path / "a.txt"
    path.write_text(netforce_text(values))
    with pytest.raises(DataError, match="columns without names"):
        bc.read(path, rate_hz=1200.0)
    assert bc.read(path, rate_hz=1200.0, format="netforce").plates[0].wrench[1, 0] == 0.00083


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (struct.pack("<ii", 105, 968) + bytes(2000), "an AMTI NetForce .bsf recording"),
        (b"TDSh" + bytes(30), "the index of a TDMS recording"),
    ],
)
def test_recordings_that_are_not_read_are_named(tmp_path, data, what):
    (tmp_path / "stand.bsf").write_bytes(data)
    with pytest.raises(DataError, match=rf"stand\.bsf: this is {what}"):
        bc.read(tmp_path / "stand.bsf")
