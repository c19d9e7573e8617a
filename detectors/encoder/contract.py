"""The contract of an encoder file: names, shapes, bounds and the metadata that says so.

An encoder is one ONNX file without external data that maps

    X        (B, N, C, H, W) float32   the newest N frames of B windows, see `features.py`
    past     (B, M, F, h, w) float32   features of the M frames before them, from earlier calls
 -> window   (B, D)          float32   one vector for the whole window of T = M + N frames
    tokens   (B, E, h, w)    float32   local tokens of the newest frame
    anomaly  (B, h, w)       float32   logit that something was not as it should be in that cell
    features (B, N, F, h, w) float32   features of the N frames, `past` of later calls

with h = ceil(H/16), w = ceil(W/16), for any B, N >= 1, M >= 0 and any T, H, W within the bounds
that its metadata states. What a frame's features are does not depend on the frames around it, so
that a window that moves on by one frame costs one frame: M = T - 1, N = 1.

The metadata entry `sorawatch.encoder` holds a JSON object with the fields of `Contract`. A file
that does not fit is refused with the reason (`Contract.parse`).
"""

import json
from dataclasses import asdict, dataclass, fields

from sorawatch import ModelError

CONTRACT_VERSION = 2
METADATA_KEY = "sorawatch.encoder"
INPUTS = ("X", "past")
OUTPUTS = ("window", "tokens", "anomaly", "features")
CHANNELS = ("luma_00", "luma_01", "luma_10", "luma_11", "flow_x", "flow_y", "difference")
LUMA, FLOW, DIFFERENCE = slice(0, 4), slice(4, 6), 6
"""Where they stand along C."""
STRIDE_PX = 16
PRECISIONS = ("float32", "float16")
MAX_FILE_BYTES = 64 * 1024 * 1024
"""Larger files are refused unread: the shipped one has a few MB."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What one encoder file promises.

    `frames`: T that it was trained with; `frames_min`..`frames_max` what it accepts.
    `side_min_px`..`side_max_px`: bounds of both H and W.
    `analysis_px`: long side of the pictures that it was trained on.
    `period_s`: time between the frames of a window that it was trained on, seconds.
    `window_dim`, `token_dim`, `feature_dim`: D, E and F.
    `name`: for people: what it is and when it was trained.
    `precision`: of weights and arithmetic, float32 or float16; inputs and outputs are float32
    either way. A file that does not say has float32.
    """

    name: str
    window_dim: int
    token_dim: int
    feature_dim: int
    version: int = CONTRACT_VERSION
    frames: int = 8
    frames_min: int = 1
    frames_max: int = 32
    side_min_px: int = 16
    side_max_px: int = 512
    analysis_px: int = 180
    period_s: float = 0.2
    stride_px: int = STRIDE_PX
    channels: tuple[str, ...] = CHANNELS
    precision: str = PRECISIONS[0]

    def to_json(self) -> str:
        """The metadata entry."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str, path: str) -> "Contract":
        """Read the metadata entry of the file `path`; ModelError when it is foreign."""
        try:
            given = json.loads(text)
        except ValueError as exc:
            raise ModelError(f"{path}: its {METADATA_KEY} metadata is not JSON ({exc})") from exc
        if not isinstance(given, dict):
            raise ModelError(f"{path}: its {METADATA_KEY} metadata is not a JSON object")
        if given.get("version") != CONTRACT_VERSION:
            raise ModelError(
                f"{path}: made for encoder contract {given.get('version')!r}, this program speaks "
                f"{CONTRACT_VERSION}: export it again with this version (sorawatch export)"
            )
        values: dict[str, object] = {}
        for field in fields(cls):
            if field.name not in given:
                if field.name in _OPTIONAL:
                    continue
                raise ModelError(f"{path}: its {METADATA_KEY} metadata lacks {field.name!r}")
            value = given[field.name]
            if field.name == "channels":
                value = tuple(value) if isinstance(value, list) else value
            values[field.name] = value
        contract = cls(**values)  # type: ignore[arg-type]  # checked next
        contract._check(path)
        return contract

    def _check(self, path: str) -> None:
        """Refuse values that the program cannot serve."""

        def whole(name: str, low: int, high: int) -> int:
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ModelError(f"{path}: metadata {name}={value!r} is not in {low}..{high}")
            return value

        whole("window_dim", 1, 8192)
        whole("token_dim", 1, 1024)
        whole("feature_dim", 1, 2048)
        low, high = whole("frames_min", 1, 64), whole("frames_max", 1, 64)
        whole("frames", low, max(low, high))
        low = whole("side_min_px", 1, 256)  # a trial window of this size must fit into memory
        whole("analysis_px", low, whole("side_max_px", low, 4096))
        if self.stride_px != STRIDE_PX or type(self.stride_px) is not int:
            raise ModelError(f"{path}: metadata stride_px={self.stride_px!r} is not {STRIDE_PX}")
        if self.channels != CHANNELS:
            raise ModelError(
                f"{path}: takes channels {self.channels!r}, this program gives {CHANNELS}"
            )
        if type(self.period_s) not in (int, float) or not 0.01 <= self.period_s <= 10:
            raise ModelError(f"{path}: metadata period_s={self.period_s!r} is not in 0.01..10")
        if type(self.name) is not str:
            raise ModelError(f"{path}: metadata name is not a text")
        if self.precision not in PRECISIONS:
            raise ModelError(
                f"{path}: metadata precision={self.precision!r} is not in {PRECISIONS}"
            )


_OPTIONAL = frozenset({"precision"})
"""Fields that came later than the version of the contract: files without them are served."""
