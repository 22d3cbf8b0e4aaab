"""Peer: a training step of RWKV-4 or RWKV-7 in plain PyTorch, the recurrence a loop over time, as the authors' code has it where there is no
CUDA: the same function and sizes as ours."""
import peer

asked = peer.work()

import torch  # noqa: E402  (after the threads are set)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from torch_training import count, optimizer_of, step_of  # noqa: E402


def before(x):
    return functional.pad(x, (0, 0, 1, -1))


def vector(*shape):
    return nn.Parameter(torch.rand(*shape))


def dense(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class Mean(nn.Module):
    """Time mixing of version 4: numerator, denominator and the largest exponent go from step to step."""

    def __init__(self, width, **_):
        super().__init__()
        self.mix, self.decay, self.first = vector(3, width), vector(width), vector(width)
        self.k, self.v, self.r, self.out = (dense(width, width) for _ in range(4))

    def forward(self, x, first):
        last, rows = before(x), []
        k, v, r = (f(x * m + last * (1 - m)) for f, m in zip((self.k, self.v, self.r), self.mix))
        w = -torch.exp(self.decay)
        over, under, largest = torch.zeros_like(k[:, 0]), torch.zeros_like(k[:, 0]), torch.full_like(k[:, 0], -1e38)
        for t in range(x.shape[1]):
            kt, vt = k[:, t], v[:, t]
            top = torch.maximum(largest, self.first + kt)
            old, now = torch.exp(largest - top), torch.exp(self.first + kt - top)
            rows.append((old * over + now * vt) / (old * under + now))
            top = torch.maximum(largest + w, kt)
            old, now = torch.exp(largest + w - top), torch.exp(kt - top)
            over, under, largest = old * over + now * vt, old * under + now, top
        return self.out(torch.sigmoid(r) * torch.stack(rows, 1)), first


class Delta(nn.Module):
    """Time mixing of version 7: a state (heads, size, size)."""

    def __init__(self, width, head, ranks, layer):
        super().__init__()
        self.heads, self.head, self.layer = width // head, head, layer
        self.mix = vector(6, width)
        self.r, self.k, self.v, self.out = (dense(width, width) for _ in range(4))
        low = {n: nn.Sequential(dense(width, rank), *f, nn.Linear(rank, width)) for n, rank, f in
               zip("wavg", ranks, ([nn.Tanh()], [], [], [nn.Sigmoid()])) if n != "v" or layer}
        self.low = nn.ModuleDict(low)
        self.key_norm, self.key_rate, self.bonus = vector(width), vector(width), vector(self.heads, head)
        self.norm = nn.GroupNorm(self.heads, width, eps=64e-5)

    def forward(self, x, first):
        (b, steps, width), h, n = x.shape, self.heads, self.head
        last = before(x)
        xr, xw, xk, xv, xa, xg = (x + (last - x) * m for m in self.mix)
        r, k, v, w = self.r(xr), self.k(xk), self.v(xv), self.low["w"](xw)
        a, g = torch.sigmoid(self.low["a"](xa)), self.low["g"](xg)
        first = v if not self.layer else first
        v = v + (first - v) * torch.sigmoid(self.low["v"](xv)) if self.layer else v
        kk = functional.normalize((k * self.key_norm).view(b, steps, h, n), dim=-1)
        k = k * (1 + (a - 1) * self.key_rate)
        w = torch.exp(-0.606531 * torch.sigmoid(w)).view(b, steps, h, 1, n)
        rs, ks, vs = r.view(b, steps, h, n, 1), k.view(b, steps, h, 1, n), v.view(b, steps, h, n, 1)
        left, right = (-kk).unsqueeze(-1), (kk * a.view(b, steps, h, n)).unsqueeze(-2)
        state, rows = torch.zeros(b, h, n, n), []
        for t in range(steps):
            state = state * w[:, t] + state @ left[:, t] @ right[:, t] + vs[:, t] @ ks[:, t]
            rows.append((state @ rs[:, t]).view(b, width))
        y = self.norm(torch.stack(rows, 1).view(b * steps, width)).view(b, steps, width)
        own = ((r * k).view(b, steps, h, n) * self.bonus).sum(-1, keepdim=True) * v.view(b, steps, h, n)
        return self.out((y + own.view(b, steps, width)) * g), first


class Channel(nn.Module):
    def __init__(self, width, hidden, gated):
        super().__init__()
        self.mix = vector(2, width)
        self.k, self.v, self.r = dense(width, hidden), dense(hidden, width), dense(width, width) if gated else None

    def forward(self, x):
        last = before(x)
        h = self.v(torch.relu(self.k(last + (x - last) * self.mix[0])) ** 2)
        return torch.sigmoid(self.r(last + (x - last) * self.mix[1])) * h if self.r else h


class Rwkv(nn.Module):
    def __init__(self, kind, layers, width, vocabulary, head=64):
        super().__init__()
        self.tokens, self.first_norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
        rank = [max(32, round(f * width ** 0.5 / 32) * 32) for f in (2.5, 2.5, 1.7, 5)]
        self.time = nn.ModuleList([Mean(width) if kind == "rwkv4" else Delta(width, head, rank, i) for i in range(layers)])
        self.channel = nn.ModuleList([Channel(width, 4 * width, kind == "rwkv4") for _ in range(layers)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2 * layers + 1)])
        self.head = dense(width, vocabulary)

    def forward(self, ids):
        x, first = self.first_norm(self.tokens(ids)), None
        for i, (time, channel) in enumerate(zip(self.time, self.channel)):
            y, first = time(self.norms[2 * i](x), first)
            x = x + y
            x = x + channel(self.norms[2 * i + 1](x))
        return self.head(self.norms[-1](x))


torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
model = Rwkv(**asked["model"])
shape = (asked["batch"], asked["sequence"])
ids, targets = (torch.randint(0, asked["model"]["vocabulary"], shape) for _ in range(2))


def loss():
    return functional.cross_entropy(model(ids).flatten(0, 1).float(), targets.flatten())


step = step_of(model, optimizer_of(model), loss, asked["precision"] == "bfloat16")
peer.serve(step, asked["warmup"], name="a loop over time (PyTorch %s)" % torch.__version__.split("+")[0], precision=asked["precision"],
           parameters=count(model))
