"""Batches as tensors, made ahead by processes of their own while the model learns from the last."""

# mypy: allow-subclassing-any

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detectors.encoder.data import Batch, Batches


class Tensors(NamedTuple):
    """A `Batch` as tensors of the same shapes."""

    x: Tensor
    kind: Tensor
    planted: Tensor
    moving: Tensor
    future: Tensor
    group: Tensor

    def to(self, device: torch.device) -> "Tensors":
        """The same on a device."""
        return Tensors(*(part.to(device, non_blocking=True) for part in self))


def tensors(batch: Batch) -> Tensors:
    """The batch as tensors that share its memory."""
    return Tensors(*(torch.from_numpy(getattr(batch, name)) for name in Tensors._fields))


def batches_ahead(
    batches: Batches, steps: range, size: int, *, workers: int, pinned: bool
) -> Iterator[Tensors]:
    """The batches of these steps in order, the same however many processes make them.

    `workers`: processes that make them ahead, two each; 0 makes each when it is asked for.
    `pinned`: in memory from which a GPU can be fed while it computes.
    """
    loader: DataLoader[Tensors] = DataLoader(
        _Steps(batches, size),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_as_they_are,
        worker_init_fn=_begin_worker,
        multiprocessing_context="spawn" if workers else None,  # CUDA does not outlive a fork
        pin_memory=pinned,
    )
    yield from loader


class _Steps(Dataset[Tensors]):
    """Batches by the number of their step."""

    def __init__(self, batches: Batches, size: int) -> None:
        self._batches, self._size = batches, size

    def __getitem__(self, step: int) -> Tensors:
        return tensors(self._batches.batch(step, self._size))


def _as_they_are(batch: Tensors) -> Tensors:
    return batch


def _begin_worker(_number: int) -> None:
    cv2.setNumThreads(1)
