"""R^2 of nested regressions, against numpy's least squares and held-out predictions made one model at a time."""

import numpy as np
import pytest

from addp_bench.regression import cross_validated_r2, nested_r2, r2_of


def predicted(columns, m, fitted):
    """Of a model of an intercept and the first m columns, for all samples: numpy.linalg.lstsq, numpy 1 and 2."""
    design = np.column_stack([np.ones(len(columns)), columns[:, :m]])
    return design @ np.linalg.lstsq(design[fitted], columns[fitted, -1], rcond=None)[0]


@pytest.fixture
def columns():
    return np.random.default_rng(3).normal(size=(40, 10)).cumsum(axis=1)


def test_r2_is_that_of_an_independent_least_squares_fit(columns):
    y, everyone = columns[:, -1], np.ones(40, dtype=bool)
    for m, found in enumerate(nested_r2(columns, 10), start=1):
        rest = y - predicted(columns, m, everyone)
        assert found == pytest.approx(1 - rest @ rest / ((y - y.mean()) ** 2).sum(), abs=1e-10)


def test_cross_validated_r2_is_that_of_models_which_never_saw_the_sample(columns):
    y, fold = columns[:, -1], np.arange(40) * 5 // 40
    rest, mean_rest = np.empty((10, 40)), np.empty(40)
    for f in range(5):
        held = fold == f
        mean_rest[held] = y[held] - y[~held].mean()
        for m in range(1, 11):
            rest[m - 1, held] = (y - predicted(columns, m, ~held))[held]
    expected = 1 - (rest**2).sum(axis=1) / (mean_rest**2).sum()
    assert cross_validated_r2(columns, 10, fold) == pytest.approx(expected, abs=1e-10)
    assert expected[-1] == pytest.approx(1)


def test_cross_validated_r2_of_noise_is_below_0_where_plain_r2_rises():
    columns = np.random.default_rng(0).normal(size=(30, 10))
    held_out = cross_validated_r2(columns, 9, np.arange(30) * 5 // 30)
    assert held_out[-1] < 0 < 0.1 < nested_r2(columns, 9)[-1]


def test_what_is_no_predictor_leaves_r2_where_it_was(columns):
    fold = np.arange(40) % 5
    for kind in ("plain", "adjusted", "cross_validated"):
        of_nine = r2_of(kind, columns, 9, fold)
        assert of_nine[-1] == of_nine[-2] < 1
        np.testing.assert_allclose(of_nine[:-1], r2_of(kind, columns, 10, fold)[:-1], rtol=1e-12)


def test_the_unit_of_the_columns_does_not_matter_to_held_out_r2(columns):
    fold = np.arange(40) % 5
    np.testing.assert_allclose(
        cross_validated_r2(-1e4 * columns + 7, 10, fold), cross_validated_r2(columns, 10, fold), rtol=1e-6
    )


@pytest.mark.parametrize("spread, constant", [(1e-7, True), (1e-5, False)])
def test_a_result_is_constant_where_it_varies_by_less_than_a_millionth_of_its_size(columns, spread, constant):
    columns[:, -1] = 3.0 + spread * 3.0 * columns[:, -1] / columns[:, -1].std()
    assert (nested_r2(columns, 10) is None) == constant


def test_columns_that_are_nearly_alike_are_told_apart_to_working_precision():
    """Powers of one variable, whose least squares numpy's QR (Householder) solves."""
    powers = np.linspace(0, 1, 60)[:, None] ** np.arange(1, 12)
    columns = np.column_stack([powers, np.random.default_rng(0).normal(size=60)])
    y = columns[:, -1] - columns[:, -1].mean()
    for m, found in enumerate(nested_r2(columns, 11)[:11], start=1):
        basis, _ = np.linalg.qr(powers[:, :m] - powers[:, :m].mean(axis=0))
        assert found == pytest.approx(((basis.T @ y) ** 2).sum() / (y @ y), abs=1e-7)
