"""Computes wide 3 x 3 convolutions on a CPU with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (CVPR 2016), equation 15: a tile of 4 x 4 outputs is
A^T [(G g G^T) * (B^T d B)] A for the kernel g and the 6 x 6 inputs d around the tile. The product in the middle is one
matrix product over channels for each of the 36 places, and is left to oneDNN, as convolutions are.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

TILE, SEEN = 4, 6
"""Sides of a tile of outputs, and of the inputs that it sees."""

NARROWEST, FEWEST = 256, 64
"""Channels, and tiles of an image, from which on it pays: below, transforms take what products save."""

AT_ONCE = 2_500_000
"""Numbers in a buffer: larger ones leave the cache, and the system takes back and clears their memory every time."""

_INPUT = (
    *((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0)),
    *((0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
)
_KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class Conv3x3(nn.Conv2d):
    """Applies a 3 x 3 convolution at one resolution; in inference on a CPU by Winograd's way, where it is wide.

    That differs from the convolution by 1e-5 of its values, so it is done within torch.inference_mode alone. Its result
    has channels last in memory, and an input that has them so is faster.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self._kernels: tuple[object, list[Tensor]] = None, []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernels": (None, [])}  # oneDNN's layouts cannot be copied or pickled

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return self._by_tiles(x) if self._pays(x) else super().forward(x)

    def _pays(self, x: Tensor) -> bool:
        rows, columns = x.shape[-2] / TILE, x.shape[-1] / TILE
        return (
            torch.is_inference_mode_enabled()
            and (x.device.type, x.dtype) == ("cpu", torch.float32)
            and not torch.is_autocast_enabled("cpu")
            and min(self.in_channels, self.out_channels) >= NARROWEST
            and rows.is_integer()
            and columns.is_integer()
            and rows * columns >= FEWEST
            and torch.backends.mkldnn.is_available()
        )

    def _by_tiles(self, x: Tensor) -> Tensor:
        # The input with channels last and a border of zeros.
        assert self.bias is not None
        (batch, inputs, height, width), outputs = x.shape, self.out_channels
        rows, columns = height // TILE, width // TILE
        padded = x.new_empty(batch, height + 2, width + 2, inputs)
        padded[:, 1:-1, 1:-1] = x.permute(0, 2, 3, 1)
        for border in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
            border.zero_()
        drawn = x.new_empty(batch, rows, TILE, columns, TILE, outputs)

        # Some rows of tiles of an image at a time, as many each time.
        most = max(1, AT_ONCE // (SEEN**2 * columns * inputs))
        some = max(count for count in range(1, rows + 1) if rows % count == 0 and count <= most)
        kernels = self._packed((1, inputs, some, columns))
        forth, back = _both_ways(_INPUT).float(), _both_ways(_OUTPUT).float()
        for image, result in zip(padded, drawn, strict=True):
            for top in range(0, rows, some):
                row, column, channel = image.stride()
                strides = (row, column, TILE * row, TILE * column, channel)
                tiles = image[TILE * top :].as_strided((SEEN, SEEN, some, columns, inputs), strides)
                seen = (forth @ tiles.reshape(SEEN**2, -1)).view(SEEN**2, 1, some, columns, inputs)

                # The 36 products over channels, and back.
                products = x.new_empty(SEEN**2, some, columns, outputs)
                for place, kernel, product in zip(seen, kernels, products, strict=True):
                    product.copy_(_multiply(place.permute(0, 3, 1, 2), kernel)[0].permute(1, 2, 0))
                tile = (back @ products.view(SEEN**2, -1)).view(TILE, TILE, some, columns, outputs)
                torch.add(tile.permute(2, 0, 3, 1, 4), self.bias, out=result[top : top + some])
        return drawn.view(batch, height, width, outputs).permute(0, 3, 1, 2)

    def _packed(self, shape: tuple[int, ...]) -> list[Tensor]:
        """Returns the kernels G g G^T, in the layout that oneDNN wants for inputs of `shape`: another it would reorder
        every time."""
        version = None if self.weight.is_inference() else self.weight._version
        state = self.weight.data_ptr(), version, shape
        if self._kernels[0] != state:
            transform = _both_ways(_KERNEL) / 24**2
            kernels = transform @ self.weight.double().flatten(2).permute(2, 0, 1).flatten(1)
            kernels = kernels.float().view(SEEN**2, self.out_channels, self.in_channels, 1, 1)
            pack = torch._C._nn.mkldnn_reorder_conv2d_weight
            plain = ([0, 0], [1, 1], [1, 1], 1)  # padding, stride, dilation, groups
            self._kernels = state, [pack(kernel.to_mkldnn(), *plain, shape) for kernel in kernels]  # type: ignore
        return self._kernels[1]


def _multiply(x: Float[Tensor, "1 i h w"], kernel: Tensor) -> Float[Tensor, "1 o h w"]:
    """Returns the 1 x 1 convolution by a packed kernel."""
    return torch.ops.mkldnn._convolution_pointwise(x, kernel, None, (0, 0), (1, 1), (1, 1), 1, "none", [], "")


def _both_ways(matrix: tuple[tuple[int, ...], ...]) -> Float[Tensor, "_ _"]:
    """Returns what transforms rows and columns of flattened squares, in double precision."""
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one)
