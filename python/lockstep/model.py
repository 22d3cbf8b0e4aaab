"""Trained models: what they make of samples, and what they go on with."""

import ctypes
import json
import os
from collections import OrderedDict
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._library import TOKEN_FUNCTION, Generate, UsageError, call, flag, settings, texts
from .tokenizer import Tokenizer

Path = Union[str, "os.PathLike[str]"]
Array = Union[np.ndarray, Sequence[Any], float, int]
_KEPT = 4  # plans for shapes that are kept for further samples


def _ids(value: Array) -> np.ndarray:
    """Ids as int32: numbers that are none are refused, not rounded."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu" and array.size > 0:
        raise UsageError(f"ids are whole numbers, not {array.dtype}: model.tokenizer.encode(text) gives those of a text", 2)
    if array.size > 0 and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise UsageError("an id does not fit into 32 bits", 2)
    return np.ascontiguousarray(array, dtype=np.int32)


class _Forward:
    """The model planned for one shape."""

    def __init__(self, model: "Model", loss: bool, rows: int, steps: int) -> None:
        handle = ctypes.c_void_p()
        call("ls_forward_new", model._handle, loss, rows, steps, ctypes.byref(handle))
        self._handle: Optional[ctypes.c_void_p] = handle

    def close(self) -> None:
        if self._handle:
            call("ls_forward_free", self._handle)
            self._handle = None

    def run(self, samples: Mapping[str, np.ndarray]) -> None:
        for name, value in samples.items():
            function = "ls_forward_ints" if value.dtype == np.int32 else "ls_forward_floats"
            call(function, self._handle, name.encode(), value.ctypes.data, value.size)
        call("ls_forward_run", self._handle)

    def read(self, name: str) -> np.ndarray:
        rank, dim = ctypes.c_int(), (ctypes.c_int64 * 8)()
        call("ls_forward_shape", self._handle, name.encode(), ctypes.byref(rank), dim)
        value = np.empty(list(dim[: rank.value]), dtype=np.float32)
        call("ls_forward_read", self._handle, name.encode(), value.ctypes.data, value.size)
        return value

    def loss(self) -> Tuple[float, int]:
        total, targets = ctypes.c_double(), ctypes.c_int64()
        call("ls_forward_loss", self._handle, ctypes.byref(total), ctypes.byref(targets))
        return total.value, targets.value


class Model:
    """A trained model, made by :func:`load`. Usable with ``with``; else it is closed when nobody has it any more."""

    def __init__(self, run: Path, best: bool = False, overrides: Optional[Mapping[str, Any]] = None) -> None:
        self._handle: Optional[ctypes.c_void_p] = None
        self._plans: "OrderedDict[Tuple[bool, int, int], _Forward]" = OrderedDict()
        handle, lines = ctypes.c_void_p(), settings(overrides or {}, members=True)
        call("ls_trained_open", os.fsencode(run), flag("best", best), len(lines), texts(lines), ctypes.byref(handle))
        self._handle = handle
        #: what it is: checkpoint, step, model, task, config (YAML), fields, inputs, parameters, info
        self.info: Dict[str, Any] = json.loads(call("ls_trained_json", handle))
        self._fields = {field["name"]: field for field in self.info["fields"]}
        tokenizer = call("ls_trained_tokenizer", handle)
        #: None where the model has none
        self.tokenizer: Optional[Tokenizer] = Tokenizer._of(tokenizer, self) if tokenizer else None

    def close(self) -> None:
        """Frees its memory; nothing of it can be used after that."""
        for plan in self._plans.values():
            plan.close()
        self._plans.clear()
        if self._handle:
            call("ls_trained_close", self._handle)
            self._handle = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    # ---- Samples --------------------------------------------------------------------------------------------------

    def _samples(self, given: Mapping[str, Array], wanted: Sequence[str]) -> Tuple[Dict[str, np.ndarray], int, int]:
        """Arrays of the fields' types, (rows, field); rows; steps."""
        missing, unknown = [n for n in wanted if n not in given], [n for n in given if n not in wanted]
        if missing or unknown:
            raise UsageError(f"samples have the fields {', '.join(wanted)}; given: {', '.join(given) or 'none'}", 2)
        arrays: Dict[str, np.ndarray] = {}
        rows = steps = 0
        for name, value in given.items():
            field = self._fields[name]
            array = _ids(value) if field["type"] == "int32" else np.ascontiguousarray(value, dtype=field["type"])
            shape: List[int] = field["shape"]
            if array.ndim == len(shape):  # one sample
                array = array[np.newaxis]
            rows = rows or len(array)
            for own, there in zip(array.shape[1:], shape):
                steps = own if there < 0 and not steps else steps
            expected = tuple([rows] + [steps if there < 0 else there for there in shape])
            if array.shape != expected or rows == 0:
                raise UsageError(f"{name} has the shape {array.shape}, {expected} is needed", 2)
            arrays[name] = np.ascontiguousarray(array)
        return arrays, rows, steps

    def _forward(self, loss: bool, given: Mapping[str, Array], wanted: Sequence[str]) -> _Forward:
        if not self._handle:
            raise UsageError("the model is closed", 2)
        arrays, rows, steps = self._samples(given, wanted)
        key = (loss, rows, steps)
        plan = self._plans.pop(key, None)
        if plan is None:
            plan = _Forward(self, loss, rows, steps)
            while len(self._plans) >= _KEPT:
                self._plans.popitem(last=False)[1].close()
        self._plans[key] = plan
        plan.run(arrays)
        return plan

    def predict(self, **samples: Array) -> np.ndarray:
        """What the model says of samples, given by the names of its inputs (``model.info["inputs"]``): one sample, or
        rows of them. The result has a row for each: logits, class scores, forecasts."""
        return self._forward(False, samples, self.info["inputs"]).read("output")

    def logits(self, ids: Array) -> np.ndarray:
        """Of a model with one input (a language model's ids): ``predict`` without its name. (T) or (B, T) ids give
        (B, T, V)."""
        if isinstance(ids, (str, bytes)):
            raise UsageError("logits takes ids, not a text: model.logits(model.tokenizer.encode(text))", 2)
        if len(self.info["inputs"]) != 1:
            raise UsageError(f"this model has the inputs {', '.join(self.info['inputs'])}: use predict", 2)
        return self.predict(**{self.info["inputs"][0]: ids})

    def loss(self, ids: Optional[Array] = None, targets: Optional[Array] = None, **samples: Array) -> float:
        """The mean loss over the targets, in the units of ``lockstep eval``; targets of -1 do not count. `ids` and
        `targets` are the fields of these names; others are given by theirs."""
        if ids is not None:
            samples["ids"] = ids
        if targets is not None:
            samples["targets"] = targets
        total, count = self._forward(True, samples, list(self._fields)).loss()
        return total / count if count else float("nan")

    def parameters(self) -> Dict[str, np.ndarray]:
        """Copies of all parameters by name, in float32."""
        made = {}
        for parameter in self.info["parameters"]:
            value = np.empty(parameter["shape"], dtype=np.float32)
            name = parameter["name"].encode()
            call("ls_trained_parameter", self._handle, name, value.ctypes.data, value.size)
            made[parameter["name"]] = value
        return made

    # ---- Generation -----------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: Union[str, Array],
        tokens: int = 100,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
        batch: int = 1,
        stop: Union[None, str, Sequence[str]] = None,
        no_stop: bool = False,
        precision: str = "run",
        callback: Optional[Callable[[int, int, int], Optional[bool]]] = None,
    ) -> Any:
        """Goes on with a text, or with ids where `prompt` is no str; what is drawn depends on `seed` alone, as in
        ``lockstep generate``. A text gives the text with its continuation, ids the new ids (int32); `batch` above 1 a
        list of so many. A continuation ends where `stop`, or one of several, comes, and at the tokenizer's end token,
        neither of which is part of a text (ids have the token); ``no_stop=True`` goes on behind the latter.
        ``callback(stream, index, token)`` sees each
        token; it ends the generation by returning False.
        """
        stops = _stops(stop)
        drawn: List[List[int]] = [[] for _ in range(batch)]
        failure: List[BaseException] = []

        def on_token(_: object, stream: int, index: int, token: int) -> bool:
            try:
                drawn[stream].append(token)
                return callback is None or callback(stream, index, token) is not False
            except BaseException as error:  # must not pass through C
                failure.append(error)
                return False

        ends = not flag("no_stop", no_stop)
        how = Generate(tokens, batch, temperature, top_p, top_k, seed, ends, precision.encode())
        function = TOKEN_FUNCTION(on_token)
        if isinstance(prompt, str):
            made: List[Any] = [prompt + text for text in self._continue(prompt, how, stops, function)]
        else:
            if stops:
                raise UsageError("stop is a text, and ids are continued by ids: give the prompt as a text", 2)
            ids = _ids(prompt).ravel()
            call("ls_trained_generate", self._open(), ids.ctypes.data, ids.size, ctypes.byref(how), function, None)
            made = [np.array(new, dtype=np.int32) for new in drawn]
        if failure:
            raise failure[0]
        return made if batch > 1 else made[0]

    def _continue(self, prompt: str, how: Generate, stops: List[bytes], function: Any) -> List[str]:
        """What each stream goes on with."""
        text, count = (ctypes.c_void_p * max(1, how.streams))(), (ctypes.c_int64 * max(1, how.streams))()
        data, stop = prompt.encode(), (ctypes.c_char_p * max(1, len(stops)))(*stops)
        call("ls_trained_continue", self._open(), data, len(data), ctypes.byref(how), len(stops), stop, function, None, text, count)
        try:
            return [ctypes.string_at(text[b], count[b]).decode(errors="replace") for b in range(how.streams)]
        finally:
            for b in range(how.streams):
                call("ls_free", text[b])

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise UsageError("the model is closed", 2)
        return self._handle


def _stops(stop: Union[None, str, Sequence[str]]) -> List[bytes]:
    """The texts that end a continuation."""
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, (list, tuple)) or not all(isinstance(text, str) for text in stops):
        raise TypeError(
            f"stop is a text, or a list of them, not {stop!r}; no_stop=True goes on behind the tokenizer's end token"
        )
    if any("\0" in text for text in stops):
        raise UsageError("a stop text holds a zero character, where it would end", 2)
    return [text.encode() for text in stops]


def load(run: Path, best: bool = False, overrides: Optional[Mapping[str, Any]] = None) -> Model:
    """A trained model from a run folder (its newest whole checkpoint; `best`: the best by validation) or a checkpoint.
    `overrides`: settings over its configuration, ``{"train.precision": "float"}``."""
    return Model(run, best, overrides)
