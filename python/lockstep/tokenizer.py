"""Text to token ids and back."""

import ctypes
from typing import Optional, Sequence, Union

import numpy as np

from ._library import call, fail, take_text


class Tokenizer:
    """Of a trained model (``model.tokenizer``), or made from its JSON (``Tokenizer(json)``)."""

    def __init__(self, json: Union[str, bytes]) -> None:
        self._owner: Optional[object] = None
        self._handle = call("ls_tokenizer_from_json", json.encode() if isinstance(json, str) else json)
        if not self._handle:
            raise fail()

    @classmethod
    def _of(cls, handle: int, owner: object) -> "Tokenizer":
        made = cls.__new__(cls)
        made._handle, made._owner = handle, owner  # which keeps it alive
        return made

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and self._owner is None:
            call("ls_tokenizer_free", self._handle)

    def encode(self, text: Union[str, bytes], prompt: bool = False) -> np.ndarray:
        """The ids of a text, int32; ``prompt``: behind those that stand before each text (<s>), if the tokenizer has any.
        DataError for a character that the tokenizer lacks."""
        data = text.encode() if isinstance(text, str) else bytes(text)
        ids, count = ctypes.c_void_p(), ctypes.c_int64()
        call("ls_tokenizer_encode_prompt" if prompt else "ls_tokenizer_encode", self._handle, data, len(data), ctypes.byref(ids), ctypes.byref(count))
        try:
            buffer = ctypes.string_at(ids, 4 * count.value) if count.value else b""
            return np.frombuffer(buffer, dtype=np.int32).copy()
        finally:
            call("ls_free", ids)

    def decode_bytes(self, ids: Union[Sequence[int], np.ndarray], after: bool = False) -> bytes:
        """The bytes of the ids, one after another; not always whole characters. ``after``: they go on after others, so that
        a blank which they begin with stays."""
        array = np.ascontiguousarray(ids, dtype=np.int32).ravel()
        text, count = ctypes.c_void_p(), ctypes.c_int64()
        call("ls_tokenizer_decode_after" if after else "ls_tokenizer_decode", self._handle, array.ctypes.data, array.size, ctypes.byref(text), ctypes.byref(count))
        try:
            return ctypes.string_at(text, count.value)
        finally:
            call("ls_free", text)

    def decode(self, ids: Union[Sequence[int], np.ndarray], errors: str = "replace", after: bool = False) -> str:
        """The text of the ids; bytes that are no UTF-8 as `errors` says (see bytes.decode). ``after``: as decode_bytes."""
        return self.decode_bytes(ids, after).decode(errors=errors)

    def to_json(self) -> str:
        """All that it is made of, as data sets and checkpoints hold it."""
        address = call("ls_tokenizer_to_json", self._handle)
        if not address:
            raise fail()
        return take_text(address).decode()

    @property
    def kind(self) -> str:
        return call("ls_tokenizer_kind", self._handle).decode()

    @property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        return call("ls_tokenizer_vocabulary", self._handle)

    @property
    def begin(self) -> Optional[int]:
        """The id that begins a text, None where there is none."""
        value = call("ls_tokenizer_begin", self._handle)
        return None if value < 0 else value

    @property
    def end(self) -> Optional[int]:
        """The id that ends a text, None where there is none."""
        value = call("ls_tokenizer_end", self._handle)
        return None if value < 0 else value

    def ends(self, id: int) -> bool:
        """Whether this id ends a text: a published tokenizer may have several that do."""
        return call("ls_tokenizer_ends", self._handle, int(id))
