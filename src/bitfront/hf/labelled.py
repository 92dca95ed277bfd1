"""Texts with labels as the splits on which a classifier is judged."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

import torch
from torch import Tensor

from bitfront.errors import DataError, suggest
from bitfront.hf.splitting import FEWEST, check_length, parts, read_file
from bitfront.hf.tokens import token_rows


def labelled_text(
    path: str,
    tokenizer: str,
    length: int = 128,
    text: str = "text",
    label: str = "label",
    labels: Sequence[str] | None = None,
    seed: int = 0,
    revision: str = "main",
) -> dict[str, tuple[tuple[Tensor, Tensor], Tensor]]:
    """Texts with labels for a classifier: token ids and attention mask, and the classes as targets.

    `path` is a .csv file with a header or a .jsonl file of objects; `text` and `label` name the columns.
    Labels are class numbers, or words of which `labels` lists all, in the order of the model's classes. The
    examples are shuffled by `seed`: a fifth for calibration, two fifths for search, two for test. Texts are
    cut or padded to `length` tokens. `tokenizer` is as for `text`.
    """
    check_length(length, 1)
    rows = list(_rows(path, text, label))
    if len(rows) < FEWEST:
        raise DataError(f"'{path}' holds {len(rows)} examples; at least {FEWEST} are needed.")
    classes = torch.tensor([_class(word, labels, line, path) for line, _, word in rows], dtype=torch.int64)
    tokens = token_rows([said for _, said, _ in rows], tokenizer, revision, length)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    chosen = {name: order[part] for name, part in parts(len(rows)).items()}
    return {name: ((tokens.ids[at], tokens.mask[at]), classes[at]) for name, at in chosen.items()}


def _rows(path: str, text: str, label: str) -> Iterator[tuple[int, str, Any]]:
    """Line, text and label of each example."""
    content = read_file(path)
    if path.endswith(".csv"):
        reader = csv.DictReader(StringIO(content, newline=""))
        found: Iterator[tuple[int, Any]] = ((reader.line_num, row) for row in reader)
    elif path.endswith(".jsonl"):
        lines = enumerate(content.splitlines(), start=1)
        found = ((number, _object(line, number, path)) for number, line in lines if line.strip())
    else:
        raise DataError(f"'{path}' is neither a .csv nor a .jsonl file.")
    for number, row in found:
        for name in (text, label):
            if row.get(name) is None:
                columns = [str(column) for column in row if column is not None]
                raise DataError(f"Line {number} of '{path}' has no '{name}' ({suggest(name, columns)}).")
        yield number, str(row[text]), row[label]


def _object(line: str, number: int, path: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"Line {number} of '{path}' is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"Line {number} of '{path}' must be an object, but is {type(found).__name__}.")
    return found


def _class(word: Any, labels: Sequence[str] | None, line: int, path: str) -> int:
    """The class number of a label."""
    if labels is not None:
        if word not in labels:
            raise DataError(f"Line {line} of '{path}': '{word}' is no label ({suggest(str(word), labels)}).")
        return labels.index(word)
    try:
        return int(str(word).strip())
    except ValueError as error:
        raise DataError(
            f"Line {line} of '{path}': the label '{word}' is not a class number. Words need the list of all "
            'of them in the order of the classes: labels = ["negative", "positive"].'
        ) from error
