from vps_d2.io.shards import WHOLE, shard_name, take_shard


def test_shards_share_everything_and_nothing_twice() -> None:
    items = list(range(7))
    parts = [take_shard(items, (index, 3)) for index in range(3)]
    assert parts == [[0, 3, 6], [1, 4], [2, 5]]
    assert take_shard(items, WHOLE) == items
    assert take_shard(items[:1], (2, 3)) == []


def test_all_of_the_work_claims_the_whole_folder() -> None:
    assert shard_name((2, 3)) == "shard_2_of_3" and shard_name(WHOLE) == ""
