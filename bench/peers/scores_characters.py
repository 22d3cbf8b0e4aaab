"""Peer of bench/scores: a recurrent language model whose state goes on from step to step. PyTorch's layers have two biases, ours the sum of
them. The text is cut into streams as ours is (src/data/text_source.c), so that the same tokens are scored with the same tokens before them."""
import itertools
import math

from scores_training import IGNORE, assume, data_set, finish, recipe, settings, train

import torch
from torch import nn
from torch.nn import functional

STREAM_WINDOWS = 8  # that a stream of an evaluation has at least
m, steps = settings["model"], recipe["sequence"]


class Language(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        assume("model", tied=False, embedding=0, bidirectional=False, dropout=0)
        assume("train", carry=True)
        self.tokens = nn.Embedding(vocabulary, m["width"])
        self.layers = {"lstm": nn.LSTM, "gru": nn.GRU}[m["cell"]](m["width"], m["width"], m["layers"], batch_first=True)
        self.head = nn.Linear(m["width"], vocabulary, bias=False)

    def forward(self, ids, state):  # (B, T) -> (B, T, vocabulary)
        x, state = self.layers(self.tokens(ids), state)
        return self.head(x), state


def cut(tokens, streams, windows):
    """A window of all streams, (B, T) ids and targets, after the other. windows: of each stream, which are next to each other in the text."""
    first = [steps * before for before in itertools.accumulate(windows, initial=0)]
    for window in range(max(windows)):
        ids, targets = torch.zeros(streams, steps, dtype=torch.long), torch.full((streams, steps), IGNORE)
        for stream in range(streams):
            start = first[stream] + window * steps
            there = min(steps, len(tokens) - 1 - start) if window < windows[stream] else 0
            ids[stream, :there], targets[stream, :there] = tokens[start : start + there], tokens[start + 1 : start + there + 1]
        yield ids, targets


def loss_of(ids, targets, state, reduction="mean"):
    logits, state = model(ids, state)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction=reduction), state


def passes():
    """Losses without end. The state is zero where a pass begins; gradients do not go back beyond a window."""
    tokens, streams = split("train"), recipe["batch"]
    while True:
        state = None
        for ids, targets in cut(tokens, streams, [(len(tokens) - steps) // steps // streams] * streams):
            loss, state = loss_of(ids, targets, state)
            state = tuple(part.detach() for part in state) if m["cell"] == "lstm" else state.detach()
            yield loss


def evaluate():
    tokens, loss, state = split("validation"), 0.0, None
    windows = math.ceil((len(tokens) - 1) / steps)
    streams = min(recipe["batch"], max(1, windows // STREAM_WINDOWS))
    for ids, targets in cut(tokens, streams, [windows // streams + (stream < windows % streams) for stream in range(streams)]):
        of_window, state = loss_of(ids, targets, state, "sum")
        loss += of_window.item()
    metrics.update(loss=loss / (len(tokens) - 1))


def split(name):
    return torch.from_numpy(file[name + "/tokens"][:]).long()


file, _ = data_set()
model, metrics, losses = Language(int(file.attrs["vocabulary"])), {}, passes()
train(model, lambda: next(losses), evaluate)
finish(model, metrics)
