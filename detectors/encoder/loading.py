"""Batches as tensors, made ahead by processes of their own while the model learns from the last."""

# mypy: allow-subclassing-any

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detectors.encoder.data import Batch, Batches
from sorawatch import ResourceError

SHARED: Final = Path("/dev/shm")  # noqa: S108 - where Linux keeps what processes share
AHEAD: Final = 2
"""Batches that each process makes ahead."""

_LOST_S: Final = 300.0


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
    ResourceError when a process that makes them dies.
    """
    workers = min(workers, len(steps))
    loader: DataLoader[Tensors] = DataLoader(
        _Steps(batches, size),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_as_they_are,
        worker_init_fn=_begin_worker,
        multiprocessing_context="spawn" if workers else None,  # CUDA does not outlive a fork
        prefetch_factor=AHEAD if workers else None,
        timeout=_LOST_S if workers else 0.0,
        pin_memory=pinned,
    )
    try:
        yield from loader
    except RuntimeError as exc:  # torch has no class of its own for it
        if not workers:
            raise
        raise ResourceError(
            "a process that makes batches for the training ended (killed, or out of memory?): "
            "train again with fewer --workers, it goes on from the last checkpoint"
        ) from exc


def workers_that_fit(batch_bytes: int) -> int | None:
    """How many processes can hand over batches of this size; None where nothing limits them.

    Batches go through shared memory, of which a container may have as little as 64 MB.
    """
    try:
        room = os.statvfs(SHARED)
    except OSError:
        return None
    return int(room.f_bavail * room.f_frsize * 0.9) // (AHEAD * batch_bytes)


class _Steps(Dataset[Tensors]):
    """Batches by the number of their step."""

    def __init__(self, batches: Batches, size: int) -> None:
        self._batches, self._size = batches, size

    def __getitem__(self, step: int) -> Tensors:
        return tensors(self._batches.batch(step, self._size))


def _as_they_are(batch: Tensors) -> Tensors:
    return batch


def _begin_worker(_number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts means the training
    cv2.setNumThreads(1)
