"""Queue order in which neighbours look alike."""

from sparsedet.completeness.similar_order import alike_together


def test_the_most_similar_image_follows_each() -> None:
    embeddings = {1: (0.0, 0.0), 2: (5.0, 0.0), 3: (0.1, 0.0), 4: (5.1, 0.0), 5: (2.0, 0.0)}
    assert alike_together([1, 2, 3, 4, 5], embeddings) == [1, 3, 5, 2, 4]
    assert alike_together([4, 1, 2, 3, 5], embeddings) == [4, 2, 5, 3, 1]


def test_images_move_within_their_part_of_the_queue_only() -> None:
    queue = list(range(100))
    embeddings = {id: (float(id % 7),) for id in queue}
    order = alike_together(queue, embeddings)
    assert sorted(order) == queue
    assert all(abs(order.index(id) - id) < 24 for id in queue)
    assert order != queue


def test_images_of_unknown_look_keep_their_order() -> None:
    assert alike_together([3, 1, 2], {}) == [3, 1, 2]
    assert alike_together([3, 1, 2, 4], {2: (0.0,), 4: (1.0,)}) == [2, 4, 3, 1]
    assert alike_together([], {}) == []
