"""Medians without NumPy's checks are NumPy's medians."""

import numpy as np
import pytest

from balancecore.medians import median, middle


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_medians_are_numpys(n):
    values = np.random.default_rng(n).normal(size=(n, 3))
    np.testing.assert_array_equal(middle(values), np.median(values, axis=0))
    assert median(values[:, 0].copy()) == np.median(values[:, 0])
