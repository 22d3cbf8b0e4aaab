"""Peer of bench/scores: translation by PyTorch's Transformer layers, or by a recurrent encoder and decoder with attention, of the same
definitions as ours (src/models/transformer.c, seq2seq.c). Recurrent layers have PyTorch's two biases, ours the sum of them."""
import collections
import math
import re

from scores_training import IGNORE, assume, batches, data_set, finish, padded, recipe, settings, texts, train

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]  # ids 0 to 3, in front of the words
BOS, EOS, TRANSLATED, AT_ONCE = 2, 3, 1000, 50
m, longest = settings["model"], recipe["sequence"]
torch.backends.mha.set_fastpath_enabled(False)


class Transformer(nn.Module):
    """Norms after each part, learned positions, the head tied to the table of the targets' ids."""

    longest_said = longest - 1

    def __init__(self, sources, targets):
        super().__init__()
        assume("model", norm="post", position="learned")
        width = m["width"]
        self.source, self.target, self.drop = nn.Embedding(sources, width), nn.Embedding(targets, width), nn.Dropout(m["dropout"])
        self.positions = nn.ModuleList(nn.Embedding(m["context"], width) for _ in range(2))
        layer = dict(d_model=width, nhead=m["heads"], dim_feedforward=m["hidden"] or 4 * width, dropout=m["dropout"], layer_norm_eps=m["epsilon"],
                     batch_first=True)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), m["layers"], enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), m["layers"])
        for part in self.modules():  # dropout in front of residual additions alone
            if isinstance(part, nn.MultiheadAttention):
                part.dropout = 0.0
            if isinstance(part, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
                part.dropout = nn.Identity()
        for name, parameter in [*self.encoder.named_parameters(), *self.decoder.named_parameters()]:
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=math.sqrt(2 / sum(parameter.shape)))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=width**-0.5)
        for table in self.positions:
            nn.init.normal_(table.weight, std=0.02)

    def embed(self, ids, table, positions):
        return self.drop(table(ids) + positions.weight[: ids.shape[1]])

    def encode(self, source, lengths):
        padding = torch.arange(source.shape[1]) >= lengths[:, None]
        return self.encoder(self.embed(source, self.source, self.positions[0]), src_key_padding_mask=padding), padding

    def decode(self, memory, ids):
        encoded, padding = memory
        causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        x = self.embed(ids, self.target, self.positions[1])
        return self.decoder(x, encoded, tgt_mask=causal, memory_key_padding_mask=padding) @ self.target.weight.T


class Seq2seq(nn.Module):
    longest_said = longest

    def __init__(self, sources, targets):
        super().__init__()
        assume("model", layers=1, embedding=0)
        width, layer = m["width"], {"gru": nn.GRU, "lstm": nn.LSTM}[m["cell"]]
        self.source, self.target, self.drop = nn.Embedding(sources, width), nn.Embedding(targets, width), nn.Dropout(m["dropout"])
        self.encoder, self.decoder = layer(width, width, batch_first=True), layer(width, width, batch_first=True)
        self.head = nn.Linear(width, targets, bias=m["head_bias"])
        if m["attention"] != "none":
            self.memory, self.combine = nn.Linear(width, width, bias=False), nn.Linear(2 * width, width)
        if m["attention"] == "additive":
            self.query, self.v = nn.Linear(width, width), nn.Parameter((2 * torch.rand(width) - 1) / math.sqrt(width))

    def encode(self, source, lengths):
        packed = pack_padded_sequence(self.drop(self.source(source)), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.encoder(packed)
        states = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])[0]
        return states, last, torch.arange(source.shape[1]) >= lengths[:, None]

    def decode(self, memory, ids):
        states, last, padding = memory
        h = self.decoder(self.drop(self.target(ids)), last)[0]
        if m["attention"] != "none":
            keys = self.memory(states)
            scores = torch.tanh(self.query(h)[:, :, None] + keys[:, None]) @ self.v if m["attention"] == "additive" else h @ keys.mT
            weights = scores.masked_fill(padding[:, None], -math.inf).softmax(-1)
            h = torch.tanh(self.combine(torch.cat([weights @ states, h], -1)))
        return self.head(self.drop(h))


def inputs_of(pairs):
    """Source with its end (B, S) and its length; ids with their beginning and targets with their end (B, T)."""
    source = [(pair[0] + [EOS])[:longest] for pair in pairs]
    ids, targets = [([BOS] + pair[1])[:longest] for pair in pairs], [(pair[1] + [EOS])[:longest] for pair in pairs]
    return padded(source, 0), torch.tensor([len(row) for row in source]), padded(ids, 0), padded(targets, IGNORE)


def loss_of(pairs, **how):
    source, lengths, ids, targets = inputs_of(pairs)
    logits = model.decode(model.encode(source, lengths), ids)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, **how), int((targets != IGNORE).sum())


def translate(pairs):
    """The most probable token, one by one, from the beginning to the end of the text."""
    source, lengths, _, _ = inputs_of(pairs)
    memory, ids = model.encode(source, lengths), torch.full((len(pairs), 1), BOS)
    for _ in range(model.longest_said):
        ids = torch.cat([ids, model.decode(memory, ids)[:, -1:].argmax(-1)], 1)
    return [row[1 : row.index(EOS)] if EOS in row else row[1:] for row in ids.tolist()]


def words_of(ids):
    return re.findall(r"[A-Za-z0-9\u0080-\U0010ffff]+|\S", " ".join(vocabulary[i] for i in ids))


def bleu(said, wanted):
    """Papineni et al. 2002: runs of one to four words, of the whole."""
    right, all_runs = [0] * 4, [0] * 4
    for pair in zip(said, wanted):
        for n in range(4):
            runs = [collections.Counter(tuple(words[i : i + n + 1]) for i in range(len(words) - n)) for words in pair]
            right[n] += sum((runs[0] & runs[1]).values())
            all_runs[n] += sum(runs[0].values())
    if min(right) == 0:
        return 0.0
    brevity = min(0, 1 - sum(map(len, wanted)) / sum(map(len, said)))
    return 100 * math.exp(sum(math.log(a / b) for a, b in zip(right, all_runs)) / 4 + brevity)


def evaluate():
    loss, tokens, said = 0.0, 0, []
    for first in range(0, len(held_out), AT_ONCE):
        part = held_out[first : first + AT_ONCE]
        of_part, count = loss_of(part, reduction="sum")
        loss, tokens, said = loss + of_part.item(), tokens + count, said + translate(part)
    metrics.update(loss=loss / tokens, perplexity=math.exp(loss / tokens),
                   bleu=bleu([words_of(ids) for ids in said[:TRANSLATED]], [words_of(pair[1]) for pair in held_out[:TRANSLATED]]))


file, info = data_set()
vocabulary = SPECIAL + info["tokenizer"]["words"]
learnt, held_out = (list(zip(texts(file, split + "/source"), texts(file, split + "/target"))) for split in ("train", "validation"))
kind = {"transformer": Transformer, "seq2seq": Seq2seq}[m["kind"]]
model, metrics = kind(len(SPECIAL + info["source_tokenizer"]["words"]), len(vocabulary)), {}
order = batches(len(learnt), lambda i: max(map(len, learnt[i])))
smoothing = settings["task"]["label_smoothing"]
train(model, lambda: loss_of([learnt[i] for i in next(order)], label_smoothing=smoothing)[0], evaluate)
finish(model, metrics)
