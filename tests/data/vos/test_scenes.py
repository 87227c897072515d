"""Random scenes: what they are drawn from, how things move, and what the object maps say."""

import cv2
import numpy as np
import pytest

from vps_d2.data.vos.clips import choose, make_clip, renumber, visible
from vps_d2.data.vos.layers import Camera, Film, Layer, Scene
from vps_d2.data.vos.library import Library
from vps_d2.data.vos.motion import Bend, Pose, Wander, covered, warp_map
from vps_d2.data.vos.scenes import SceneOptions, draw_scene
from vps_d2.data.vos.shapes import shape
from vps_d2.data.vos.stills import draw_still_scene
from vps_d2.data.vos.textures import texture

SIZE = (64, 80)
OPTIONS = SceneOptions(SIZE)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plain_film() -> Film:
    return Film(light=Wander(rng(), np.zeros(3)))


def square(color: tuple[int, int, int], side: int = 10) -> np.ndarray:
    return np.full((side, side, 4), (*color, 255), np.uint8)


def place(layer_side: int, x: float, y: float, factor: float = 1.0) -> Pose:
    middle = ((layer_side - 1) / 2, (layer_side - 1) / 2)
    return Pose(rng(), middle, (x, y), factor)


def still_scene(*layers: Layer, camera: tuple[float, float, float] = (0, 0, 0)) -> Scene:
    gray = np.full((*SIZE, 3), 100, np.uint8)
    pose = Pose(rng(), (SIZE[1] / 2, SIZE[0] / 2), (SIZE[1] / 2, SIZE[0] / 2), 1.0)
    return Scene(SIZE, [Layer(gray, pose), *layers], Camera(rng(3), SIZE, camera), plain_film())


@pytest.mark.parametrize("number", range(16))
def test_shapes_and_textures_depend_on_their_number_alone(number):
    outline = shape(number, 64)
    shape.__globals__["_keep"].cache_clear()
    assert np.array_equal(outline.alpha, shape(number, 64).alpha)
    assert 0.03 < (outline.alpha > 127).mean() < 0.9
    surface = texture(number, 48)
    texture.__globals__["_keep"].cache_clear()
    assert np.array_equal(surface, texture(number, 48))
    assert surface.shape == (48, 48, 3)
    assert surface.std() > 3  # there is something to see
    assert not np.array_equal(surface, texture(number + 8, 48))


def test_random_motion_begins_at_0_is_bounded_and_smooth():
    wander = Wander(rng(), (5.0, 0.0), periods=(10, 100))
    values = np.array([wander(time) for time in range(2000)])
    assert np.all(wander(0) == 0)
    assert 1 < np.abs(values[:, 0]).max() <= 10
    assert np.all(values[:, 1] == 0)
    assert np.abs(np.diff(values[:, 0])).max() < 5 * 2 * np.pi / 10


def test_a_warp_without_a_bend_is_the_inverse_of_the_matrix():
    matrix = np.array([[0.9, -0.4, 12.0], [0.5, 1.3, -3.0]])
    region = (5, 7, 31, 26)
    x_map, y_map = warp_map(matrix, region, None, 0)
    assert x_map.shape == (26, 31)
    back = cv2.invertAffineTransform(matrix)
    for x, y in ((5, 7), (35, 32), (20, 11)):
        found = (x_map[y - 7, x - 5], y_map[y - 7, x - 5])
        assert found == pytest.approx(back @ (x, y, 1), abs=1e-3)


def test_a_hinge_turns_what_is_near_its_tip_and_leaves_the_rest():
    hinges, tips = np.array([[20.0, 20.0]]), np.array([[40.0, 20.0]])
    bend = Bend(rng(1), (80, 80), hinges, tips, swing=60, ripple=0)
    points = np.array([[40.0, 20.0], [20.0, 20.0], [5.0, 75.0]])
    for time in (7, 20, 33):
        moved = bend.apply(points, time)
        # At the tip, the distance from the hinge is kept; the hinge itself does not move.
        assert np.hypot(*(moved[0] - hinges[0])) == pytest.approx(20, abs=0.01)
        assert moved[1] == pytest.approx(points[1])
        assert moved[2] == pytest.approx(points[2], abs=0.2)
    assert np.abs(bend.apply(points, 7)[0] - points[0]).max() > 0.5
    assert np.array_equal(bend.apply(points, 0), points)


def test_a_turn_shifts_the_middle_and_keeps_the_edges():
    none = np.empty((0, 2))
    bend = Bend(rng(2), (40, 60), none, none, ripple=0, turn=8)
    points = np.array([[30.0, 20.0], [0.0, 20.0], [30.0, 40.0], [90.0, 20.0]])
    moved = bend.apply(points, 15)
    assert 0.3 < np.abs(moved[0] - points[0]).max() <= 16
    assert np.array_equal(moved[1:], points[1:])


def test_the_covered_part_of_a_frame_is_cut_off_at_its_edges():
    matrix = np.array([[1.0, 0, -4], [0, 1, 60]])
    assert covered(matrix, (10, 10), SIZE) == (0, 60, 6, 4)
    outside = np.array([[1.0, 0, -400], [0, 1, 0]])
    assert covered(outside, (10, 10), SIZE)[2] == 0


def test_a_thing_is_where_its_pose_says_and_hides_what_is_behind_it():
    back = Layer(square((250, 0, 0)), place(10, 20, 30), number=1)
    front = Layer(square((0, 250, 0)), place(10, 25, 30), number=0)
    frame, objects = still_scene(back, front).render(0)
    assert frame[30, 17].tolist() == [250, 0, 0]
    assert frame[30, 25].tolist() == [0, 250, 0]
    assert frame[5, 5].tolist() == [100, 100, 100]
    # The square is from column 15.5 to 24.5, and what is in front begins at 20.5.
    assert objects[30, 17] == 1
    assert objects[30, 22] == objects[5, 5] == 0
    assert 40 <= (objects == 1).sum() <= 60
    hidden = Layer(square((0, 0, 250), 20), place(20, 20, 30), number=2)
    frame, objects = still_scene(back, hidden).render(0)
    assert set(np.unique(objects)) == {0, 2}


def test_a_thing_outside_the_frame_is_not_drawn():
    away = Layer(square((250, 0, 0)), place(10, -90, 30), number=1)
    tiny = Layer(square((250, 0, 0)), place(10, 30, 30, 1e-4), number=2)
    frame, objects = still_scene(away, tiny).render(0)
    assert not objects.any()
    assert np.all(frame == 100)


def test_what_the_camera_follows_stays_and_the_rest_drifts():
    followed = Layer(square((250, 0, 0)), place(10, 40, 32), number=1, depth=0)
    passed = Layer(square((0, 250, 0)), place(10, 40, 32), number=2, depth=1)
    for layer, stays in ((followed, True), (passed, False)):
        scene = still_scene(layer, camera=(30, 0, 0))
        assert np.array_equal(scene.render(0)[1], scene.render(40)[1]) == stays


def test_fast_motion_blurs_along_the_way():
    pose = Pose(rng(5), (4.5, 4.5), (40, 32), 1.0, reach=(200, 0, 0, 0), periods=(8, 9))
    sharp, blurred = (
        still_scene(Layer(square((250, 0, 0)), pose, number=1, blurred=blur)).render(0)
        for blur in (False, True)
    )
    reds = [np.unique(frame[..., 0]).size for frame, _ in (sharp, blurred)]
    assert reds[1] > reds[0]
    assert np.array_equal(sharp[1], blurred[1])  # the map is that of the moment


def test_film_adds_noise_by_its_seed_and_tones():
    frame = np.full((*SIZE, 3), 100, np.uint8)
    film = Film(light=Wander(rng(), np.full(3, 0.3)), gamma=2.0, noise=5, sigma=0.5, quality=80)
    film.shade, film.shade_drift = np.full((8, 8), 64, np.uint8), Wander(rng(), (0.1, 0.1))
    first = film.develop(frame, 0, 1)
    assert np.array_equal(first, film.develop(frame, 0, 1))
    assert not np.array_equal(first, film.develop(frame, 0, 2))
    assert first.mean() == pytest.approx(100**2 / 255 / 2, abs=3)
    big = np.zeros((600, 800, 3), np.uint8)  # more than the stock of noise
    assert Film(light=film.light, noise=5).develop(big, 0, 1).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_clip_shows_each_of_its_objects_in_its_first_frame(seed):
    generator = rng(seed)
    clip = make_clip(generator, 3, lambda: draw_scene(generator, OPTIONS), max_gap=5)
    assert clip.frames.shape == (3, *SIZE, 3)
    assert clip.object_maps.shape == (3, *SIZE)
    count = clip.object_maps[0].max()
    assert 1 <= count <= 3
    assert set(np.unique(clip.object_maps[0])) - {0} == set(range(1, count + 1))
    assert clip.object_maps.max() == count  # what comes later is background
    assert np.any(clip.frames[0] != clip.frames[1])
    generator = rng(seed)
    again = make_clip(generator, 3, lambda: draw_scene(generator, OPTIONS), max_gap=5)
    assert np.array_equal(clip.frames, again.frames)


def test_a_library_is_used(tmp_path):
    picture, cutout = tmp_path / "blue.png", tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((40, 40, 3), (255, 0, 0), np.uint8))
    cv2.imwrite(str(cutout), np.full((40, 40, 4), (0, 0, 255, 255), np.uint8))
    library = Library((str(picture),), (str(cutout),))
    blue = red = 0
    for seed in range(12):
        scene = draw_scene(rng(seed), OPTIONS, library)
        blue += np.all(scene.layers[0].pixels == (0, 0, 255))
        red += any(np.all(layer.pixels == (255, 0, 0, 255)) for layer in scene.layers[1:])
    assert blue >= 5
    assert red >= 5


def test_objects_of_a_still_move_with_its_pixels():
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[30:70, 40:90] = 255
    object_map = (picture[..., 0] > 0).astype(np.uint8)
    options = SceneOptions(SIZE, occluders=0)
    for seed in range(5):
        scene = draw_still_scene(rng(seed), options, picture, object_map)
        scene.film = plain_film()
        frame, objects = scene.render(15)
        shown = frame[..., 0] > 128
        assert visible(objects) == [1]
        union = shown | (objects > 0)
        assert (shown & (objects > 0)).sum() > 0.93 * union.sum()


def test_a_still_without_an_object_gives_a_clip_without_one():
    empty = np.zeros((90, 120), np.uint8)
    picture = np.full((90, 120, 3), 50, np.uint8)
    clip = make_clip(rng(), 2, lambda: draw_still_scene(rng(), OPTIONS, picture, empty))
    assert not clip.object_maps.any()


def test_objects_are_numbered_anew():
    maps = np.array([[0, 4, 9], [2, 9, 0]], np.uint8)
    assert renumber(maps, [9, 4]).tolist() == [[0, 2, 1], [0, 1, 0]]
    assert not renumber(maps, []).any()
    assert visible(maps, 0.3) == [9]
    assert visible(np.zeros((4, 4), np.uint8)) == []
    assert sorted(choose(rng(), [3, 5, 7], 2))[0] in (3, 5)
    assert choose(rng(), [], 2) == []
