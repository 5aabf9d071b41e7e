from training.sampler import ShardedBatches


def steps(ranks: int, batch_size: int, epoch: int = 0, first: int = 0) -> list[list[set[int]]]:
    samplers = [
        ShardedBatches(103, batch_size, seed=3, rank=rank, ranks=ranks) for rank in range(ranks)
    ]
    for sampler in samplers:
        sampler.start(epoch, first)
    return [[set(batch) for batch in sampler] for sampler in samplers]


def test_the_photos_of_a_step_do_not_depend_on_the_number_of_processes() -> None:
    (single,) = steps(1, 12)
    first, second = steps(2, 6)
    assert [a | b for a, b in zip(first, second, strict=True)] == single
    assert all(not a & b for a, b in zip(first, second, strict=True))


def test_an_epoch_has_each_photo_once_in_its_own_order() -> None:
    (batches,) = steps(1, 10)
    assert len(set().union(*batches)) == sum(map(len, batches)) == 100
    assert steps(1, 10, epoch=1) != steps(1, 10)


def test_it_resumes_within_an_epoch() -> None:
    (whole,), (rest,) = steps(1, 10), steps(1, 10, first=4)
    assert rest == whole[4:]
