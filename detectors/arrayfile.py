"""Files of named arrays with a JSON header: an .npz that is checked before it is believed.

No pickle anywhere: arrays are plain numbers, the header is JSON. Writing is atomic: a crash leaves
the old file or the new one, never half of one. The same contents give the same bytes.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sorawatch import NormalityError, ResourceError

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_CONTENT_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 64
_HEADER = "header.json"
_MAX_HEADER_BYTES = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)

Arrays = dict[str, NDArray[Any]]


def dump(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, compress: bool = True
) -> bytes:
    """The file's bytes. Without compression they are twice as many, ten times as fast."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        text = json.dumps(header, sort_keys=True, allow_nan=False)
        _add(archive, _HEADER, text.encode(), compress)
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(arrays[name]), allow_pickle=False
            )
            _add(archive, f"{name}.npy", member.getvalue(), compress)
    return out.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes, compress: bool) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    archive.writestr(info, data, compresslevel=1)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; ResourceError when that cannot be done."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as exc:
        raise ResourceError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_file(path: Path) -> bytes:
    """The bytes of a file; NormalityError when it is missing, unreadable or too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise NormalityError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise NormalityError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, none of ours is")
    return data


def parse(data: bytes, path: Path) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of the bytes of `path`; NormalityError when they are foreign or broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_sizes(infos, path)
            header: dict[str, Any] | None = None
            arrays: Arrays = {}
            for info in infos:
                member = archive.read(info)
                if info.filename == _HEADER:
                    header = _parse_header(member, path)
                elif info.filename.endswith(".npy"):
                    arrays[info.filename[:-4]] = _parse_array(member, info.filename, path)
    except NormalityError:
        raise
    # What the zip and npy readers raise on broken files, which is more than they document.
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, RuntimeError) as exc:
        raise NormalityError(
            f"{path}: broken or not a file of ours ({exc}): learn it anew"
        ) from exc
    except Exception as exc:  # zlib.error, struct.error, NotImplementedError, SyntaxError, ...
        raise NormalityError(
            f"{path}: broken ({type(exc).__name__}: {exc}): learn it anew"
        ) from exc
    if header is None:
        raise NormalityError(f"{path}: not a file of ours (it has no header): learn it anew")
    return header, arrays


def _check_sizes(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse, before anything is unpacked, what would unpack to too much."""
    if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_CONTENT_BYTES:
        raise NormalityError(f"{path}: unpacks to more than any file of ours holds")
    for info in infos:
        if info.filename == _HEADER and info.file_size > _MAX_HEADER_BYTES:
            raise NormalityError(f"{path}: its header is larger than any of ours")


def _parse_header(member: bytes, path: Path) -> dict[str, Any]:
    header = json.loads(member)
    if not isinstance(header, dict):
        raise NormalityError(f"{path}: its header is not a JSON object")
    return header


def _parse_array(member: bytes, name: str, path: Path) -> NDArray[Any]:
    """One .npy; its size is checked against what its header claims before memory is taken."""
    stream = io.BytesIO(member)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise NormalityError(f"{path}: {name} is of an unknown version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "fiub" or dtype.hasobject or fortran:
        raise NormalityError(f"{path}: {name} does not hold plain numbers")
    rest = member[stream.tell() :]
    count = 1
    for side in shape:
        count *= int(side)
    if any(side < 0 for side in shape) or count * dtype.itemsize != len(rest):
        raise NormalityError(f"{path}: {name} holds another number of values than it claims")
    array = np.frombuffer(rest, dtype).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise NormalityError(f"{path}: {name} holds values that are not finite")
    return array
