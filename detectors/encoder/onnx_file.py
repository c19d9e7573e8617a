"""A look inside an ONNX file before anything else reads it.

An ONNX file is a protobuf message; this walks it with nothing but the wire format, so that the
running program needs neither the `onnx` package nor trust in the file: metadata, whether weights
are kept in other files (which would let a model read any path), and whether every weight is finite.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Field numbers of onnx.proto3.
_MODEL_GRAPH, _MODEL_METADATA, _MODEL_FUNCTIONS = 7, 14, 25
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_ATTRIBUTE, _FUNCTION_NODE = 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_RAW, _TENSOR_DOUBLES = 2, 4, 9, 10
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_KEY, _VALUE = 1, 2

_FLOAT, _FLOAT16, _DOUBLE = 1, 10, 11
_DTYPES: dict[int, str] = {_FLOAT: "<f4", _FLOAT16: "<f2", _DOUBLE: "<f8"}
_MAX_DEPTH = 16

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class NotOnnx(ValueError):
    """The bytes are no ONNX model; the message says where reading them failed."""


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """What the walk found.

    `metadata`: the model's own key-value entries.
    `external`: whether some weight is kept outside the file.
    `finite`: whether every float weight is a finite number.
    """

    metadata: dict[str, str]
    external: bool
    finite: bool


def inspect(data: bytes) -> OnnxFacts:
    """Walk the ONNX model in `data`; NotOnnx when it is not one."""
    walk = _Walk()
    has_graph = False
    metadata: dict[str, str] = {}
    for field, value in _fields(memoryview(data)):
        if field == _MODEL_GRAPH:
            has_graph = True
            walk.graph(_message(value), 0)
        elif field == _MODEL_FUNCTIONS:
            for inner, node in _fields(_message(value)):
                if inner == _FUNCTION_NODE:
                    walk.node(_message(node), 0)
        elif field == _MODEL_METADATA:
            entry = {k: _text(v) for k, v in _fields(_message(value)) if k in (_KEY, _VALUE)}
            metadata[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    if not has_graph:
        raise NotOnnx("it holds no graph")
    return OnnxFacts(metadata, walk.external, walk.finite)


class _Walk:
    """Visits every tensor of a graph, those inside of nodes too."""

    def __init__(self) -> None:
        self.external = False
        self.finite = True

    def graph(self, data: memoryview, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise NotOnnx("its graphs are nested too deeply")
        for field, value in _fields(data):
            if field == _GRAPH_NODE:
                self.node(_message(value), depth)
            elif field == _GRAPH_INITIALIZER:
                self.tensor(_message(value))

    def node(self, data: memoryview, depth: int) -> None:
        for field, value in _fields(data):
            if field != _NODE_ATTRIBUTE:
                continue
            for inner, part in _fields(_message(value)):
                if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                    self.tensor(_message(part))
                elif inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                    self.graph(_message(part), depth + 1)

    def tensor(self, data: memoryview) -> None:
        kind = 0
        arrays: list[tuple[str | None, memoryview]] = []
        for field, value in _fields(data):
            if field == _TENSOR_TYPE and isinstance(value, int):
                kind = value
            elif field == _TENSOR_EXTERNAL or (field == _TENSOR_LOCATION and value == 1):
                self.external = True
            elif field == _TENSOR_RAW:
                arrays.append((None, _message(value)))
            elif field in (_TENSOR_FLOATS, _TENSOR_DOUBLES) and not isinstance(value, int):
                arrays.append(("<f4" if field == _TENSOR_FLOATS else "<f8", value))
        for dtype, raw in arrays:
            wanted = dtype or _DTYPES.get(kind)
            if wanted is not None and not np.isfinite(_array(raw, wanted)).all():
                self.finite = False


def _array(raw: memoryview, dtype: str) -> NDArray[np.floating]:
    size = np.dtype(dtype).itemsize
    if len(raw) % size:
        raise NotOnnx("a weight is cut short")
    return np.frombuffer(raw, dtype)


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise NotOnnx("a number stands where a message should")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return bytes(_message(value)).decode()
    except UnicodeDecodeError as exc:
        raise NotOnnx("its metadata is not UTF-8") from exc


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one protobuf message; fixed-width values as bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise NotOnnx("it is not a protobuf message")
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire == _FIXED64:
            size = 8
        elif wire == _FIXED32:
            size = 4
        else:
            raise NotOnnx("it is not a protobuf message")
        if at + size > end:
            raise NotOnnx("it is cut short")
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise NotOnnx("it is cut short")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise NotOnnx("it is not a protobuf message")
