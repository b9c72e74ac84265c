"""Scenes and their rendering, against geometry worked by hand and a scalar ray tracer of another kind."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from addp_bench.randomness import numpy_generator
from addp_bench.tasks.tabletop import edits
from addp_bench.tasks.tabletop.render import render, survey
from addp_bench.tasks.tabletop.scenes import JUDGED, SHARE, SHOWN, sample_scene
from addp_bench.tasks.tabletop.shading import _texture
from addp_bench.tasks.tabletop.solids import (
    COLOURS,
    PATTERNS,
    PROPORTIONS,
    SHAPES,
    Camera,
    Light,
    Scene,
    Solid,
    Surroundings,
)
from addp_bench.tasks.tabletop.splits import make

LIGHT = Light((0.0, 1.0, 0.0), 0.5, 0.5)
AROUND = Surroundings("oak", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 2.0, 0.05, 20.0, (0.0, 0.0))
CORNERS = np.array(list(itertools.product((0, 255), repeat=3)))


def solid(shape, x=0.0, z=1.0, radius=0.1, yaw=0.0, colour="blue", pattern="plain"):
    height = PROPORTIONS[shape].height * radius
    return Solid(shape, colour, "small", pattern, x, z, radius, height, yaw)


@pytest.fixture(scope="module")
def scenes():
    """Twelve scenes of independent solids."""
    rng = numpy_generator("test", "scenes")
    return [sample_scene(rng) for _ in range(12)]


# ------------------------------------------------------------------------------------------ depth by hand


def test_the_middle_of_a_ball_is_its_distance_less_its_radius():
    ball = solid("ball")
    level = Camera(height=ball.height / 2, pitch=0.0, yaw=0.0, fov=0.6)  # looks straight at its middle
    rendering = render([Scene((ball,), level, LIGHT, AROUND)], 65)
    assert rendering.depth[0, 32, 32] == pytest.approx(1.0 - 0.105, abs=1e-6)
    assert rendering.instance[0, 32, 32] == 1
    # its outline is seen under the angle asin(r / d), and a pixel is 2 tan(fov / 2) / 65 of the image plane
    across = (rendering.instance[0, 32] == 1).sum()
    assert across == pytest.approx(2 * math.tan(math.asin(0.105)) / (2 * math.tan(0.3) / 65), abs=1.0)


@pytest.mark.parametrize("pitch", [0.0, 0.3, 0.7])
def test_the_table_recedes_as_trigonometry_says(pitch):
    camera = Camera(height=0.9, pitch=pitch, yaw=0.0, fov=0.6)
    depth = render([Scene((), camera, LIGHT, replace(AROUND, wall_z=5.0))], 33).depth[0]
    for row in (20, 26, 32):
        down = math.tan(0.3) * (2 * (row + 0.5) / 33 - 1)  # below the axis, at depth 1
        expected = 0.9 / (math.sin(pitch) + down * math.cos(pitch))
        assert depth[row, 5] == pytest.approx(expected, rel=1e-6) or expected > 5.0


def test_a_wall_straight_ahead_has_one_depth():
    camera = Camera(height=0.9, pitch=0.0, yaw=0.0, fov=0.6)
    depth = render([Scene((), camera, LIGHT, AROUND)], 32).depth[0]
    assert np.all(depth[:16] == 2.0)  # z-depth, so the corners are no farther than the middle


def test_a_cube_seen_from_above_has_its_lid_and_its_front():
    cube = solid("cube")
    down = Camera(height=1.0, pitch=math.pi / 4, yaw=0.0, fov=0.3)
    depth = render([Scene((cube,), down, LIGHT, AROUND)], 65).depth[0]
    # the axis is y = 1 - z: it meets the front, at z = 1 - 0.075, at the height 0.075, half way up
    assert depth[32, 32] == pytest.approx((1 - 0.075) * math.sqrt(2), abs=1e-6)


# ------------------------------------------------------------------------------------------ against a second tracer


def outside(item, x, y, z):
    """A lower bound of the distance from a point to a solid; negative inside."""
    part, r = PROPORTIONS[item.shape], item.radius
    x, z = x - item.x, z - item.z
    cos, sin = math.cos(item.yaw), math.sin(item.yaw)
    x, z = cos * x - sin * z, sin * x + cos * z
    if item.shape == "ball":
        return math.dist((x, y, z), (0, part.width * r, 0)) - part.width * r
    if item.shape == "cube":
        return max(abs(x) - part.width * r, abs(z) - part.width * r, abs(y - item.height / 2) - item.height / 2)
    if item.shape == "cylinder":
        return max(math.hypot(x, z) - part.width * r, abs(y - item.height / 2) - item.height / 2)
    if item.shape == "cone":
        slope = part.width * r / item.height
        return max((math.hypot(x, z) - slope * (item.height - y)) / math.hypot(1, slope), -y)
    end = min(max(x, -part.reach * r), part.reach * r)
    return math.dist((x, y, z), (end, part.width * r, 0)) - part.width * r


def traced(scene, column, row, size):
    """Depth and instance id of one pixel by walking along its ray."""
    camera, around = scene.camera, scene.surroundings
    right, down = (math.tan(camera.fov / 2) * (2 * (i + 0.5) / size - 1) for i in (column, row))
    # turn the ray (right, -down, 1) by the pitch about x and then by the yaw about y
    up = -down * math.cos(camera.pitch) - math.sin(camera.pitch)
    ahead = -down * math.sin(camera.pitch) + math.cos(camera.pitch)
    sin, cos = math.sin(camera.yaw), math.cos(camera.yaw)
    ray = (right * cos + ahead * sin, up, ahead * cos - right * sin)
    length = math.hypot(*ray)
    t = 0.0
    for _ in range(3000):
        x, y, z = ray[0] * t, camera.height + ray[1] * t, ray[2] * t
        distances = [(outside(item, x, y, z), k + 1) for k, item in enumerate(scene.solids)]
        distance, instance = min([*distances, (y, 0), (around.wall_z - z, 0)])
        if distance < 1e-7:
            return t, instance
        t += distance / length
    return None, None  # grazes something


def test_rays_meet_what_a_second_tracer_meets(scenes):
    rendering = render(scenes[:5], 32)
    compared = 0
    for n, scene in enumerate(scenes[:5]):
        for column, row in itertools.product(range(1, 32, 5), range(1, 32, 5)):
            depth, instance = traced(scene, column, row, 32)
            if depth is not None:
                assert rendering.instance[n, row, column] == instance
                assert rendering.depth[n, row, column] == pytest.approx(depth, abs=2e-5)
                compared += 1
    assert compared > 240


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_meets_what_a_second_tracer_meets(shape):
    scene = Scene((solid(shape, yaw=0.4),), Camera(0.7, 0.6, 0.05, 0.35), LIGHT, AROUND)
    rendering = render([scene], 24)
    assert rendering.instance.any()
    for column, row in itertools.product(range(2, 24, 3), repeat=2):
        depth, instance = traced(scene, column, row, 24)
        if depth is not None:
            assert rendering.instance[0, row, column] == instance
            assert rendering.depth[0, row, column] == pytest.approx(depth, abs=2e-5)


# ------------------------------------------------------------------------------------------ pictures


def test_a_thing_between_table_and_light_casts_a_shadow_there():
    camera = Camera(0.9, 0.7, 0.0, 0.6)
    left = Light((-0.6, 0.8, 0.0), 0.5, 0.5)
    around = replace(AROUND, grain=0.0)
    pair = render([Scene((solid("ball"),), camera, left, around), Scene((), camera, left, around)], 64)
    darker = (pair.images[0].astype(int) - pair.images[1]).sum(-1) < -30
    darker &= pair.instance[0] == 0
    ball = np.argwhere(pair.instance[0] == 1).mean(0)
    assert darker.sum() > 40
    assert np.argwhere(darker)[:, 1].mean() > ball[1] + 3  # the light is on the left, so the shadow lies on the right


def test_no_pixel_comes_near_a_drawing_colour():
    made = make("train", range(200))
    images = render([one.scene for one in made], 32).images.reshape(-1, 3).astype(float)
    least = min(np.sqrt(((images - corner) ** 2).sum(1)).min() for corner in CORNERS)
    assert least > 80
    assert images.min() >= 48
    assert images.max() <= 207


def test_lit_parts_of_red_solids_do_collide_with_the_drawing_red():
    for one in make("hard", range(6)):
        red = [k for k, label in enumerate(one.facts.labels) if label[1] == "red"]
        assert red
        rendering = render([one.scene])
        pixels = rendering.images[0][np.isin(rendering.instance[0], [k + 1 for k in red])].astype(float)
        assert (np.sqrt(((pixels - (255, 0, 0)) ** 2).sum(1)) <= 50).mean() > 0.05


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_shows_as_many_tones_as_it_has(pattern):
    camera = Camera(0.5, 0.3, 0.0, 0.35)
    item = solid("cylinder", colour="orange", pattern=pattern)
    shadeless = Light((0.0, 0.0, -1.0), 1.0, 0.0)
    rendering = render([Scene((item,), camera, shadeless, AROUND)], 64)
    red = rendering.images[0, ..., 0][rendering.instance[0] == 1]
    dark, bright = (red < 120).mean(), (red > 160).mean()
    assert bright > 0.3
    assert (dark < 0.02) if pattern == "plain" else (dark > 0.2)


def test_named_colours_stay_apart_in_any_light():
    for one, two in itertools.combinations((np.array(rgb) for rgb in COLOURS.values()), 2):
        cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        assert math.degrees(math.acos(cosine)) > 8


def test_texture_goes_on_without_a_seam():
    a = np.linspace(0, 1, 50, dtype=np.float32)
    b = np.full(50, 3.3, np.float32)
    assert np.allclose(_texture(a, b), _texture(a + 64, b), atol=1e-4)


# ------------------------------------------------------------------------------------------ sampling and editing


def test_the_same_seed_gives_the_same_bytes(scenes):
    rng = numpy_generator("test", "scenes")
    again = [sample_scene(rng) for _ in range(12)]
    assert again == scenes
    together, alone = render(scenes, 48), [render([scene], 48) for scene in again]
    for n, one in enumerate(alone):  # whatever they are rendered with
        assert one.images.tobytes() == together.images[n].tobytes()
        assert one.depth.tobytes() == together.depth[n].tobytes()
        assert one.instance.tobytes() == together.instance[n].tobytes()


def test_every_solid_is_well_seen_and_none_cuts_another(scenes):
    _, instance, visible, silhouette = survey(scenes, JUDGED)
    for n, scene in enumerate(scenes):
        count = len(scene.solids)
        assert np.array_equal([(instance[n] == k + 1).sum() for k in range(count)], visible[n, :count])
        assert (visible[n, :count] >= SHARE * JUDGED**2).all()
        assert (visible[n, :count] >= SHOWN * silhouette[n, :count]).all()
        for one, two in itertools.combinations(scene.solids, 2):
            assert math.hypot(one.x - two.x, one.z - two.z) > one.footprint + two.footprint


def test_a_silhouette_is_what_is_seen_of_a_solid_alone(scenes):
    scene = max(scenes, key=lambda scene: len(scene.solids))
    _, _, _, silhouette = survey([scene])
    for k, item in enumerate(scene.solids):
        assert survey([replace(scene, solids=(item,))])[2][0, 0] == silhouette[0, k]


def test_edits_change_what_they_name_and_nothing_else(scenes):
    rng = numpy_generator("test", "edits")
    moved = 0
    for scene in scenes:
        painted = edits.recolour(scene, 1, "green" if scene.solids[1].colour != "green" else "pink")
        before, after = render([scene, painted], 32).instance, render([painted], 32)
        assert np.array_equal(before[0], after.instance[0])
        fewer = edits.remove(scene, 0)
        assert fewer.solids == scene.solids[1:]
        changed = edits.move(scene, 0, rng)
        if changed is not None:
            moved += 1
            assert changed.solids[1:] == scene.solids[1:]
            assert changed.solids[0].label == scene.solids[0].label
            assert (changed.solids[0].x, changed.solids[0].z) != (scene.solids[0].x, scene.solids[0].z)
        assert edits.caption(scene, rng).islower()
    assert moved > 4
    with pytest.raises(ValueError, match="no colour is called 'mauve'"):
        edits.recolour(scenes[0], 0, "mauve")
