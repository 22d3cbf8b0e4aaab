"""Data sets: prepared from raw files or from memory, written array by array, described, sealed."""

import ctypes
import json
import os
import struct
import tempfile
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import numpy as np

from ._library import DataError, UsageError, call, settings, take_text, texts

Path = Union[str, "os.PathLike[str]"]
Source = Union[str, "os.PathLike[str]", bytes, np.ndarray]

_IDX_TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def _idx(array: np.ndarray) -> bytes:
    """An array as an idx file: the form of MNIST."""
    if array.dtype.name not in _IDX_TYPES or not 1 <= array.ndim <= 255:
        raise UsageError(f"an array of {array.dtype} cannot be a raw file; {', '.join(_IDX_TYPES)} can", 2)
    head = struct.pack(">HBB", 0, _IDX_TYPES[array.dtype.name], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def _raw(kind: str, array: np.ndarray, reads_arrays: bool) -> bytes:
    """An array as a raw file of this kind."""
    if reads_arrays:
        return _idx(array)
    if array.dtype == np.uint8 and array.ndim == 1:
        return array.tobytes()
    raise UsageError(
        f"prepare {kind} reads text: an array of uint8 in one dimension is its bytes, not {array.dtype} of "
        f"{array.ndim} dimensions; give text.encode(), or write ids that are tokens already with write_dataset",
        2,
    )


def prepare(kind: str, sources: Union[Source, Sequence[Source]], output: Path, **options: Any) -> Dict[str, Any]:
    """`lockstep prepare KIND SOURCE... -o OUTPUT` with its options (``validation=0.1``). A source is a path, bytes (the
    content of a file: ``text.encode()``), or an array: for the kind images pictures and labels, as idx files hold them; for
    kinds that read text the bytes of it, uint8. What is in the data set then, as :func:`describe` says it."""
    if isinstance(sources, (str, bytes, os.PathLike, np.ndarray)):
        sources = [sources]
    arrays = ctypes.c_bool()
    call("ls_data_reads_arrays", kind.encode(), ctypes.byref(arrays))
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        names = []
        for number, source in enumerate(sources):
            ending = ""
            if isinstance(source, np.ndarray):
                ending = f"-idx{source.ndim}-ubyte" if arrays.value else ""
                source = _raw(kind, source, arrays.value)
            if isinstance(source, bytes):
                name = os.path.join(folder, f"memory-{number}{ending}")
                with open(name, "wb") as file:
                    file.write(source)
            else:
                name = os.fspath(source)
                if isinstance(source, str) and not os.path.exists(name):
                    raise DataError(f"{name[:60]}: there is no such file; a text itself is given as text.encode()", 3)
            names.append(name)
        lines = settings(options)
        call(
            "ls_data_prepare_memory",
            kind.encode(),
            len(lines),
            texts(lines),
            len(names),
            texts(names),
            os.fsencode(folder),
            os.fsencode(output),
        )
    return describe(output)


def describe(path: Path) -> Dict[str, Any]:
    """Verifies a data set and says what is in it, as `lockstep inspect --json`."""
    address = ctypes.c_void_p()
    call("ls_data_describe", os.fsencode(path), ctypes.byref(address))
    return json.loads(take_text(address.value))


def seal(path: Path, kind: Optional[str] = None) -> None:
    """Checks an HDF5 file that another program wrote or changed, and seals it anew, as `lockstep seal`. `kind`: of a file
    without a block in front. DataError or CheckpointError where something would be refused; the file is then as it was.
    """
    call("ls_seal", os.fsencode(path), kind.encode() if kind else None)


def write_dataset(
    path: Path,
    kind: str,
    arrays: Mapping[str, Union[np.ndarray, bytes, str, Mapping[str, Any]]],
    attributes: Optional[Mapping[str, Union[int, float, str]]] = None,
    version: int = 1,
) -> None:
    """Writes a data set array by array, in the form that docs/data.md says of its kind; a str, bytes or a mapping (made
    JSON) is an array of bytes. The file gets its name once everything was read back as training would: DataError where
    that refuses it, and nothing is written then."""
    writer = ctypes.c_void_p()
    call("ls_writer_new", os.fsencode(path), kind.encode(), version, ctypes.byref(writer))
    try:
        for name, value in arrays.items():
            if isinstance(value, Mapping):
                value = json.dumps(value, ensure_ascii=False)
            if isinstance(value, str):
                value = value.encode()
            if isinstance(value, bytes):
                value = np.frombuffer(value, dtype=np.uint8)
            array = np.asarray(value, order="C")
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            dim = (ctypes.c_int64 * max(1, array.ndim))(*array.shape)
            data = array.ctypes.data
            call("ls_writer_array", writer, name.encode(), array.dtype.name.encode(), array.ndim, dim, data)
        for name, attribute in (attributes or {}).items():
            if isinstance(attribute, str):
                call("ls_writer_text", writer, name.encode(), attribute.encode())
            elif isinstance(attribute, (int, np.integer)):
                call("ls_writer_int", writer, name.encode(), int(attribute))
            else:
                call("ls_writer_double", writer, name.encode(), float(attribute))
    except BaseException:
        call("ls_writer_discard", writer)
        raise
    call("ls_writer_commit", writer)
