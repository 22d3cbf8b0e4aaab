"""Peer: a training step of a convolutional network, a recurrent one or an encoder and decoder in PyTorch, of the same layers as ours.
{"channels_last": true} keeps pictures that way."""
import peer

asked = peer.work()

import torch  # noqa: E402  (after the threads are set)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from resnet_module import ResNet  # noqa: E402
from torch_training import count, optimizer_of, step_of  # noqa: E402

CLASSES, PICTURE = 10, (3, 32, 32)


class LeNet(nn.Module):
    shape = (1, 28, 28)

    def __init__(self, **_):
        super().__init__()
        self.conv_1, self.conv_2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.dense = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES))

    def forward(self, x):
        for conv in (self.conv_1, self.conv_2):
            x = functional.max_pool2d(functional.relu(conv(x)), 2)
        return self.dense(x.flatten(1))


class Recurrent(nn.Module):
    def __init__(self, cell, layers, width, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.layers = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x):  # (B, T) -> (B T, vocabulary)
        return self.head(self.layers(self.tokens(x))[0]).flatten(0, 1)


class Translation(nn.Module):
    """Encoder and decoder, norms after each part, learned positions, the head tied to the table of the targets' ids."""

    def __init__(self, layers, heads, width, hidden, vocabulary, context):
        super().__init__()
        self.source, self.target = nn.Embedding(vocabulary, width), nn.Embedding(vocabulary, width)
        self.positions = nn.ModuleList(nn.Embedding(context, width) for _ in range(2))
        self.layers = nn.Transformer(width, heads, layers, layers, hidden, 0.1, batch_first=True)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):  # x: source, ids, which positions of the source are padding, for each (B, T) -> (B T, vocabulary)
        source, ids, padding = x
        at = torch.arange(ids.shape[1])
        source, ids = (self.drop(table(t) + p(at)) for table, t, p in zip((self.source, self.target), (source, ids), self.positions))
        causal = nn.Transformer.generate_square_subsequent_mask(len(at))
        y = self.layers(source, ids, tgt_mask=causal, tgt_is_causal=True, src_key_padding_mask=padding, memory_key_padding_mask=padding)
        return functional.linear(y, self.target.weight).flatten(0, 1)


torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
settings = {key: value for key, value in asked["model"].items() if key != "kind"}
batch, memory = asked["batch"], torch.channels_last if asked.get("channels_last") else torch.contiguous_format
kind, sequence, smoothing = asked["model"]["kind"], asked.get("sequence"), 0.0
if kind == "transformer":
    settings.update(vocabulary=asked["vocabulary"], context=sequence)
elif kind == "resnet":
    settings.update(channels=PICTURE[0], classes=CLASSES)
model = {"lenet": LeNet, "resnet": ResNet, "rnn": Recurrent, "transformer": Translation}[kind](**settings)
if kind == "transformer":
    smoothing = 0.1
    source, ids, targets = (torch.randint(0, asked["vocabulary"], (batch, sequence)) for _ in range(3))
    x = source, ids, torch.zeros(batch, sequence, dtype=torch.bool)
elif kind == "rnn":
    x, targets = (torch.randint(0, settings["vocabulary"], (batch, sequence)) for _ in range(2))
else:
    model = model.to(memory_format=memory)
    x, targets = torch.randn(batch, *(LeNet.shape if kind == "lenet" else PICTURE)).contiguous(memory_format=memory), torch.randint(0, CLASSES, (batch,))
step = step_of(model, optimizer_of(model), lambda: functional.cross_entropy(model(x), targets.flatten(), label_smoothing=smoothing), False)
name = "PyTorch %s%s" % (torch.__version__.split("+")[0], " channels last" if asked.get("channels_last") else "")
peer.serve(step, asked["warmup"], name=name, precision="float", parameters=count(model))
