"""Peer of bench/scores: a two-way LSTM that tags names, on word vectors of a trained encoder. PyTorch's layer has two biases, ours the sum of
them. The test part's spans are scored by the parameters that were best on the validation part, as `lockstep eval --best` does."""
import os

from scores_training import IGNORE, assume, batches, data_set, finish, padded, recipe, settings, texts, train

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

VECTORS = "embeddings.word_embeddings.weight"
AT_ONCE = 64
m = settings["model"]


class Tagger(nn.Module):
    def __init__(self, classes):
        super().__init__()
        assume("model", kind="rnn", cell="lstm", bidirectional=True)
        assume("train", freeze="[token_embedding]")
        with safe_open(os.path.join(recipe["init"], "model.safetensors"), "pt") as file:
            self.tokens = nn.Embedding.from_pretrained(file.get_tensor(VECTORS).float(), freeze=True)
        self.layers = nn.LSTM(m["embedding"], m["width"], m["layers"], batch_first=True, bidirectional=True)
        self.head, self.drop = nn.Linear(2 * m["width"], classes), nn.Dropout(m["dropout"])

    def forward(self, ids, lengths):  # (B, T), (B) -> (B, T, classes)
        packed = pack_padded_sequence(self.drop(self.tokens(ids)), lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.drop(pad_packed_sequence(self.layers(packed)[0], batch_first=True)[0]))


def read(split):
    """Framed sentences: ids and tags of each; a token without a tag, and the frame, have IGNORE."""
    begin, end = (info["tokenizer"]["vocabulary"].index(info["tokenizer"][name]) for name in ("begin", "end"))
    ids, offsets, tags = texts(file, split + "/ids"), file[split + "/ids_offsets"][:], file[split + "/tags"][:].tolist()
    tags = [[IGNORE if tag < 0 else tag for tag in tags[first:last]] for first, last in zip(offsets, offsets[1:])]
    most = m["context"] - 2
    return [([begin] + row[:most] + [end], [IGNORE] + of_row[:most] + [IGNORE]) for row, of_row in zip(ids, tags)]


def logits_and_tags(sentences):
    lengths = torch.tensor([len(ids) for ids, _ in sentences])
    return model(padded([ids for ids, _ in sentences], 0), lengths), padded([tags for _, tags in sentences], IGNORE)


def loss_of(sentences):
    logits, tags = logits_and_tags(sentences)
    return functional.cross_entropy(logits.flatten(0, 1), tags.flatten(), ignore_index=IGNORE)


def spans(tags):
    """(first, end, kind) of tags B-X, I-X, O: I-X goes on after B-X or I-X, and begins a span elsewhere."""
    found, first = set(), None
    for i, tag in enumerate(tags + ["O"]):
        if first is not None and (tag[0] != "I" or tag[2:] != tags[first][2:]):
            found.add((first, i, tags[first][2:]))
            first = None
        if first is None and tag != "O":
            first = i
    return found


def f1(sentences):
    right = said = wanted = 0
    for at in range(0, len(sentences), AT_ONCE):
        logits, tags = logits_and_tags(sentences[at : at + AT_ONCE])
        for best, row in zip(logits.argmax(-1), tags):
            counts = row != IGNORE
            a, b = (spans([info["classes"][tag] for tag in line[counts].tolist()]) for line in (best, row))
            right, said, wanted = right + len(a & b), said + len(a), wanted + len(b)
    return 2 * right / max(1, said + wanted)


def evaluate():
    held_out = f1(validation)
    if "f1" not in metrics or held_out > metrics["validation_f1"]:
        metrics.update(validation_f1=held_out, f1=f1(test))


file, info = data_set()
sentences, validation, test = (read(split) for split in ("train", "validation", "test"))
model, metrics = Tagger(len(info["classes"])), {}
order = batches(len(sentences), lambda i: len(sentences[i][0]))
train(model, lambda: loss_of([sentences[i] for i in next(order)]), evaluate)
finish(model, metrics)
