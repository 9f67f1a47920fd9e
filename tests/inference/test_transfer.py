import pytest
import torch

from tpsm.core.types import Keypoints
from tpsm.inference.relative import hull_area, relative_keypoints

SQUARE = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]])


def test_hull_area() -> None:
    assert hull_area(SQUARE) == pytest.approx(1)
    assert hull_area(SQUARE[:2]) == 0
    assert hull_area(torch.linspace(0, 1, 6)[:, None].expand(6, 2)) == 0
    assert hull_area(torch.zeros(5, 2)) == 0


def test_displacement_is_scaled_by_the_source_size() -> None:
    source, initial = Keypoints(0.5 * SQUARE[None] - 0.2), Keypoints(SQUARE[None])
    driving = Keypoints(torch.stack([SQUARE, SQUARE + 0.2]))
    moved = relative_keypoints(source, driving, initial, adapt_scale=True).xy
    torch.testing.assert_close(moved[0], source.xy[0])
    torch.testing.assert_close(moved[1], source.xy[0] + 0.1)
    plain = relative_keypoints(source, driving, initial, adapt_scale=False).xy
    torch.testing.assert_close(plain[1], source.xy[0] + 0.2)


def test_no_area_means_no_scaling() -> None:
    line = Keypoints(torch.linspace(0, 1, 5)[None, :, None].expand(1, 5, 2))
    moved = relative_keypoints(line, Keypoints(SQUARE[None] + 0.1), Keypoints(SQUARE[None]), adapt_scale=True)
    torch.testing.assert_close(moved.xy, line.xy + 0.1)


def test_affine_moves_and_covariance_stays_the_driving_one() -> None:
    def points(seed: int, batch: int) -> Keypoints:
        rng = torch.Generator().manual_seed(seed)
        affine = torch.eye(2) + 0.2 * torch.randn(batch, 3, 2, 2, generator=rng)
        return Keypoints(torch.rand(batch, 3, 2, generator=rng), affine, affine @ affine.mT)

    source, driving, initial = points(0, 1), points(1, 4), points(2, 1)
    moved = relative_keypoints(source, driving, initial, adapt_scale=False)
    expected = driving.affine[2, 1] @ torch.linalg.inv(initial.affine[0, 1]) @ source.affine[0, 1]
    torch.testing.assert_close(moved.affine[2, 1], expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(moved.covariance, driving.covariance)
    still = relative_keypoints(source, initial, initial, adapt_scale=True)
    torch.testing.assert_close(still.xy, source.xy)
    torch.testing.assert_close(still.affine, source.affine, atol=1e-5, rtol=1e-4)
