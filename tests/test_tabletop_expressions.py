"""Expressions: what programs mean, that they mean one thing, and that words and programs agree."""

from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from addp_bench.tasks.tabletop.compose import level_of, structures
from addp_bench.tasks.tabletop.edits import caption
from addp_bench.tasks.tabletop.programs import All, Extreme, Facts, Kind, Related, denotes, from_plain, to_plain
from addp_bench.tasks.tabletop.readings import satisfying
from addp_bench.tasks.tabletop.splits import HELD_OUT, MAIN_PAIRS, PER_SCENE, make
from addp_bench.tasks.tabletop.words import LONGEST, STYLES, VOCABULARY, words


def facts(*rows):
    """Rows of (label words, column, depth, radius)."""
    labels = tuple(tuple(row[0].split()) for row in rows)
    column, depth, radius = (tuple(row[i] for row in rows) for i in (1, 2, 3))
    return Facts(labels, column, depth, radius, tuple(r * r for r in radius), (1.0,) * len(rows))


# a cone, a cube and a cone from left to right, and a ball in front
ROW = facts(
    ("cone blue small plain", 0.2, 1.5, 0.10),
    ("cube green large plain", 0.5, 1.5, 0.16),
    ("cone blue small plain", 0.8, 1.8, 0.10),
    ("ball green small striped", 0.5, 1.1, 0.10),
)
CONE, CUBE, BALL = Kind("cone"), Kind("cube"), Kind("ball")


@pytest.fixture(scope="module")
def made():
    """150 scenes with their expressions."""
    return make("val", range(150))


@pytest.fixture(scope="module")
def asked(made):
    return [(one, expression) for one in made for expression in one.expressions]


@pytest.mark.parametrize(
    "program, meant",
    [
        (Kind("cube"), {1}),
        (CONE, {0, 2}),
        (Kind(colour="green", lacks=("shape", "cube")), {3}),
        (Extreme(CONE, "leftmost"), {0}),
        (Extreme(CONE, "farthest"), {2}),
        (Extreme(Kind(), "rightmost"), {2}),
        (Extreme(Kind(), "leftmost", 2), None),  # cube and ball have the same column
        (Extreme(Kind(), "largest"), {1}),
        (Extreme(Kind(), "largest", 2), None),  # three of one size
        (Related(CONE, "left", CUBE), {0}),
        (Related(CUBE, "left", CONE), {1}),
        (Related(CONE, "behind", CUBE), {2}),
        (Related(CONE, "right", Related(CUBE, "behind", BALL)), {2}),
        (Related(CUBE, "right", CUBE), set()),
        (Related(Kind(), "front", CUBE), {3}),
        (Related(CONE, "behind", BALL), None),  # two pairs
        (Related(BALL, "left", CUBE), set()),
        (All(CONE, 2), {0, 2}),
        (All(Related(CONE, "behind", BALL), 2), {0, 2}),
        (All(Related(CUBE, "left", CONE), 1), None),  # which cone?
    ],
)
def test_programs_mean_what_a_person_would_say(program, meant):
    assert denotes(program, ROW) == meant


def test_what_lies_within_a_margin_is_not_clear():
    near = facts(("cone blue small plain", 0.45, 1.5, 0.1), ("cube blue small plain", 0.5, 1.55, 0.1))
    assert denotes(Related(CONE, "left", CUBE), near) is None
    assert denotes(Related(CONE, "right", CUBE), near) == set()
    assert denotes(Extreme(Kind(), "nearest"), near) is None


def test_a_chain_that_can_be_grouped_in_two_ways_is_not_clear():
    scene = facts(
        ("cone blue small plain", 0.1, 1.0, 0.1),  # left of the cube that is behind the ball
        ("cone pink small plain", 0.3, 1.9, 0.1),  # left of the cube, and itself behind the ball
        ("cube blue small plain", 0.7, 1.6, 0.1),
        ("ball blue small plain", 0.7, 1.2, 0.1),
    )
    pink = Kind("cone", "pink")
    assert denotes(Related(CONE, "left", Related(CUBE, "behind", BALL)), scene) is None
    assert denotes(Related(pink, "left", Related(CUBE, "behind", BALL)), scene) == {1}


def test_expressions_mean_their_target_and_a_second_reader_agrees(asked):
    for one, expression in asked:
        assert denotes(expression.program, one.facts) == set(expression.target), expression.text
        plain = {"scene": asdict(one.scene), "facts": asdict(one.facts)}
        assert satisfying(expression.program, plain) == set(expression.target), expression.text
        if expression.level.startswith("L"):
            assert len(expression.target) == 1
        assert (len(expression.target) >= 2) == (expression.level == "plural")
        assert (not expression.target) == (expression.level == "none")


def test_targets_survive_small_shifts_of_every_solid(asked):
    """Margins are real: no shift by a third of a margin changes what an expression means to the second reader."""
    rng = np.random.default_rng(3)
    for one, expression in asked[::3]:
        plain = {"scene": asdict(one.scene), "facts": asdict(one.facts)}
        for solid in plain["scene"]["solids"]:
            solid["x"] += rng.uniform(-0.008, 0.008)  # metres, of an image 0.8 m wide
            solid["z"] += rng.uniform(-0.02, 0.02)
        assert satisfying(expression.program, plain) == set(expression.target), expression.text


def test_minimal_pairs_have_the_same_words_and_another_target(asked):
    pairs = [(one, expression) for one, expression in asked if expression.level == "L4"]
    assert len(pairs) > 25
    for one, expression in pairs:
        text, other = expression.flip
        assert text != expression.text
        assert Counter(text.split()) == Counter(expression.text.split())
        assert (other,) != expression.target
        assert expression.distractor == other
        assert 0 <= other < len(one.facts)


def test_levels_are_what_they_say(asked):
    for one, expression in asked:
        if expression.level in ("L0", "L1", "L2", "L3"):
            (k,) = expression.target
            shape, colour, *look = one.facts.labels[k]
            others = [label for i, label in enumerate(one.facts.labels) if i != k and label[0] == shape]
            same_colour = [label for label in others if label[1] == colour]
            twins = [label for label in same_colour if list(label[2:]) == look]
            level = 3 if twins else 2 if same_colour else 1 if others else 0
            assert expression.level == f"L{level}"
            assert level_of(one.facts, k) == level


def test_paraphrases_are_three_short_and_of_the_vocabulary(asked):
    for _, expression in asked:
        assert len(set(expression.paraphrases)) == STYLES
        assert expression.text in expression.paraphrases
        for text in expression.paraphrases:
            assert text == text.lower() == " ".join(text.split())
            assert len(text.split()) <= LONGEST
            assert set(text.split()) <= set(VOCABULARY)


SAID = {"sphere": "ball", "box": "cube", "little": "small", "big": "large", "thing": "object", "biggest": "largest"}
IDLE = {"the", "that", "is", "to", "which", "are", "only", "of", "in", "than", "on", "and"}


def test_paraphrases_name_the_same_attributes(asked):
    """Every paraphrase of a program names the same shapes, colours, sizes and patterns, equally often."""
    named = {"ball", "cube", "cylinder", "cone", "capsule", "small", "large", "plain", "striped", "checkered", "blue"}
    named |= {"orange", "yellow", "green", "cyan", "purple", "pink"}
    for _, expression in asked:
        counts = []
        for text in expression.paraphrases:
            plain = [SAID.get(word, word) for word in text.replace("boxes", "box").split()]
            singular = [word[:-1] if word.endswith("s") and word[:-1] in (*named, *SAID) else word for word in plain]
            counts.append(Counter(SAID.get(word, word) for word in singular if SAID.get(word, word) in named))
        assert counts[0] == counts[1] == counts[2], expression.paraphrases


def test_paraphrases_by_hand():
    program = Related(Kind("cone", "blue"), "left", Related(Kind("cube", size="large"), "behind", BALL))
    assert [words(program, style) for style in range(STYLES)] == [
        "the blue cone left of the large cube that is behind the ball",
        "blue cone to the left of the big box that is farther than the sphere",
        "the blue cone that is left of the large cube which is in back of the ball",
    ]
    assert [words(All(Kind("cube", "blue"), 2), s) for s in range(3)] == [
        "both blue cubes",
        "every blue box",
        "the two blue cubes",
    ]


def test_programs_can_be_written_down_and_read_back(asked):
    for _, expression in asked:
        assert from_plain(to_plain(expression.program)) == expression.program


def test_a_scene_depends_on_its_own_number_alone(made):
    assert make("val", [7, 3]) == [made[7], made[3]]
    assert make("stats", [7])[0].scene != made[7].scene


def test_a_scene_is_asked_different_things(made):
    for one in made:
        assert len(one.expressions) == PER_SCENE
        assert one.expressions[0].program != one.expressions[1].program


@pytest.mark.parametrize("count", range(3, 10))
def test_each_level_has_a_quarter_of_the_solids_at_each_count(count):
    found, ends = structures(count)
    shares = np.diff(ends, prepend=0.0)
    totals = np.zeros(4)
    for families, share in zip(found, shares):
        for family in families:
            for form, solids in family:
                level = {"1": 1 if len(family) > 1 else 0, "v": 2, "t": 3}[form]
                totals[level] += share * solids / count
    assert totals == pytest.approx([0.25] * 4, abs=1e-4)
    assert (shares >= 0).all()


def test_held_out_pairs_are_met_in_their_split_alone(made):
    for one in made:
        assert {(label[1], label[0]) for label in one.facts.labels} <= MAIN_PAIRS
        for expression in one.expressions:
            assert not names_held_out(expression.program)
    for one in make("heldout_pairs", range(12)):
        for expression in one.expressions:
            if len(expression.target) == 1:
                label = one.facts.labels[expression.target[0]]
                assert (label[1], label[0]) in HELD_OUT


def names_held_out(program):
    if isinstance(program, Kind):
        return (program.colour, program.shape) in HELD_OUT
    return any(names_held_out(getattr(program, part)) for part in ("of", "head", "anchor") if hasattr(program, part))


def test_captions_use_the_vocabulary(made):
    rng = np.random.default_rng(0)
    for one in made[:30]:
        assert set(caption(one.scene, rng).replace(",", "").split()) <= set(VOCABULARY)
