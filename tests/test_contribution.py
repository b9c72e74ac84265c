"""Algorithm A: worked numbers, an independent regression, planted shares, and what cannot be estimated."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addp_bench import contribution
from addp_bench.contribution import (
    Contribution,
    averaged,
    estimate,
    floored,
    read_contribution,
    representatives,
    sources_of,
)
from addp_bench.errors import BadData, BadOption, Degenerate
from addp_bench.plugins.samplers import DDIM
from addp_bench.schedule import TableNoise, from_betas, scaled_linear
from addp_bench.timesteps import group_mass

WORKED = np.array(  # eight samples; columns from the earliest group to the final result
    [
        [0.10, 0.30, 0.35], [0.40, 0.55, 0.50], [0.20, 0.45, 0.55], [0.70, 0.72, 0.70],
        [0.55, 0.60, 0.66], [0.30, 0.20, 0.25], [0.80, 0.85, 0.80], [0.15, 0.40, 0.30],
    ]
)  # fmt: skip
TEN = list(range(900, -1, -100))  # one visited timestep for each of ten groups, noisiest first


def worked(quality=WORKED, **options):
    return estimate(quality, [2, 1, 0], steps=3, groups=3, **{"bootstrap": 0, "floor": 0.0, **options})


def test_the_worked_example_comes_out_to_six_digits():
    found = worked()
    assert found.r2_values == pytest.approx((1.0, 0.899180, 0.737144), abs=6e-7)
    assert found.increments == pytest.approx((0.100820, 0.162036, 0.737144), abs=6e-7)
    assert found.raw == pytest.approx(found.increments)
    assert found.timesteps == (0, 1, 2)
    assert (found.used, found.dropped) == (8, 0)


def test_statistics_are_read_bare_or_out_of_a_record_that_has_some(tmp_path):
    found = worked()
    bare, record, none = (tmp_path / f"{name}.json" for name in ("contribution", "record", "none"))
    bare.write_text(json.dumps(found.to_json()))
    record.write_text(json.dumps({"schema": 1, "result": {"contribution": found.to_json()}, "provenance": {}}))
    none.write_text(json.dumps({"schema": 1, "result": {"contribution": None}}))
    assert read_contribution(bare) == read_contribution(record) == found
    with pytest.raises(BadData, match=r"none\.json: this record holds no contribution statistics"):
        read_contribution(none)


def test_the_papers_letter_leaves_the_final_group_out():
    found = worked(mode="paper_literal")
    assert found.raw == pytest.approx((0.0, 0.180204, 0.819796), abs=6e-7)
    assert found.r2_values == pytest.approx((0.899180, 0.899180, 0.737144), abs=6e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(-100, 100), st.sampled_from([-7.0, 0.1, 1.0, 1e4]))
def test_the_unit_sign_and_origin_of_the_metric_do_not_matter(seed, origin, unit):
    quality = np.random.default_rng(seed).random((30, 4)).cumsum(axis=1)
    assert worked(unit * quality[:, :3] + origin).raw == pytest.approx(worked(quality[:, :3]).raw, abs=1e-6)


def test_planted_shares_are_recovered_from_simulated_curves():
    # independent steps whose variances are the shares: the final quality is their sum
    shares = np.array([0.40, 0.20, 0.12, 0.08, 0.06, 0.05, 0.04, 0.03, 0.015, 0.005])  # noisiest first
    steps = np.random.default_rng(0).normal(size=(20_000, 10)) * np.sqrt(shares)
    found = estimate(steps.cumsum(axis=1), TEN, bootstrap=0, floor=0.0)
    assert found.raw == pytest.approx(shares[::-1], abs=0.01)
    assert found.flags == ()


def test_each_group_is_read_at_its_last_visited_timestep():
    rng = np.random.default_rng(1)
    visited = list(range(999, 0, -50))  # two for each group: 999, 949 | 899, ...
    quality = rng.random((30, 20))
    found = estimate(quality, visited, bootstrap=0)
    assert found.timesteps == tuple(range(49, 1000, 100))
    last_of_each = estimate(quality[:, 1::2], visited[1::2], bootstrap=0)
    assert found.raw == pytest.approx(last_of_each.raw)


NOISE = TableNoise(from_betas(scaled_linear()))


@pytest.mark.parametrize(
    "sampler, steps, expected",
    [
        (DDIM(spacing="leading", steps_offset=0), 100, range(0, 1000, 100)),
        (DDIM(spacing="leading", steps_offset=1), 100, range(1, 1000, 100)),
        (DDIM(), 100, range(9, 1000, 100)),
        (DDIM(), 50, range(19, 1000, 100)),
        (DDIM(), 10, range(99, 1000, 100)),
    ],
)
def test_representatives_of_the_usual_samplers(sampler, steps, expected):
    assert representatives(sampler.timesteps(NOISE, steps)) == list(expected)


def test_a_group_that_was_not_visited_is_an_error_that_says_how_many_steps_would_do():
    with pytest.raises(BadOption, match=r"5 sampling steps visit no timestep of group 0 of 10.* need 10 steps"):
        representatives([999, 799, 599, 399, 199])
    with pytest.raises(BadOption, match=r"group 2 of 7.* need 8 steps"):
        representatives([900, 800, 600, 500, 200, 100], groups=7)
    with pytest.raises(BadOption, match="got 1000"):
        representatives([1000, *TEN])


def test_clip_renorm_has_its_worked_values():
    p = np.array([0.62, 0.25, 0.08, 0.03, 0.012, 0.005, 0.002, 0.0008, 0.0002, 0])
    assert floored(p, 0.01, "clip_renorm") == pytest.approx(
        [0.595010, 0.239923, 0.076775, 0.028791, 0.011516, *[0.009597] * 5], abs=6e-7
    )


def test_an_exact_floor_has_its_worked_values():
    signal = NOISE.alphas_cumprod
    diffusion = group_mass((1 - signal) / signal)
    assert floored(diffusion / diffusion.sum(), 0.01, "exact") == pytest.approx(
        [*[0.01] * 5, 0.017829, 0.036770, 0.082550, 0.208034, 0.604818], abs=6e-7
    )
    assert floored(diffusion / diffusion.sum(), 0.01, "clip_renorm") == pytest.approx(
        [*[0.009690] * 5, 0.017858, 0.036830, 0.082684, 0.208373, 0.605805], abs=6e-7
    )


def test_an_exact_floor_repeats_until_nothing_falls_below_it_again():
    # pinning the zeros scales 0.104 down to 0.0982, which must then be pinned too
    assert floored(np.array([0.896, 0.104, 0, 0]), 0.1, "exact") == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert floored(np.array([1.0, 0, 0, 0]), 0.25, "exact") == pytest.approx([0.25] * 4)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=10, max_size=10).filter(lambda p: sum(p) > 1e-6), st.floats(0, 0.1))
def test_a_floor_keeps_probabilities_and_starves_nobody(values, floor):
    p = np.array(values) / sum(values)
    for rule, least in (("exact", floor), ("clip_renorm", floor / (1 + 10 * floor))):
        out = floored(p, floor, rule)
        assert out.sum() == pytest.approx(1)
        assert out.min() >= least * (1 - 1e-9)
        assert (np.diff(out[np.argsort(p, kind="stable")]) >= -1e-12).all()


@pytest.mark.parametrize("floor", [-0.01, 0.34])
def test_a_floor_that_cannot_be_kept_is_refused(floor):
    with pytest.raises(BadOption, match="floor"):
        floored(np.full(3, 1 / 3), floor, "exact")


def test_a_constant_final_metric_gives_uniform_and_says_so(caplog):
    quality = np.random.default_rng(0).random((30, 10))
    quality[:, -1] = 0.7
    with caplog.at_level(logging.WARNING):
        found = estimate(quality, TEN)
    assert found.group_probabilities == pytest.approx([0.1] * 10)
    assert "degenerate_final_metric" in found.flags
    assert found.bootstrap == 0
    assert "degenerate_final_metric" in caplog.text


def test_a_metric_that_is_only_noise_of_its_own_rounding_counts_as_constant():
    quality = np.random.default_rng(0).random((30, 3))
    quality[:, -1] = 1000.0 + 1e-12 * quality[:, 0]
    assert "degenerate_final_metric" in worked(quality).flags


def test_when_no_intermediate_result_explains_anything_the_answer_is_uniform():
    final = np.random.default_rng(0).random(30)
    quality = np.column_stack([np.full(30, 0.2), np.full(30, 1 / 3), final])
    found = worked(quality, mode="paper_literal")
    assert found.raw == pytest.approx([1 / 3] * 3)
    assert "nothing_explained" in found.flags
    assert worked(quality).raw == pytest.approx([1, 0, 0])  # all is left to the final group


def test_a_constant_column_adds_exactly_nothing_however_large_it_is():
    quality = np.random.default_rng(0).random((30, 3))
    quality[:, 0] = 1e9 / 3
    assert worked(quality).increments[2] == 0.0


def test_of_two_collinear_columns_the_earlier_takes_the_credit():
    rng = np.random.default_rng(0)
    first, final = rng.random(30), rng.random(30)
    for copy in (first, 3 * first - 1, 1e-7 * first + 5):
        found = worked(np.column_stack([first, copy, final + first]))
        assert found.increments[1] == pytest.approx(0.0, abs=1e-12)
        assert found.increments[2] == pytest.approx(np.corrcoef(first, final + first)[0, 1] ** 2)


def test_fewer_than_groups_plus_2_samples_are_refused():
    quality = np.random.default_rng(0).random((12, 10))
    assert estimate(quality, TEN, bootstrap=0).used == 12
    with pytest.raises(Degenerate, match=r"at least 12 samples.* got 11"):
        estimate(quality[:11], TEN)


def test_fewer_than_ten_samples_per_group_are_marked():
    rng = np.random.default_rng(0)
    assert estimate(rng.random((99, 10)), TEN, bootstrap=0).flags == ("few_samples",)
    assert estimate(rng.random((100, 10)), TEN, bootstrap=0).flags == ()


def test_samples_with_a_quality_that_is_not_finite_are_dropped_and_counted():
    quality = np.random.default_rng(0).random((30, 10))
    broken = np.vstack([quality, quality[:3]])
    broken[30, 0], broken[31, 5], broken[32, 9] = np.nan, np.inf, -np.inf
    found = estimate(broken, TEN, bootstrap=0)
    assert (found.used, found.dropped) == (30, 3)
    assert found.raw == estimate(quality, TEN, bootstrap=0).raw
    with pytest.raises(Degenerate, match=r"got 11 \(3 dropped\)"):
        estimate(broken[19:], TEN)


def test_adjusted_r2_is_adjusted_by_hand_and_what_falls_is_clipped():
    n, r2 = 8, np.array([0.737144, 0.899180, 1.0])
    by_hand = 1 - (1 - r2) * (n - 1) / (n - np.array([1, 2, 3]) - 1)
    found = worked(r2="adjusted")
    assert found.increments == pytest.approx(np.diff(by_hand, prepend=0)[::-1], abs=2e-6)
    rng = np.random.default_rng(5)
    noise = estimate(rng.random((13, 10)), TEN, bootstrap=0, r2="adjusted")
    assert min(noise.increments) < 0
    assert min(noise.raw) == 0
    assert sum(noise.raw) == pytest.approx(1)


def test_the_papers_letter_with_adjusted_r2_counts_only_its_own_predictors():
    assert worked(mode="paper_literal", r2="adjusted").increments[0] == 0.0


def test_increments_that_were_clipped_are_flagged():
    rng = np.random.default_rng(5)
    assert "clipped_increments" in estimate(rng.random((13, 10)), TEN, bootstrap=0, r2="adjusted").flags
    assert "clipped_increments" in estimate(rng.random((40, 10)), TEN, bootstrap=0, r2="cross_validated").flags
    for r2 in ("plain", "adjusted", "cross_validated"):
        assert "clipped_increments" not in worked(rng.normal(size=(60, 3)).cumsum(axis=1), r2=r2).flags


def test_cross_validation_gives_nothing_to_a_group_that_only_fits_noise():
    rng = np.random.default_rng(0)
    final = rng.normal(size=30)
    early = final + rng.normal(size=30)
    quality = np.column_stack([early, *rng.normal(size=(8, 30)), final])
    plain, held_out = (estimate(quality, TEN, bootstrap=50, floor=0.0, r2=r2) for r2 in ("plain", "cross_validated"))
    assert sum(plain.raw[1:9]) > 0.15
    assert sum(held_out.raw[1:9]) < 0.05
    assert held_out.r2_values[0] == pytest.approx(1)
    assert held_out.bootstrap == 50


def test_cross_validation_needs_enough_samples_beside_each_fold():
    quality = np.random.default_rng(0).random((15, 10))
    assert estimate(quality, TEN, bootstrap=0, r2="cross_validated").used == 15
    with pytest.raises(Degenerate, match=r"at least 15 samples.* got 14"):
        estimate(quality[:14], TEN, r2="cross_validated")
    with pytest.raises(Degenerate, match="at least 24 samples"):
        estimate(quality, TEN, r2="cross_validated", folds=2)


def test_the_bootstrap_spreads_as_estimates_of_new_samples_do():
    rng = np.random.default_rng(0)
    shares = np.array([0.6, 0.3, 0.1])

    def sample():
        return (rng.normal(size=(300, 3)) * np.sqrt(shares)).cumsum(axis=1)

    anew = np.array([worked(sample()).raw for _ in range(200)])
    found = worked(sample(), bootstrap=200)
    assert found.bootstrap == 200
    assert found.bootstrap_sd == pytest.approx(anew.std(axis=0), rel=0.35)
    assert found.bootstrap_mean == pytest.approx(shares[::-1], abs=0.1)


def test_a_sample_that_is_resampled_keeps_its_fold(monkeypatch):
    """Else the same sample would be fitted and held out at once."""
    asked = []
    real = contribution.r2_of
    monkeypatch.setattr(contribution, "r2_of", lambda *given: asked.append(given) or real(*given))
    quality = np.random.default_rng(2).normal(size=(40, 3)).cumsum(axis=1)
    worked(quality, r2="cross_validated", bootstrap=5)
    (_, whole, _, folds), *resampled = asked
    fold_of = {tuple(row): fold for row, fold in zip(whole.tolist(), folds.tolist())}
    assert len(resampled) == 5
    for _, columns, _, fold in resampled:
        assert [fold_of[tuple(row)] for row in columns.tolist()] == fold.tolist()


def test_the_bootstrap_repeats_itself_and_its_seed_changes_it():
    assert worked(bootstrap=20) == worked(bootstrap=20)
    assert worked(bootstrap=20, seed=1).bootstrap_sd != worked(bootstrap=20).bootstrap_sd


def test_probabilities_share_each_groups_mass_evenly():
    found = estimate(np.random.default_rng(0).random((30, 10)), TEN, bootstrap=0)
    p = found.probabilities(1000)
    assert p.shape == (1000,)
    assert p.sum() == pytest.approx(1)
    assert p[900:] == pytest.approx([found.group_probabilities[9] / 100] * 100)
    assert group_mass(p) == pytest.approx(found.group_probabilities)


def test_statistics_survive_json():
    found = estimate(np.random.default_rng(0).random((30, 10)), TEN, bootstrap=10)
    assert Contribution.from_json(json.loads(json.dumps(found.to_json()))) == found
    bare = worked()
    assert Contribution.from_json(json.loads(json.dumps(bare.to_json()))) == bare


@pytest.mark.parametrize(
    "change, words",
    [
        ({"schema": 3}, "schema 2, met 3"),
        ({"raw": [0.5, 0.5]}, "raw has 2 values for 3 groups"),
        ({"raw": [0.5, 0.6, 0.5]}, "raw must be probabilities"),
        ({"group_probabilities": [1.5, -0.5, 0.0]}, "group_probabilities must be probabilities"),
        ({"r2_values": [0.1, "much", 0.2]}, "r2_values.1"),
        ({"r2": "best"}, "r2: Input should be"),
        ({"increments": [0.1, float("nan"), 0.2]}, "increments holds a value that is not finite"),
        ({"mode": "literal"}, "mode"),
        ({"colour": "red"}, "unknown fields: colour"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused_with_its_name_and_the_field(change, words):
    plain = {**json.loads(json.dumps(worked().to_json())), **change}
    with pytest.raises(BadData, match=f"stats.json.*{words}"):
        Contribution.from_json(plain, "stats.json")


def test_a_file_that_lacks_a_field_or_is_something_else_is_refused():
    plain = worked().to_json()
    del plain["used"]
    with pytest.raises(BadData, match="used"):
        Contribution.from_json(plain)
    with pytest.raises(BadData, match="met 'list'"):
        Contribution.from_json([1, 2])


def test_statistics_of_before_there_were_folds_are_read():
    """Schema 1: `adjusted` was a yes or no, and `r2` held the values."""
    found = worked(r2="adjusted")
    older = {k: v for k, v in found.to_json().items() if k not in ("r2", "r2_values", "folds", "averaged")}
    older |= {"schema": 1, "adjusted": True, "r2": found.r2_values}
    assert Contribution.from_json(json.loads(json.dumps(older))) == found
    assert Contribution.from_json({**older, "adjusted": False}).r2 == "plain"
    del older["adjusted"]
    with pytest.raises(BadData, match="missing or unknown fields: r2"):
        Contribution.from_json(older)


def test_statistics_of_several_tasks_are_averaged_as_distributions():
    first = worked(bootstrap=20, floor=0.2)
    other = worked(WORKED[:, [1, 0, 2]], bootstrap=20)
    both = averaged([first, other])
    assert both.raw == pytest.approx(np.mean([first.raw, other.raw], axis=0))  # before any floor
    assert both.group_probabilities == pytest.approx(floored(np.array(both.raw), 0.2, "clip_renorm"))
    assert both.bootstrap_sd == pytest.approx(np.hypot(first.bootstrap_sd, other.bootstrap_sd) / 2)
    assert (both.used, both.averaged, both.bootstrap) == (16, 2, 20)
    assert averaged([other, first]).raw == both.raw
    assert averaged([first]) is first
    assert Contribution.from_json(json.loads(json.dumps(both.to_json()))) == both
    assert averaged([first, worked()]).bootstrap_sd is None
    with pytest.raises(BadOption, match="agree in mode, met include_final and paper_literal"):
        averaged([first, worked(mode="paper_literal")])


def test_sources_are_joined_by_a_plus_unless_it_is_in_a_files_name(tmp_path):
    assert sources_of("a.json+1a2b+c/d.json") == ("a.json", "1a2b", "c/d.json")
    assert sources_of(None) == ()
    file = tmp_path / "one+two.json"
    assert len(sources_of(str(file))) == 2
    file.write_text("")
    assert sources_of(str(file)) == (str(file),)
