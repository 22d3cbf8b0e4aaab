"""The shared library by ctypes: where it is, what its functions take, and its failures as exceptions."""

import ctypes
import json
import os
from ctypes import POINTER, c_bool, c_char_p, c_double, c_int, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path
from typing import Any, List, Mapping, Sequence

import numpy as np


class LockstepError(Exception):
    """A failure, with the message and the exit status that the program would end with (2 usage or configuration,
    3 data, 4 checkpoint, 5 diverged, 6 launch, 7 out of disk or memory, 75 stopped, 1 anything else)."""

    status = 1

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(LockstepError, ValueError):
    """Status 2: an argument or a setting."""


class DataError(LockstepError):
    """Status 3: a data set, a tokenizer or an input."""


class CheckpointError(LockstepError):
    """Status 4: a checkpoint that is missing, damaged, or of another model."""


class DivergedError(LockstepError, ArithmeticError):
    """Status 5: a loss or gradient is not finite."""


class LaunchError(LockstepError):
    """Status 6: MPI, or the shape of the launch."""


class ResourceError(LockstepError):
    """Status 7: out of disk or memory."""


_ERRORS = {2: UsageError, 3: DataError, 4: CheckpointError, 5: DivergedError, 6: LaunchError, 7: ResourceError}


class Generate(ctypes.Structure):
    """LsGenerate of lockstep/api.h."""

    _fields_ = [
        ("tokens", c_int64),
        ("streams", c_int64),
        ("temperature", c_double),
        ("top_p", c_double),
        ("top_k", c_int64),
        ("seed", c_uint64),
        ("stop", c_bool),
        ("precision", c_char_p),
    ]


TOKEN_FUNCTION = ctypes.CFUNCTYPE(c_bool, c_void_p, c_int64, c_int64, c_int32)

_texts = POINTER(c_char_p)
_handle = POINTER(c_void_p)
_dims = POINTER(c_int64)

# name: (result, arguments); a result of c_int is an LsStatus
_FUNCTIONS = {
    "ls_version": (c_char_p, []),
    "ls_message": (c_char_p, []),
    "ls_message_status": (c_int, []),
    "ls_free": (None, [c_void_p]),
    "ls_threads": (c_int, []),
    "ls_set_threads": (None, [c_int]),
    "ls_trained_open": (c_int, [c_char_p, c_bool, c_int, _texts, _handle]),
    "ls_trained_close": (None, [c_void_p]),
    "ls_trained_json": (c_char_p, [c_void_p]),
    "ls_trained_parameter": (c_int, [c_void_p, c_char_p, c_void_p, c_int64]),
    "ls_trained_tokenizer": (c_void_p, [c_void_p]),
    "ls_trained_generate": (c_int, [c_void_p, c_void_p, c_int64, POINTER(Generate), TOKEN_FUNCTION, c_void_p]),
    "ls_trained_continue": (
        c_int,
        [c_void_p, c_char_p, c_int64, POINTER(Generate), c_int, _texts, TOKEN_FUNCTION, c_void_p, _handle, _dims],
    ),
    "ls_forward_new": (c_int, [c_void_p, c_bool, c_int64, c_int64, _handle]),
    "ls_forward_free": (None, [c_void_p]),
    "ls_forward_ints": (c_int, [c_void_p, c_char_p, c_void_p, c_int64]),
    "ls_forward_floats": (c_int, [c_void_p, c_char_p, c_void_p, c_int64]),
    "ls_forward_run": (c_int, [c_void_p]),
    "ls_forward_shape": (c_int, [c_void_p, c_char_p, POINTER(c_int), _dims]),
    "ls_forward_read": (c_int, [c_void_p, c_char_p, c_void_p, c_int64]),
    "ls_forward_loss": (c_int, [c_void_p, POINTER(c_double), POINTER(c_int64)]),
    "ls_tokenizer_to_json": (c_void_p, [c_void_p]),
    "ls_tokenizer_from_json": (c_void_p, [c_char_p]),
    "ls_tokenizer_free": (None, [c_void_p]),
    "ls_tokenizer_kind": (c_char_p, [c_void_p]),
    "ls_tokenizer_vocabulary": (c_int64, [c_void_p]),
    "ls_tokenizer_begin": (c_int64, [c_void_p]),
    "ls_tokenizer_end": (c_int64, [c_void_p]),
    "ls_tokenizer_ends": (c_bool, [c_void_p, c_int64]),
    "ls_tokenizer_encode": (c_int, [c_void_p, c_char_p, c_int64, _handle, _dims]),
    "ls_tokenizer_encode_prompt": (c_int, [c_void_p, c_char_p, c_int64, _handle, _dims]),
    "ls_tokenizer_decode_after": (c_int, [c_void_p, c_void_p, c_int64, _handle, _dims]),
    "ls_tokenizer_decode": (c_int, [c_void_p, c_void_p, c_int64, _handle, _dims]),
    "ls_data_prepare_memory": (c_int, [c_char_p, c_int, _texts, c_int, _texts, c_char_p, c_char_p]),
    "ls_data_reads_arrays": (c_int, [c_char_p, POINTER(c_bool)]),
    "ls_data_describe": (c_int, [c_char_p, _handle]),
    "ls_writer_new": (c_int, [c_char_p, c_char_p, c_int, _handle]),
    "ls_writer_array": (c_int, [c_void_p, c_char_p, c_char_p, c_int, _dims, c_void_p]),
    "ls_writer_text": (c_int, [c_void_p, c_char_p, c_char_p]),
    "ls_writer_int": (c_int, [c_void_p, c_char_p, c_int64]),
    "ls_writer_double": (c_int, [c_void_p, c_char_p, c_double]),
    "ls_writer_commit": (c_int, [c_void_p]),
    "ls_writer_discard": (None, [c_void_p]),
    "ls_seal": (c_int, [c_char_p, c_char_p]),
    "ls_session_open": (c_int, [c_void_p, c_void_p, c_char_p, c_int, _texts, _handle]),
    "ls_session_close": (None, [c_void_p]),
    "ls_session_advance": (c_int, [c_void_p, POINTER(c_bool), POINTER(c_char_p)]),
    "ls_session_evaluate": (c_int, [c_void_p, POINTER(c_double)]),
    "ls_session_save": (c_int, [c_void_p, c_char_p]),
    "ls_session_load": (c_int, [c_void_p, c_char_p]),
    "ls_session_steps": (c_int64, [c_void_p]),
    "ls_session_rank": (c_int, [c_void_p, POINTER(c_int)]),
}
_PLAIN = {"ls_message_status", "ls_threads", "ls_session_rank"}  # of an int that is no status


def _open() -> ctypes.CDLL:
    named = os.environ.get("LOCKSTEP_LIBRARY")
    inside = Path(__file__).with_name("liblockstep.so")
    path = named or (str(inside) if inside.exists() else "liblockstep.so.0.1")
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"{error}: install the package with its library (pip install ./python in the clone), or set "
            "LOCKSTEP_LIBRARY to liblockstep.so"
        ) from None
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _open()


def fail() -> LockstepError:
    """The exception of this thread's last message."""
    status = _library.ls_message_status()
    message = _library.ls_message().decode(errors="replace") or "failed without a message"
    return _ERRORS.get(status, LockstepError)(message, status)


def call(name: str, *arguments: Any) -> Any:
    """Calls a function of the library; a status that is not 0 becomes an exception."""
    result = getattr(_library, name)(*arguments)
    if _FUNCTIONS[name][0] is c_int and name not in _PLAIN and result != 0:
        error = fail()
        error.status = result
        raise error
    return result


def texts(values: Sequence[str]) -> Any:
    """A list of str as char *[]."""
    return (c_char_p * max(1, len(values)))(*[os.fsencode(value) for value in values])


def flag(name: str, value: Any) -> bool:
    """A bool, and nothing that merely counts as one: TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is True or False, not {value!r}")
    return value


def take_text(address: Any) -> bytes:
    """A text that the library gave away."""
    text = ctypes.string_at(address)
    call("ls_free", address)
    return text


def settings(values: Mapping[str, Any], members: bool = False) -> List[str]:
    """{"train.steps": 5, "x": True} as "train.steps=5", "x=true"; None is null. `members`: lists and dicts are values,
    too. TypeError for what is none, which its repr would silently become."""

    def text(name: str, value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if isinstance(value, (str, os.PathLike)):
            return str(os.fspath(value))
        if isinstance(value, (int, float, np.integer, np.floating)):
            return str(value)
        if members and isinstance(value, (list, tuple, Mapping)):
            return json.dumps(value, ensure_ascii=False)  # JSON is YAML
        raise TypeError(f"{name} is a text, a number, or True or False, not {value!r}")

    return [f"{name}={text(name, value)}" for name, value in values.items()]
