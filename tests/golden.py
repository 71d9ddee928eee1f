"""Reference values, computed once and apart from this package; units in the names.

`HALF_SINE`: 70 kg, contact 0.25 s, flight 0.10 s, speed 3 m/s. `TWO_MASS`: the two-mass footfall of either
limb of the reference runner, seen at a level of 20 or 50 N; times are from the crossing of that level.
`AP_8_4`:
braking 200 N and propulsion 220 N in half sines over 0.25 s. `SI_20N`: symmetry indices of the two limbs at
20 N, %, rounded to four decimals.
"""

HALF_SINE = {
    "Fmax_N": 1509.6164802199905,
    "Fmax_BW": 2.199114857512855,
    "impulse_Ns": 240.26292499999994,
    "net_impulse_Ns": 68.64654999999999,
    "dy_contact_m": 0.059953518858811825,
    "vertical_oscillation_m": 0.07221183135881183,
    "kvert_kN_m": 25.179781086329193,
    "duty_factor": 0.35714285714285715,
    "max_slope_BW_s": 27.634892323050195,
    "tc_s": {
        10.0: 0.24894571827246367,
        20.0: 0.2478913902788023,
        50.0: 0.24472766565585474,
        0.05 * 70 * 9.80665: 0.2463810744553418,
    },
    "valr_true_stance_BW_s": {"3_12": 26.7819, "0_50ms": 25.8521, "0_13": 26.8730, "2080_poi13": 26.9931},
}

TWO_MASS = {
    ("L", 20.0): {
        "onset_delay_ms": 2.3725008764807476,
        "tc_ms": 238.61012185332635,
        "IP_BW": 1.5053089958576038,
        "IP_time_ms": 25.075939679535004,
        "VALR_0_100t": 58.86815273048849,
        "VALR_20_80t": 75.12225180907852,
        "VALR_20_80F": 81.14016144987629,
        "VALR_3_12pct": 48.04890218375623,
        "VALR_0_13pct": 43.42930597590411,
        "VALR_20_80_of_13pct": 62.026945356167246,
        "VALR_0_50ms": 20.666288244425097,
        "VILR": 87.19443773639476,
        "active_peak_BW": 2.55916211958212,
        "active_peak_ms": 115.12749912351924,
        "impulse_BWs": 0.34988917905530204,
    },
    ("L", 50.0): {
        "onset_delay_ms": 3.770759341637332,
        "tc_ms": 231.93027311782905,
        "IP_BW": 1.5053089958576038,
        "IP_time_ms": 23.67768121437842,
        "VALR_0_100t": 60.49883476901329,
        "VALR_20_80t": 74.81530526570994,
        "VALR_20_80F": 81.14016144987629,
        "VALR_3_12pct": 43.947635755706045,
        "VALR_0_13pct": 42.52421032284925,
        "VALR_20_80_of_13pct": 58.54076337500644,
        "VALR_0_50ms": 20.737932678006953,
        "VILR": 87.19443773639476,
        "active_peak_BW": 2.55916211958212,
        "active_peak_ms": 113.72924065836267,
        "impulse_BWs": 0.34955929849234524,
    },
    ("R", 20.0): {
        "onset_delay_ms": 2.8137974325642934,
        "tc_ms": 228.6319517892997,
        "IP_BW": 1.3549712019317528,
        "IP_time_ms": 28.80082387008982,
        "VALR_0_100t": 46.03467105593741,
        "VALR_20_80t": 58.62461840962987,
        "VALR_20_80F": 64.07779247664286,
        "VALR_3_12pct": 50.24659159703412,
        "VALR_0_13pct": 44.540035610881915,
        "VALR_20_80_of_13pct": 57.44780617936524,
        "VALR_0_50ms": 23.09998042281545,
        "VILR": 69.00285667016773,
        "active_peak_BW": 2.6205825230838253,
        "active_peak_ms": 109.98620256743568,
        "impulse_BWs": 0.33988938127700774,
    },
}

#: Name in `TWO_MASS` -> column of a step table, and what to multiply that by.
TWO_MASS_COLUMNS = {
    "tc_ms": ("tc", 1e3),
    "IP_BW": ("peak_impact", 1.0),
    "IP_time_ms": ("t_impact", 1e3),
    "VALR_0_100t": ("valr_0_100", 1.0),
    "VALR_20_80t": ("valr_2080t", 1.0),
    "VALR_20_80F": ("valr_2080f", 1.0),
    "VALR_3_12pct": ("valr_3_12", 1.0),
    "VALR_0_13pct": ("valr_0_13", 1.0),
    "VALR_20_80_of_13pct": ("valr_2080_poi13", 1.0),
    "VALR_0_50ms": ("valr_0_50ms", 1.0),
    "VILR": ("vilr", 1.0),
    "active_peak_BW": ("peak_active", 1.0),
    "active_peak_ms": ("t_active", 1e3),
    "impulse_BWs": ("imp_v", 1.0),
}

SI_20N = {
    "tc": 4.2711,
    "peak_impact": 10.5121,
    "t_impact": -13.8274,
    "valr_2080t": 24.6699,
    "valr_2080f": 23.4990,
    "valr_2080_poi13": 7.6655,
    "valr_3_12": -4.4716,
    "valr_0_50ms": -11.1213,
    "vilr": 23.2931,
    "peak_active": -2.3716,
    "imp_v": 2.8994,
}

AP_8_4 = {"imp_brake_Ns": -15.915494, "imp_prop_Ns": 17.507044, "net_dv_m_s": 0.0227364, "zero_pct": 50.0}
