"""Reasons beside the numbers: one bit each, with values that never change (append only)."""

import enum

__all__ = ["MEANINGS", "Flag"]


class Flag(enum.IntFlag):
    """Why a step, or one of its metrics, is missing or doubtful.

    A metric is never dropped silently: it is NaN, and a flag gives the reason.
    """

    INCOMPLETE_START = 1 << 0  #: the record (or the signal after a gap) starts inside this contact
    INCOMPLETE_END = 1 << 1  #: the record (or the signal before a gap) ends inside this contact
    SHORT_CONTACT = 1 << 2  #: shorter than the shortest plausible contact
    LONG_CONTACT = 1 << 3  #: longer than the longest plausible contact
    MERGED_GLITCH = 1 << 4  #: a dip below the level inside the contact was bridged
    NO_IMPACT_PEAK = 1 << 5  #: no impact peak found: metrics that need it are NaN
    IP_AT_EDGE = 1 << 6  #: the impact peak lies at the edge of its search window
    SIDE_AMBIGUOUS = 1 << 7  #: the centre of pressure contradicts the side, or can't confirm it
    NON_ALTERNATING = 1 << 8  #: two contacts in a row on the same side
    CROSSOVER = 1 << 9  #: a foot on the other belt
    PLATE_EDGE = 1 << 10  #: the centre of pressure is near the edge of the plate
    SATURATED = 1 << 11  #: samples at the end of the measuring range
    NAN_IN_WINDOW = (
        1 << 12
    )  #: a needed value is not finite, or lies in a gap or a missed contact (step and stride times)
    DRIFT_SUSPECT = 1 << 13  #: the unloaded baseline around this contact is doubtful
    SPEED_UNSTEADY = 1 << 14  #: speed or step time is not steady here
    LOW_FS = 1 << 15  #: sampling rate too low for loading rates
    FILTER_EDGE = 1 << 16  #: so near an end of the signal that the filter is not settled
    BW_SUSPECT = 1 << 17  #: body weight is doubtful, and everything divided by it
    COP_LOW_FORCE = 1 << 18  #: force too low for a centre of pressure
    OUTLIER_STEP = 1 << 19  #: far from the other steps of this limb (robust z > 4)
    GAP = 1 << 20  #: missing samples touch this contact
    COARSE_TIMING = 1 << 21  #: no crossing on the timing copy near the one found: timed on the detection copy
    PARTIAL_HIT = (
        1 << 22
    )  #: overground: part of the foot may be beside the plate, or no unloaded baseline tells
    TWO_FEET = 1 << 23  #: overground: more than one footfall in this contact
    JOINED_PLATES = 1 << 24  #: overground: a footfall across plates, measured on their sum


#: The flags in a reader's words.
MEANINGS = {
    Flag.INCOMPLETE_START: "the signal starts inside the contact",
    Flag.INCOMPLETE_END: "the signal ends inside the contact",
    Flag.SHORT_CONTACT: "shorter than a plausible contact",
    Flag.LONG_CONTACT: "longer than a plausible contact",
    Flag.MERGED_GLITCH: "a dip inside the contact was bridged",
    Flag.NO_IMPACT_PEAK: "no impact peak; metrics that need it are missing",
    Flag.IP_AT_EDGE: "the impact peak lies at the edge of its search window",
    Flag.SIDE_AMBIGUOUS: "the side is doubtful",
    Flag.NON_ALTERNATING: "same side as the contact before",
    Flag.CROSSOVER: "a foot on the other belt",
    Flag.PLATE_EDGE: "near the edge of the plate",
    Flag.SATURATED: "at the end of the measuring range",
    Flag.NAN_IN_WINDOW: "a needed value is missing",
    Flag.DRIFT_SUSPECT: "the unloaded offset is doubtful here",
    Flag.SPEED_UNSTEADY: "step time is changing here",
    Flag.LOW_FS: "sampling rate too low for loading rates",
    Flag.FILTER_EDGE: "near an end of the signal, where the filter is not settled",
    Flag.BW_SUSPECT: "body weight is doubtful",
    Flag.COP_LOW_FORCE: "force too low for a centre of pressure",
    Flag.OUTLIER_STEP: "far from the other steps of its limb",
    Flag.GAP: "missing samples touch the contact",
    Flag.COARSE_TIMING: "timed on a smoother copy of the signal",
    Flag.PARTIAL_HIT: "part of the foot may be beside the plate",
    Flag.TWO_FEET: "more than one footfall",
    Flag.JOINED_PLATES: "a footfall across plates, measured on their sum",
}
