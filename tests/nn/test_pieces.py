"""A batch in pieces: each is computed once, in order, by one thread of its own, and the setting of threads stays."""

import threading
from collections.abc import Iterator

import pytest
import torch

from tpsm.nn import pieces
from tpsm.nn.pieces import by_pieces


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def found(batch: int, numbers: int) -> list[tuple[int, int, int, bool]]:
    """The piece, the threads that it was computed with, and whether by another thread than this."""

    def compute(piece: slice) -> tuple[int, int, int, bool]:
        assert not torch.is_grad_enabled()
        return piece.start, piece.stop, torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    return by_pieces(compute, batch, torch.zeros(1), numbers)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_pieces_that_fit_the_cache_in_order(threads: int) -> None:
    torch.set_num_threads(threads)
    with torch.inference_mode():
        assert found(6, pieces.CACHED // 2) == [(start, start + 2, 1, threads == 1) for start in (0, 2, 4)]
        assert found(6, 1) == [(0, pieces.CACHED, threads, True)]
    assert torch.get_num_threads() == threads


def test_without_inference_mode_no_thread_is_started() -> None:
    torch.set_num_threads(2)
    with torch.no_grad():
        assert found(2, pieces.CACHED) == [(0, 1, 2, True), (1, 2, 2, True)]
    assert by_pieces(lambda piece: piece, 2, torch.zeros(1), pieces.CACHED) == [slice(0, 2)]


def test_two_threads_draw_what_one_draws() -> None:
    convolution, images = torch.nn.Conv2d(3, 8, 3), torch.rand(4, 3, 32, 32)
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            drawn.append(torch.cat(by_pieces(lambda i: convolution(images[i]), 4, images, pieces.CACHED)))
    assert torch.equal(*drawn)


def test_a_fault_is_told_and_the_threads_are_as_before() -> None:
    torch.set_num_threads(2)
    with torch.inference_mode(), pytest.raises(ZeroDivisionError):
        by_pieces(lambda piece: 1 / piece.start, 2, torch.zeros(1), pieces.CACHED)
    assert torch.get_num_threads() == 2
