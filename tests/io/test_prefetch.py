from vps_d2.io.prefetch import prefetch


def test_prefetch_keeps_the_order() -> None:
    assert list(prefetch(lambda number: number * 2, range(7))) == list(range(0, 14, 2))
    assert list(prefetch(lambda number: number, [])) == []
