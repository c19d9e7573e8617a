"""ONNX Runtime's execution providers: what was asked for, what is really there.

onnxruntime-gpu lists CUDA on machines that have none and falls back to the CPU without a word.
So the only question that counts is asked of the session after it has loaded.
"""

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import onnxruntime

from sorawatch import ConfigError, DeviceError

log = logging.getLogger(__name__)

Device = Literal["auto", "cuda", "cpu"]
Provider = Literal["cuda", "cpu"]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_SILENT, _ERRORS = 4, 3
# No search by timing and no TF32: the same input gives the same bits in every run.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
_MEND = (
    "install the NVIDIA libraries (pip install 'sorawatch[cuda]') on a machine with an NVIDIA GPU "
    "and driver, or set device: auto or cpu"
)


def open_session(model: bytes, device: Device, threads: int | None) -> tuple[Any, Provider]:
    """A loaded session for the model's bytes, and the provider that it truly runs on.

    `threads`: threads within one run; None for one per core. DeviceError when `cuda` was asked for
    and cannot be had; what ONNX Runtime raises about the model itself passes through.
    """
    if device not in ("auto", "cuda", "cpu"):
        raise ConfigError(f"device {device!r} is unknown: use auto, cuda or cpu")
    if device != "cpu":
        session, reason = _cuda_session(model, threads)
        if session is not None:
            return session, "cuda"
        if device == "cuda":
            onnxruntime.InferenceSession(model, _options(1), providers=[CPU])  # or is it the model?
            raise DeviceError(f"device cuda is not available: {reason}; {_MEND}")
        log.debug("no CUDA (%s), using the CPU", reason)
    options = _options(threads)
    return onnxruntime.InferenceSession(model, options, providers=[CPU], enable_fallback=0), "cpu"


def _cuda_session(model: bytes, threads: int | None) -> tuple[Any | None, str]:
    """A session on CUDA, or None and the reason why there is none."""
    if CUDA not in onnxruntime.get_available_providers():
        return None, "the installed ONNX Runtime was built without it"
    said = io.StringIO()
    # The reason goes to the process's standard error as several coloured lines; it is given by us.
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with contextlib.redirect_stdout(said):  # it prints, as a library should not
            onnxruntime.preload_dlls()
        options = _options(threads)
        options.log_severity_level = _SILENT
        session = onnxruntime.InferenceSession(
            model, options, providers=[(CUDA, _CUDA_OPTIONS), CPU], enable_fallback=0
        )
    except Exception as exc:
        # ONNX Runtime has no class of its own for this. If the model is at fault, the CPU says so.
        onnxruntime.set_default_logger_severity(_ERRORS)
        return None, _reason(str(exc))
    if CUDA in session.get_providers():
        # Kept silent: where cuDNN has no plan for a convolution the runtime takes another way, and
        # says so as an error, for each shape once.
        return session, ""
    onnxruntime.set_default_logger_severity(_ERRORS)
    log.debug("ONNX Runtime on loading CUDA: %s", _one_line(said.getvalue()))
    return None, "ONNX Runtime could not load its CUDA provider (no GPU, no driver or no libraries)"


def _options(threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS
    # Idle threads that spin would burn a core between frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # sizes differ from camera to camera
    return options


def environment_problem(installed: Callable[[str], str | None] | None = None) -> str | None:
    """What is wrong with the installed ONNX Runtime and how to mend it; None when all is well.

    onnxruntime and onnxruntime-gpu write the same files over each other: with both installed
    either may be half there, and removing one breaks the other. `installed`: a distribution's
    version, None when it is not installed; by default this environment's.
    """
    plain, gpu = map(installed or _version, ("onnxruntime", "onnxruntime-gpu"))
    if plain is None or gpu is None:
        return None
    return (
        f"onnxruntime {plain} and onnxruntime-gpu {gpu} are both installed and overwrite each "
        "other: pip uninstall -y onnxruntime onnxruntime-gpu && "
        f"pip install onnxruntime-gpu=={gpu}"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _reason(said: str) -> str:
    """What CUDA said, out of the C++ around it; all of it when it cannot be found."""
    found = re.search(r"\bCU\w+ failure \d+: [^;]+", said)
    return _one_line(found[0] if found else said)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
