"""Computing a normality in a process of its own.

It takes seconds of full load at the end of learning: neither the other cameras nor the end of the
program wait for it, and it can be ended at any moment.
"""

import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import Contract
from detectors.fitting import NormalityFitter
from detectors.observer import Encoder
from sorawatch import SorawatchError
from streamer.capture.starting import start_blocked

_NICENESS: Final = 5


class NormalityProcess:
    """Turns saved progress into a normality file, then removes the progress. For one thread.

    `connection`: becomes readable when it is time to `poll`.
    """

    def __init__(self, progress: Path, normal: Path, encoder: Encoder | None) -> None:
        """Start. `encoder`: the one that the progress was learned with; it is not run."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe(duplex=False)
        used = None if encoder is None else (encoder.contract.to_json(), encoder.sha256)
        self._process = context.Process(
            target=_main, args=(theirs, str(progress), str(normal), used), name="sorawatch learning"
        )
        # It ends when its owner says so.
        start_blocked(self._process, self.connection, theirs)

    def poll(self) -> str | None:
        """None while it computes; then "" when the file is there, or why it is not."""
        if not self.connection.poll():
            return None
        try:
            return str(json.loads(self.connection.recv_bytes()))
        except (EOFError, OSError, ValueError):
            self._process.join()
            return f"its process died (exit status {self._process.exitcode})"

    def close(self) -> None:
        """End it, if it has not ended; leaves the progress or the file."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()


class _EncoderFacts:
    """What a fitter asks an encoder for when it no longer encodes."""

    def __init__(self, contract: Contract, sha256: str) -> None:
        self.contract = contract
        self.sha256 = sha256
        self.provider = "none"

    def accepts(self, height: int, width: int) -> bool:  # noqa: ARG002
        return False

    def run(self, x: NDArray[np.float32], past: NDArray[np.float32] | None = None) -> NoReturn:
        raise NotImplementedError


def _main(answers: Connection, progress: str, normal: str, used: tuple[str, str] | None) -> None:
    os.nice(_NICENESS)
    encoder = None if used is None else _EncoderFacts(Contract.parse(used[0], progress), used[1])
    problem = ""
    try:
        fitter = NormalityFitter.load_progress(progress, encoder)
        fitter.finish().save(normal)
        Path(progress).unlink(missing_ok=True)
    except (SorawatchError, OSError, MemoryError) as exc:
        problem = str(exc) or type(exc).__name__
    answers.send_bytes(json.dumps(problem).encode())
