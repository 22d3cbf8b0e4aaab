"""The rows of a run's metrics.jsonl as columns."""

import json
import os
from pathlib import Path as _Path
from typing import Dict, List, Union

import numpy as np

from ._library import DataError


def metrics(run: Union[str, "os.PathLike[str]"]) -> Dict[str, np.ndarray]:
    """A column for each name that occurs in the rows of a run (a run folder, or a metrics.jsonl): int64 where every row
    has a whole number, else float64 with nan where a row lacks it; texts (samples) are no columns.
    pandas.DataFrame(metrics(run)) makes a table of it.
    """
    path = _Path(os.fspath(run))
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", 3) from None
    rows: List[Dict[str, float]] = []
    for number, line in enumerate(lines):
        last = number == len(lines) - 1  # without its end while a training writes it
        if not line or last:
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise DataError(f"{path}, line {number + 1}: no JSON object", 3) from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number + 1}: no JSON object", 3)
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row if not isinstance(row[name], (list, dict, str))))
    table: Dict[str, np.ndarray] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        whole = all(isinstance(value, int) for value in values)
        table[name] = np.array(
            values if whole else [np.nan if value is None else value for value in values],
            dtype=np.int64 if whole else np.float64,
        )
    return table
