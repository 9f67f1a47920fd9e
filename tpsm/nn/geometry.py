"""Computes grids, Gaussians, warps, thin-plate splines and 2 x 2 matrices, in the coordinates of `tpsm.core.types`."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from tpsm.nn.precision import full_precision

POINTS_PER_TPS = 5


def coordinate_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "h w 2"]:
    """Returns (x, y) of every pixel's centre, corner pixels at -1 and 1, on the device and in the type of `like`."""
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype)
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def gaussians(
    centres: Float[Tensor, "b k 2"], height: int, width: int, variance: float = 0.01
) -> Float[Tensor, "b k h w"]:
    """Returns exp(-|z - centre|^2 / (2 variance)) at every pixel z: the heatmap of each keypoint (all three papers).

    It is computed as the product of its rows and columns.
    """
    grid = coordinate_grid(height, width, centres)
    x = grid[0, :, 0] - centres[..., 0, None]
    y = grid[:, 0, 1] - centres[..., 1, None]
    columns, rows = torch.exp(-0.5 / variance * x**2), torch.exp(-0.5 / variance * y**2)
    return rows[..., :, None] * columns[..., None, :]


def warp(
    image: Float[Tensor, "b c _ _"],
    grid: Float[Tensor, "b h w 2"],
    *,
    align_corners: bool,
    padding: Literal["zeros", "border", "reflection"] = "zeros",
) -> Float[Tensor, "b c h w"]:
    """Warps backward: samples `image`, bilinearly, at the positions in `grid`.

    `align_corners=False` misreads our corner-aligned grids, as some released code does.
    """
    return F.grid_sample(image, grid, mode="bilinear", padding_mode=padding, align_corners=align_corners)


def warp_by_each(
    image: Float[Tensor, "b c h w"], grids: Float[Tensor, "b m h w 2"], *, align_corners: bool
) -> Float[Tensor, "b m c h w"]:
    """Returns the image moved by each of the m motions, in one warp by a grid m times as high."""
    motions, height = grids.shape[1:3]
    warped = warp(image, grids.flatten(1, 2), align_corners=align_corners)
    return warped.unflatten(2, (motions, height)).transpose(1, 2)


def resize(image: Float[Tensor, "b c _ _"], size: tuple[int, int], *, align_corners: bool) -> Float[Tensor, "b c h w"]:
    """Resizes images to `size` (height, width), bilinearly and without anti-aliasing."""
    if tuple(image.shape[-2:]) == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=align_corners)


def resize_grid(
    grid: Float[Tensor, "b _ _ 2"], size: tuple[int, int], *, align_corners: bool
) -> Float[Tensor, "b h w 2"]:
    """Resizes a grid of positions to `size` (height, width), as `resize` does images."""
    return resize(grid.permute(0, 3, 1, 2), size, align_corners=align_corners).permute(0, 2, 3, 1)


@full_precision
def project(matrix: Float[Tensor, "b 3 3"], points: Float[Tensor, "*n 2"]) -> Float[Tensor, "b *n 2"]:
    """Returns points (x, y) mapped by homogeneous matrices; TPSMM's background motion is such a map, A_bg [p, 1]."""
    flat = points.reshape(-1, 2)
    moved = flat @ matrix[:, :, :2].mT + matrix[:, None, :, 2]
    return (moved[..., :2] / moved[..., 2:]).reshape(matrix.shape[0], *points.shape)


@full_precision
def thin_plate_splines(
    driving: Float[Tensor, "b k n 2"], source: Float[Tensor, "b k n 2"]
) -> Float[Tensor, "b k n+3 2"]:
    """Solves for the k thin-plate splines that take their n driving points to their source points (TPSMM, section on
    TPS motion estimation).

    A spline is T(p) = A [p, 1] + sum_i w_i U(|p - p_i|) with U(r) = r^2 log r^2. The first n rows of the result are the
    w_i, the last three the columns of A.

    The released code adds 0.01 to the whole diagonal, the zero block included, so a spline only nears its points.
    """
    # The matrix [[U, P], [P^T, 0]] of the points, whose solution bends least among all that fit.
    count = driving.shape[-2]
    distance = (driving[..., :, None, :] - driving[..., None, :, :]).square().sum(-1)
    affine = F.pad(driving, (0, 1), value=1.0)
    top = torch.cat([_radial(distance), affine], dim=-1)
    bottom = F.pad(affine.mT, (0, 3))
    ridge = 0.01 * torch.eye(count + 3, dtype=driving.dtype, device=driving.device)
    # Whether a matrix is singular is not asked, for which a GPU would be waited for: the result is not finite then.
    return torch.linalg.solve_ex(torch.cat([top, bottom], dim=-2) + ridge, F.pad(source, (0, 0, 0, 3))).result


@full_precision
def apply_splines(
    coefficients: Float[Tensor, "b k m 2"], driving: Float[Tensor, "b k n 2"], height: int, width: int
) -> Float[Tensor, "b k h w 2"]:
    """Returns T(p) of every spline at every pixel p: where in the source that pixel comes from.

    `coefficients` and `driving` are the result and the first argument of `thin_plate_splines`.
    """
    grid = coordinate_grid(height, width, driving)
    dx = grid[0, :, 0] - driving[..., 0, None]
    dy = grid[:, 0, 1] - driving[..., 1, None]
    radial = _radial(dy.square()[..., :, None] + dx.square()[..., None, :])
    count = driving.shape[-2]
    bend = torch.einsum("bknhw,bknd->bkhwd", radial, coefficients[..., :count, :])
    x, y, one = coefficients[..., None, None, count:, :].unbind(-2)
    return bend + grid[..., :1] * x + grid[..., 1:] * y + one


@full_precision
def assignments(logits: Float[Tensor, "b m h w"]) -> Float[Tensor, "b m h w"]:
    """Returns how much every pixel follows each of the m motions: the softmax over contribution maps (TPSMM) or masks
    (FOMM).

    In bf16 the weights would not sum to 1, and the flow would shrink.
    """
    return torch.softmax(logits, dim=1)


@full_precision
def blend(weights: Float[Tensor, "b m h w"], motions: Float[Tensor, "b m h w 2"]) -> Float[Tensor, "b h w 2"]:
    """Returns the flow: at every pixel the weighted sum of the candidate motions (all three papers)."""
    return torch.einsum("bmhw,bmhwd->bhwd", weights, motions)


@full_precision
def compose(second: Float[Tensor, "b 3 3"], first: Float[Tensor, "b 3 3"]) -> Float[Tensor, "b 3 3"]:
    """Returns the homogeneous matrix that maps by `first`, then by `second`."""
    return second @ first


@full_precision
def relative_affine(source: Float[Tensor, "b k 2 2"], driving: Float[Tensor, "b k 2 2"]) -> Float[Tensor, "b k 2 2"]:
    """Returns A_s A_d^-1, which maps the neighbourhood of each driving point to that of its source point.

    It is the matrix J_k of FOMM, and the product of regions' affine maps in MRAA.
    """
    return source @ inverse(driving)


def inverse(matrix: Float[Tensor, "*n 2 2"]) -> Float[Tensor, "*n 2 2"]:
    """Returns the inverse of 2 x 2 matrices in closed form; it is infinite where a matrix is singular."""
    a, b, c, d = matrix.flatten(-2).unbind(-1)
    adjugate = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2))
    return adjugate / (a * d - b * c)[..., None, None]


def principal_axes(covariance: Float[Tensor, "*n 2 2"]) -> Float[Tensor, "*n 2 2"]:
    """Returns U sqrt(S) of each covariance U S U^T in closed form: MRAA's affine map from the principal axes of a
    region.

    The columns' signs are those that LAPACK's SVD gives, which released MRAA models were trained on: the first entry is
    negative, but positive where b > 0 and det > a^2 + b^2 (for [[a, b], [b, c]]); a diagonal covariance gives the
    identity or the swap. Where the axes are undefined (a = c, b = 0) the backward pass is 0 and not infinite.
    """
    # The eigenvalues are middle +- radius.
    a, b, c = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    half = 0.5 * (a - c)
    gap = half.square() + b.square()
    round_ = gap < 1e-14
    # The inner `where` keeps the infinite derivatives of the branch not taken out of the gradient.
    half, b = torch.where(round_, torch.ones_like(half), half), torch.where(round_, torch.zeros_like(b), b)
    radius = torch.where(round_, torch.zeros_like(gap), torch.sqrt(half.square() + b.square()))
    middle = 0.5 * (a + c)
    lengths = torch.stack([middle + radius, middle - radius], dim=-1).clamp_min(1e-12).sqrt()

    # The first axis lies at `angle`; LAPACK's sign of it depends on the covariance.
    angle = 0.5 * torch.atan2(b, half)
    positive = (b > 0) & (a * c - b.square() > a.square() + b.square())
    sign = torch.where(positive, 1.0, -1.0).to(a.dtype)
    x, y = sign * torch.cos(angle), sign * torch.sin(angle)

    # The second axis is at a right angle to it, mirrored; of a diagonal matrix both are positive.
    diagonal = b == 0
    first = torch.stack([torch.where(diagonal, x.abs(), x), torch.where(diagonal, y.abs(), y)], dim=-1)
    second = torch.stack([torch.where(diagonal, y.abs(), y), torch.where(diagonal, x.abs(), -x)], dim=-1)
    return torch.stack([first, second], dim=-1) * lengths[..., None, :]


def fix_sign(matrices: Float[Tensor, "*n 2 2"]) -> Float[Tensor, "*n 2 2"]:
    """Returns each matrix times the sign of its first entry, which undoes an arbitrary sign of principal axes."""
    return matrices * torch.sign(matrices[..., :1, :1])


def _radial(squared: Tensor) -> Tensor:
    """Returns U(r) = r^2 log(r^2 + 1e-9) of r^2."""
    return squared * torch.log(squared + 1e-9)
