"""What values in a configuration may look like, shared by its sections."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidationInfo,
    model_validator,
)
from pydantic_core import core_schema

CAMERA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Camera names go into topics, file names and metric labels."""

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d)?\s*", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds in "1.5", "90s", "10m", "1h", "7d" or "250ms"; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('expected a length of time, such as 30, "90s", "10m" or "1h"')
    return float(match[1]) * _UNIT_S[match[2] or "s"]


_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kKMGT]?)(i?)B?\s*", re.ASCII)
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes in "20G", "500M", "2TiB" or "4096"; ValueError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError('expected a size, such as "20G", "500M" or "2TiB"')
    unit: int = (1024 if match[3] else 1000) ** _POWERS[match[2]]
    return round(float(match[1]) * unit)


def no_boolean(value: object) -> object:
    """Refuse true and false, which would pass as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic wants it
    return value


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else no_boolean(value)


def _bytes(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else no_boolean(value)


def anchored(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the file that names them."""
    if "\0" in str(path):
        raise ValueError("a path cannot hold a zero byte")
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


def read_by(read: Callable[..., object]) -> GetPydanticSchema:
    """A field that `read` alone validates; written out as text."""

    def validate(value: object, info: ValidationInfo) -> object:
        return read(value, info)

    schema = core_schema.with_info_plain_validator_function(
        validate, serialization=core_schema.to_string_ser_schema()
    )
    return GetPydanticSchema(lambda _source_type, _handler: schema)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, BeforeValidator(no_boolean), Field(allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(no_boolean), Field(ge=1)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
Size = Annotated[int, BeforeValidator(_bytes), Field(ge=1_000_000)]
AnchoredPath = Annotated[Path, AfterValidator(anchored)]


class Section(BaseModel):
    """Keys that a file may hold, and no others."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        """A section that is named but empty means its defaults."""
        return {} if value is None else value
