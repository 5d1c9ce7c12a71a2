"""Rotations as the first two rows of their matrices, and back (Zhou et al., CVPR 2019), as PyTorch3D writes them."""

import torch
from torch.nn.functional import normalize


def rotation_6d_to_matrix(rows: torch.Tensor) -> torch.Tensor:
    """(...,6) -> (...,3,3): Gram-Schmidt of the two rows, the third across both."""
    first = normalize(rows[..., :3], dim=-1)
    along = (first * rows[..., 3:]).sum(-1, keepdim=True)
    second = normalize(rows[..., 3:] - along * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -2)


def matrix_to_rotation_6d(matrix: torch.Tensor) -> torch.Tensor:
    """(...,3,3) -> (...,6)"""
    return matrix[..., :2, :].flatten(-2).clone()
