"""Laws of scores, and of their picture."""

import numpy as np
import pytest

from aqgeo.products.scatter import picture, scores


def test_scores_of_a_known_pair() -> None:
    found = scores(np.array([1.0, 2, 3, np.nan]), np.array([2.0, 3, 4, 5]))
    assert (found.n, found.bias, found.rmse) == (3, 1, 1)
    assert found.r == pytest.approx(1)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [np.nan]])
def test_a_correlation_that_does_not_exist_is_not_invented(values: list[float]) -> None:
    found = scores(np.array(values), np.array(values))
    assert np.isnan(found.r)
    assert picture(np.array(values), np.array(values), ["a"] * len(values), "1")[:4] == b"\x89PNG"


def test_names_that_look_like_formulas_are_drawn_as_they_are() -> None:
    values = np.ones(3)
    one, two = (picture(values, values, ["_$x$", "$", "{0}"], "µg m-3") for _ in range(2))
    assert one == two and one[:4] == b"\x89PNG"
