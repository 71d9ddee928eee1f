"""Which foot made each contact: by belt, by a vote of the centres of pressure, by one known step (metrics 1.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sides", "Vote", "by_belt", "by_parity", "vote"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A vote counts when it is this many standard errors from a draw and nearly unanimous (metrics 1.7).
VOTE_T = 5.0
VOTE_SHARE = 0.95
#: With fewer inner contacts no vote is taken.
VOTE_LEAST = 3


@dataclass(frozen=True, eq=False)
class Vote:
    """How the contacts of the two parities lie to each other.

    Attributes
    ----------
    sign : int
        +1 if odd contacts lie at larger x, -1 if even ones do, 0 without a vote.
    t : float
        t-value of the mean contrast.
    share : float
        Share of contacts that agree with the majority.
    contrast : float
        Mean distance between the parities, in the unit of the values.
    voters : int
    disagree : ndarray (k,) of bool
        Contacts whose own contrast is of the wrong sign.
    """

    sign: int
    t: float
    share: float
    contrast: float
    voters: int
    disagree: NDArray[np.bool_]

    @property
    def confident(self) -> bool:
        """Whether left and right can be told apart by it."""
        return self.sign != 0 and abs(self.t) >= VOTE_T and self.share >= VOTE_SHARE

    def describe(self) -> dict[str, Any]:
        """The vote as results show it."""
        return {"t": self.t, "share": self.share, "contrast": self.contrast, "voters": self.voters}


@dataclass(frozen=True, eq=False)
class Sides:
    """Sides of the contacts and how they are known.

    Attributes
    ----------
    labels : ndarray (k,) of str
    limbs : tuple of str
        ("L", "R") or ("A", "B").
    method : str
        "belt", "cop_vote", "user" or "parity".
    ambiguous : ndarray (k,) of bool
    medial_x : dict
        +1 or -1: the direction of x that is medial for each label; NaN if unknown.
    """

    labels: NDArray[np.str_]
    limbs: tuple[str, str]
    method: str
    ambiguous: NDArray[np.bool_]
    medial_x: dict[str, float]
    vote: Vote | None = None
    findings: tuple[str, ...] = ()

    def limb_index(self) -> IntArray:
        """0 for the first limb, 1 for the second, -1 for neither."""
        index = np.full(len(self.labels), -1, dtype=np.int64)
        for k, limb in enumerate(self.limbs):
            index[self.labels == limb] = k
        return index


def vote(x: FloatArray, parity: IntArray, least: float = 0.0) -> Vote:
    """Compare each contact with the mean of its two neighbours, so that lateral wander cancels.

    Parameters
    ----------
    x : ndarray (k,)
        Lateral position of each contact (or any value that tells the feet apart); NaN for one without.
    parity : ndarray (k,)
        Step number by time.
    least : float
        A smaller mean contrast is no vote: both feet use the same belt.
    """
    k = len(x)
    contrast = np.full(k, np.nan)
    if k >= 3:
        both = (np.diff(parity)[:-1] == 1) & (np.diff(parity)[1:] == 1)
        contrast[1:-1] = np.where(both, x[1:-1] - 0.5 * (x[:-2] + x[2:]), np.nan)
    signed = np.where(parity % 2 == 0, -contrast, contrast)
    seen = np.isfinite(signed)
    n = int(seen.sum())
    if n < VOTE_LEAST:
        return Vote(0, 0.0, 0.0, math.nan, n, np.zeros(k, dtype=bool))
    values = signed[seen]
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    sign = int(np.sign(mean)) if abs(mean) > least else 0
    t = mean / (sd / math.sqrt(n)) if sd > 0.0 else math.copysign(math.inf, mean) if sign else 0.0
    own = np.where(seen, signed, 0.0)
    # A foot on the other belt has no contrast with its neighbours: it says nothing, which is not the contrary.
    disagree = seen & ((own * sign <= -least) if sign else (own != 0.0))
    return Vote(sign, t, 1.0 - float(disagree.sum()) / n, abs(mean), n, disagree)


def by_belt(belt: IntArray, belt_sides: tuple[str, ...], belt_x: FloatArray) -> Sides:
    """Side of the belt that each contact is on; belts without a side give A and B from small to large x."""
    names = list(belt_sides)
    method = "belt"
    if set(names) != {"L", "R"}:
        order = np.argsort(belt_x, kind="stable")
        names = ["?"] * len(belt_sides)
        for label, k in zip("AB", order.tolist(), strict=False):
            names[k] = label
    labels = np.array([names[k] for k in belt.tolist()], dtype="<U1") if len(belt) else np.empty(0, "<U1")
    limbs = ("L", "R") if "L" in names else ("A", "B")
    medial = {limb: math.nan for limb in limbs}
    if all(limb in names for limb in limbs):
        x = {limb: float(np.mean(belt_x[[n == limb for n in names]])) for limb in limbs}
        if x[limbs[0]] != x[limbs[1]]:
            toward = math.copysign(1.0, x[limbs[1]] - x[limbs[0]])
            medial = {limbs[0]: toward, limbs[1]: -toward}
    return Sides(labels, limbs, method, np.zeros(len(labels), dtype=bool), medial)


def by_parity(
    parity: IntArray,
    cop: Vote,
    belt: Vote,
    *,
    first_side: str | None,
    right_sign: int,
    belt_right: int,
) -> Sides:
    """Sides from alternation, oriented by the best evidence there is; a single contact is never flipped alone.

    Parameters
    ----------
    parity : ndarray (k,)
        Step number by time.
    cop : Vote
        Vote of the lateral centres of pressure.
    belt : Vote
        Vote of the share that each contact has on the last belt.
    first_side : {"L", "R"} or None
        The caller's word on the first contact.
    right_sign : int
        +1 if +x is the subject's right, -1 if it is the left, 0 if unknown.
    belt_right : int
        +1 if a larger belt share means the right foot, -1 the left, 0 if the belts have no sides.
    """
    odd = parity % 2 == 1
    findings: list[str] = []
    odd_is_right: bool | None = None
    method = "parity"
    seen = cop
    if belt_right and belt.confident:
        odd_is_right, method, seen = belt.sign * belt_right > 0, "belt", belt
    elif right_sign and cop.confident:
        odd_is_right, method = cop.sign * right_sign > 0, "cop_vote"
    if first_side is not None:
        told = (first_side == "L") == (int(parity[0]) % 2 == 0) if len(parity) else True
        if odd_is_right is not None and told != odd_is_right:
            witness = "belts" if method == "belt" else "centres of pressure"
            findings.append(f"first_side={first_side!r} was used although the {witness} say the other side")
        odd_is_right, method = told, "user"
    if odd_is_right is not None:
        limbs = ("L", "R")
        labels = np.where(odd == odd_is_right, "R", "L")
    else:
        limbs = ("A", "B")
        # A is the limb at smaller x, or the first contact's where the centres of pressure don't tell.
        a_is_odd = cop.confident and cop.sign < 0
        labels = np.where(odd == a_is_odd, "A", "B")
        if cop.confident:
            method = "cop_vote"
    medial = {limb: math.nan for limb in limbs}
    orientation = _orientation(labels, odd, limbs, cop, right_sign)
    if orientation:
        medial = {limbs[0]: float(orientation), limbs[1]: float(-orientation)}
    ambiguous = seen.disagree.copy() if seen.confident else np.zeros(len(parity), dtype=bool)
    if seen.voters >= VOTE_LEAST and not seen.confident:
        findings.append(
            f"the centres of pressure don't separate the feet (t = {seen.t:.1f}, {100 * seen.share:.0f} % agree): "
            "sides rest on alternation alone. If the first foot is known, give first_side"
        )
        ambiguous[:] = first_side is None
    return Sides(labels.astype("<U1"), limbs, method, ambiguous, medial, seen, tuple(findings))


def _orientation(
    labels: NDArray[np.str_], odd: NDArray[np.bool_], limbs: tuple[str, str], cop: Vote, right_sign: int
) -> int:
    """+1 if the first limb is at smaller x (so that +x is medial for it), -1 at larger, 0 if unknown."""
    if cop.confident and len(labels):
        first_is_odd = bool(odd[0]) == (labels[0] == limbs[0])
        return -cop.sign if first_is_odd else cop.sign
    return right_sign if limbs == ("L", "R") else 0
