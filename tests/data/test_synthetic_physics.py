"""The law of motion, on both engines, against figures from CLEVRER's annotations."""

import builtins
import json

import numpy as np
import pytest

from tests.helpers import load_tool
from vps_d2.cli.arguments import PHYSICS
from vps_d2.data.synthetic import SyntheticOptions, bullet, make_tracks, simulate
from vps_d2.data.synthetic.law import Law, Start
from vps_d2.data.synthetic.physics import ENGINES, engine_version, find_engine
from vps_d2.data.synthetic.replay import KINDS, STEPS, TrueScene, read_annotation, replay
from vps_d2.data.synthetic.starts import draw_bodies, draw_start
from vps_d2.data.world import METERS_PER_UNIT
from vps_d2.io.errors import UserError

# In CLEVRER's units and seconds: what moved freely for 66 frames of CLEVRER, its speed before and
# after, the distance, and how fast it span at first (scenes 1000, 4000 and 3000).
FREE = (
    ("sphere", 2.7605, 2.1421, 4.4876, 0.0),
    ("cube", 2.7400, 1.6808, 4.0185, 0.0),
    ("cylinder", 2.8632, 1.7615, 4.2015, 0.0),
    ("cube", 1.2536, 0.5866, 1.6801, -2.2),
)


@pytest.fixture(params=sorted(ENGINES))
def physics(request):
    if request.param == "bullet":
        pytest.importorskip("pybullet")
    return request.param


def make_start(*objects, masses=None):
    """Return objects (shape, x, y, velocity along x, spin) on the floor."""
    count = len(objects)
    places = [(x, y, 0.2008 if shape == "sphere" else 0.2) for shape, x, y, _, _ in objects]
    return Start(
        shapes=tuple(shape for shape, *_ in objects),
        masses=np.ones(count) if masses is None else np.array(masses),
        positions=np.array(places),
        quaternions=np.tile([1.0, 0, 0, 0], (count, 1)),
        velocities=np.array([(speed, 0.0, 0.0) for *_, speed, _ in objects]),
        spins=np.array([(0.0, 0.0, spin) for *_, spin in objects]),
    )


def run(physics, start, num_frames=67, law=None):
    return find_engine(physics).run(start, law or Law(), num_frames, STEPS)


@pytest.mark.parametrize(("shape", "before", "after", "distance", "spin"), FREE)
def test_what_moves_freely_slows_down_as_in_clevrer(physics, shape, before, after, distance, spin):
    motion = run(physics, make_start((shape, 0, 0, before, spin)))
    assert np.linalg.norm(motion.velocities[-1, 0]) == pytest.approx(after, abs=0.02)
    assert np.linalg.norm(motion.positions[-1, 0, :2]) == pytest.approx(distance, abs=0.02)


def test_spheres_slide_without_rolling(physics):
    motion = run(physics, make_start(("sphere", 0, 0, 2.8, 0)))
    assert np.abs(motion.spins).max() < 0.05


def test_what_rests_stays(physics):
    motion = run(physics, make_start(("cube", 0, 0, 0, 0), ("sphere", 1, 0, 0, 0)))
    assert np.abs(motion.positions[:, :, :2] - motion.positions[0, :, :2]).max() < 0.002
    assert np.abs(motion.positions[..., 2] - 0.2).max() < 0.002


def test_a_hit_keeps_momentum_and_loses_energy(physics):
    start = make_start(("sphere", 0, 0, 2.8, 0), ("sphere", 1, 0.15, 0, 0), masses=[1.3, 0.8])
    motion = run(physics, start, 15)
    speeds = motion.velocities[:, :, 0]
    hit = int(np.argmax(speeds[:, 1] > 0.1)) + 2
    momentum = speeds @ start.masses
    # Drag takes some of it in the meantime.
    assert momentum[hit] == pytest.approx(momentum[0], rel=0.1)
    assert 0 <= speeds[hit, 1] - speeds[hit, 0] < 0.7 * speeds[0, 0]
    assert motion.positions[-1, 1, 0] - motion.positions[-1, 0, 0] > 0.35


def test_a_cube_that_is_hit_off_its_center_spins(physics):
    motion = run(physics, make_start(("sphere", 0, 0.15, 2.8, 0), ("cube", 1, 0, 0, 0)), 20)
    assert abs(motion.spins[-1, 1, 2]) > 1
    assert np.abs(motion.spins[-1, 0, 2]) < 0.5


def test_a_law_of_less_bounce_friction_and_drag(physics):
    free = make_start(("cube", 0, 0, 2.8, 0))
    far = run(physics, free, law=Law(friction=0.0, spin_friction=0.0, damping=0.0)).positions[
        -1, 0, 0
    ]
    assert far == pytest.approx(2.8 * 66 * STEPS * 0.004, rel=1e-3)
    pair = make_start(("sphere", 0, 0, 2.8, 0), ("sphere", 0.6, 0, 0, 0))
    gaps = [
        np.diff(run(physics, pair, 30, Law(restitution=bounce)).positions[-1, :, 0])[0]
        for bounce in (0.2, 0.95)
    ]
    assert gaps[0] < gaps[1]


def test_a_motion_does_not_depend_on_what_was_simulated_before(physics):
    options = SyntheticOptions(physics=physics)
    first = simulate(5, options)
    simulate(6, options)
    assert np.array_equal(simulate(5, options).positions, first.positions)


def test_jitter_of_zero_is_the_law(physics, monkeypatch):
    laws = []
    plain = ENGINES[physics].run

    class Spy:
        @staticmethod
        def run(start, law, num_frames, steps):
            laws.append(law)
            return plain(start, law, num_frames, steps)

    monkeypatch.setitem(ENGINES, physics, Spy)
    scene = simulate(5, SyntheticOptions(physics=physics))
    jittered = simulate(5, SyntheticOptions(physics=physics, physics_jitter=1.0))
    assert laws[0] == Law() and laws[1] != Law()
    assert np.array_equal(scene.masses, jittered.masses)
    assert np.allclose(scene.positions[0, :, :2], jittered.positions[0, :, :2])


def test_masses_vary_by_a_fifth():
    rng = np.random.default_rng(0)
    masses = [draw_start(rng, draw_bodies(rng)).masses for _ in range(40)]
    logarithms = np.log(np.concatenate(masses))
    assert np.std(logarithms) == pytest.approx(0.21, abs=0.04)
    assert np.mean(logarithms) == pytest.approx(0, abs=0.06)


def test_commands_know_the_engines():
    assert set(PHYSICS) == set(ENGINES)
    assert SyntheticOptions().physics == PHYSICS[0]


def test_an_unknown_engine_is_a_sentence():
    with pytest.raises(UserError, match=r"no physics 'ode'; choose one of mujoco, bullet\.$"):
        simulate(0, SyntheticOptions(physics="ode"))


def test_a_missing_bullet_is_a_sentence(monkeypatch, tmp_path):
    plain = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pybullet":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    bullet.open_bullet.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"pip install 'vps_d2\[bullet\]'"):
        make_tracks(tmp_path / "new", 1, options=SyntheticOptions(physics="bullet"), workers=1)
    assert not (tmp_path / "new").exists()


def test_data_sets_record_their_engine(physics, tmp_path):
    folder = tmp_path / "tracks"
    arguments = ["--out", str(folder), "--videos", "1", "--workers", "1", "--physics", physics]
    load_tool("make_tracks").main(arguments)
    settings = json.loads((folder / "tracks.json").read_text())
    assert settings["options"]["physics"] == physics
    assert settings["engine"] == engine_version(physics)


@pytest.fixture(scope="module")
def annotation(tmp_path_factory):
    """An annotation in CLEVRER's form: a cylinder that another law slows down, and one at rest."""
    frames = []
    for number in range(128):
        entries = []
        for index, speed in enumerate((1.0, 0.0)):
            entries.append(
                {
                    "object_id": 1 - index,  # in any order
                    "location": [speed * 0.028 * number, 2.0 * index, 0.2],
                    "orientation": [np.pi / 2, 0.0, 0.0],
                    "velocity": [speed, 0.0, 0.0],
                    "angular_velocity": [0.0, 0.0, 0.0],
                }
            )
        frames.append({"frame_id": number, "objects": entries})
    shapes = [{"object_id": index, "shape": "cylinder"} for index in range(2)]
    path = tmp_path_factory.mktemp("clevrer") / "annotation_00000.json"
    path.write_text(json.dumps({"object_property": shapes, "motion_trajectory": frames}))
    return path


def test_an_annotation_gives_the_true_motion(annotation):
    scene = read_annotation(annotation)
    assert scene.shapes == ("cylinder", "cylinder")
    assert scene.motion.positions.shape == (128, 2, 3)
    np.testing.assert_allclose(scene.motion.positions[10, 1], [0.28, 0, 0.2])
    # CLEVRER's cylinders are upright when turned by a quarter around x, ours by themselves.
    np.testing.assert_allclose(scene.motion.quaternions[0, 0], [1, 0, 0, 0], atol=1e-9)
    assert [KINDS[kind] for kind in scene.kinds(0, 66)] == ["rests", "moves"]


def test_a_jump_of_the_velocity_is_a_hit(annotation):
    scene = read_annotation(annotation)
    scene.motion.velocities[40:, 0] = 0.5
    assert KINDS[scene.kinds(0, 66)[0]] == "hit"
    assert KINDS[scene.kinds(0, 30)[0]] == "rests"


def test_a_replay_measures_what_friction_takes(annotation, physics):
    result = replay([read_annotation(annotation)], physics)
    assert result.num_runs == 7
    assert result.count("moves") == 7 and result.count("hit") == 0
    assert result.quantile("rests") < 0.002
    # Friction and drag, 0.35 units a second squared in the mean, take half of that times t^2.
    assert result.quantile("moves") == pytest.approx(0.6 * METERS_PER_UNIT, rel=0.05)
    assert np.isnan(result.quantile("hit"))


def test_an_engine_replays_itself_exactly(physics):
    start = make_start(("sphere", 0, 0, 2.8, 0), ("cube", 1, 0, 0, 0))
    scene = TrueScene(start.shapes, run(physics, start, 67))
    errors = replay([scene], physics).errors
    assert errors.shape == (2,) and errors.max() < 1e-3


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"object_property": [], "x": 1}', None])
def test_another_file_is_a_sentence(tmp_path, content):
    path = tmp_path / "annotation.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="not a readable annotation of CLEVRER; choose another"):
        read_annotation(path)


def test_the_command_prints_a_table(annotation, physics, capsys):
    load_tool("replay_clevrer").main([str(annotation), "--physics", physics])
    lines = capsys.readouterr().out.splitlines()
    assert "scenes: 1" in lines[0]
    assert lines[-1].startswith(f"| {physics} | 0.00") and "7 objects" in lines[-1]
