from vps_d2.inference.objects import MAX_OBJECTS, ObjectCollector


def collect(frames):
    collector = ObjectCollector()
    for frame in frames:
        collector.add(*zip(*frame, strict=True)) if frame else collector.add([], [], [])
    return collector


def test_class_and_score_of_an_object():
    collector = collect([[(1, 5, 0.9)], [(1, 6, 0.8), (0, 9, 1.0)], [], [(1, 5, 0.4)]])
    (seen,) = collector.choose(10)
    assert (seen.first, seen.last, seen.num_frames) == (0, 3, 3)
    assert abs(seen.score - 0.7) < 1e-9 and seen.category_id == 5
    assert collector.num_frames == 4


def test_the_best_objects_at_a_time_are_chosen_in_the_order_in_which_they_appear():
    frames = [[(1, 0, 0.6), (2, 0, 0.9)], [(2, 0, 0.9), (3, 0, 0.7)], [(3, 0, 0.7)], [(4, 0, 0.5)]]
    collector = collect(frames)
    assert [each.track_id for each in collector.choose(10)] == [1, 2, 3, 4]
    assert [each.track_id for each in collector.choose(2)] == [1, 2, 3, 4]
    # Objects 1 and 3 overlap with a better one in time, object 4 does not.
    assert [each.track_id for each in collector.choose(1)] == [2, 4]


def test_no_more_objects_than_an_object_map_can_number():
    collector = collect([[(number, 0, number / 1000)] for number in range(1, 400)])
    chosen = collector.choose(1)
    assert len(chosen) == MAX_OBJECTS
    assert chosen[0].track_id == 400 - MAX_OBJECTS  # those with the lowest scores are left out
