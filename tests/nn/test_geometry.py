import numpy as np
import pytest
import torch

from tpsm.core.rng import BatchRng
from tpsm.nn.blocks import AntiAlias, Conv7x7, UpBlock
from tpsm.nn.geometry import (
    apply_splines,
    coordinate_grid,
    gaussians,
    inverse,
    principal_axes,
    project,
    resize_grid,
    thin_plate_splines,
    warp,
)
from tpsm.nn.random_tps import RandomTPS, TransformConfig

LIKE = torch.zeros(())


def test_grid_puts_corner_pixels_at_the_corners() -> None:
    grid = coordinate_grid(3, 5, LIKE)
    assert grid[0, 0].tolist() == [-1, -1] and grid[2, 4].tolist() == [1, 1] and grid[1, 3].tolist() == [0.5, 0]


def test_identity_warp_is_exact_only_with_aligned_corners() -> None:
    image = torch.rand(1, 3, 16, 12)
    grid = coordinate_grid(16, 12, image)[None]
    torch.testing.assert_close(warp(image, grid, align_corners=True), image)
    assert (warp(image, grid, align_corners=False) - image).abs().mean() > 0.02
    half = resize_grid(grid, (8, 6), align_corners=True)
    torch.testing.assert_close(half[0], coordinate_grid(8, 6, image))


def test_warp_is_backward_and_zero_outside() -> None:
    image = torch.rand(1, 1, 8, 8)
    grid = coordinate_grid(8, 8, image)[None] + torch.tensor([2 / 7, 0.0])
    moved = warp(image, grid, align_corners=True)
    torch.testing.assert_close(moved[..., :-1], image[..., 1:])
    assert moved[..., -1].abs().max() < 1e-5


def test_gaussian_peaks_at_its_centre() -> None:
    heat = gaussians(torch.tensor([[[0.5, -1.0]]]), 5, 5)[0, 0]
    assert heat[0, 3] == 1 and heat.argmax() == 3
    assert heat[0, 4].item() == pytest.approx(np.exp(-0.5 * 0.25 / 0.01), rel=1e-4)


def test_splines_near_their_points_and_agree_with_a_dense_solution() -> None:
    rng = torch.Generator().manual_seed(1)
    driving = 2 * torch.rand(2, 3, 5, 2, generator=rng) - 1
    source = driving + 0.2 * torch.randn(2, 3, 5, 2, generator=rng)
    coefficients = thin_plate_splines(driving, source)
    grid = apply_splines(coefficients, driving, 9, 7)
    # One spline, written out in double precision.
    p, q, z = (t.double().numpy() for t in (driving[1, 2], source[1, 2], coordinate_grid(9, 7, LIKE)))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r2 = ((a[:, None] - b[None]) ** 2).sum(-1)
        return r2 * np.log(r2 + 1e-9)

    affine = np.concatenate([p, np.ones((5, 1))], axis=1)
    system = np.block([[kernel(p, p), affine], [affine.T, np.zeros((3, 3))]]) + 0.01 * np.eye(8)
    c = np.linalg.solve(system, np.concatenate([q, np.zeros((3, 2))]))
    flat = z.reshape(-1, 2)
    expected = kernel(flat, p) @ c[:5] + np.concatenate([flat, np.ones((len(flat), 1))], axis=1) @ c[5:]
    np.testing.assert_allclose(grid[1, 2].reshape(-1, 2).numpy(), expected, atol=2e-4)


def test_project_divides_by_the_third_coordinate() -> None:
    matrix = torch.tensor([[[2.0, 0, 1], [0, 2, 0], [0.5, 0, 1]]])
    points = project(matrix, torch.tensor([[[1.0, 1.0]]]))
    torch.testing.assert_close(points, torch.tensor([[[[2.0, 2 / 1.5]]]]))


def test_inverse() -> None:
    matrices = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(inverse(matrices) @ matrices, torch.eye(2).expand(4, 3, 2, 2), atol=1e-4, rtol=0)


def test_principal_axes_have_lapacks_signs() -> None:
    rng = torch.Generator().manual_seed(0)
    factor = torch.randn(20000, 2, 2, generator=rng)
    covariance = factor @ factor.mT
    covariance[:40, 0, 1] = covariance[:40, 1, 0] = 0.0
    # Near-isotropic ones have axes that rounding decides.
    spread = torch.linalg.eigvalsh(covariance)
    covariance = covariance[(spread[:, 1] - spread[:, 0] > 0.05) & (spread[:, 0] > 1e-3)]
    # As LAPACK decides it in the same precision; the sign itself turns on ac - b^2 = a^2 + b^2.
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    covariance = covariance[((a * c - b * b) - (a * a + b * b)).abs() > 1e-4]
    u, s, _ = torch.linalg.svd(covariance)
    expected = u @ torch.diag_embed(s.sqrt())
    torch.testing.assert_close(principal_axes(covariance), expected, atol=2e-4, rtol=1e-3)
    ours = principal_axes(covariance)
    torch.testing.assert_close(ours @ ours.mT, covariance, atol=1e-4, rtol=1e-4)


def test_principal_axes_gradient_is_right_and_finite() -> None:
    covariance = torch.tensor([[0.3, 0.1], [0.1, 0.2]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: principal_axes(0.5 * (m + m.mT)), (covariance,))
    isotropic = torch.stack([0.1 * torch.eye(2), torch.zeros(2, 2)]).requires_grad_()
    axes = principal_axes(isotropic)
    axes.sum().backward()
    assert axes.isfinite().all() and isotropic.grad is not None and isotropic.grad.isfinite().all()


@pytest.mark.parametrize("radial", ["squared_l2", "l1"])
def test_random_transform(radial: str) -> None:
    config = TransformConfig(sigma_affine=0.1, sigma_tps=0.05)
    transform = RandomTPS.sample(2, config, radial, BatchRng(3))
    transform = RandomTPS(transform.theta.double(), transform.weights.double(), transform.radial)
    points = 2 * torch.rand(2, 6, 2, dtype=torch.double, generator=torch.Generator().manual_seed(4)) - 1
    by_autograd = torch.autograd.functional.jacobian(lambda z: transform.points(z).sum((0, 1)), points)
    torch.testing.assert_close(transform.jacobian(points), by_autograd.permute(1, 2, 0, 3))
    again = RandomTPS.sample(2, config, radial, BatchRng(3))
    assert torch.equal(again.theta, transform.theta.float())
    # One scalar moves both coordinates.
    bend = transform.points(points) - (points @ transform.theta[:, :, :2].mT + transform.theta[:, None, :, 2])
    torch.testing.assert_close(bend[..., 0], bend[..., 1])
    assert bend.abs().max() > 0.01


def test_transformed_image_and_points_agree() -> None:
    """A bright spot at T(z) of the picture lies at z of the transformed picture."""
    transform = RandomTPS.sample(1, TransformConfig(0.05, 0.005), "squared_l2", BatchRng(0))
    point = torch.tensor([[[0.2, -0.3]]])
    image = gaussians(transform.points(point), 64, 64)
    moved = transform.image(image, align_corners=True)
    peak = coordinate_grid(64, 64, LIKE).reshape(-1, 2)[moved.flatten().argmax()]
    assert (peak - point[0, 0]).abs().max() < 0.03


def test_anti_alias_has_the_released_kernel_and_dark_borders() -> None:
    assert [AntiAlias(1, s).weight.shape[-1] for s in (0.5, 0.25, 0.125)] == [5, 13, 29]
    out = AntiAlias(3, 0.25)(torch.ones(1, 3, 64, 64))
    assert out.shape[-2:] == (16, 16)
    assert out[0, 0, 8, 0].item() == pytest.approx(0.633, abs=1e-3)
    assert out[0, 0, 0, 0].item() == pytest.approx(0.401, abs=1e-3)


def test_fast_convolutions_equal_the_plain_ones() -> None:
    x = torch.randn(2, 5, 6, 8)
    up = UpBlock(5, 4, torch.nn.BatchNorm2d).eval()
    plain = torch.relu(up.norm(up.conv(torch.nn.functional.interpolate(x, scale_factor=2))))
    torch.testing.assert_close(up(x), plain, atol=1e-5, rtol=1e-4)
    head = Conv7x7(5, 1)
    torch.testing.assert_close(head(x), torch.nn.Conv2d.forward(head, x), atol=1e-5, rtol=1e-4)
