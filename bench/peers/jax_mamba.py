"""Peer: a Mamba's training step in JAX, compiled by XLA, the scan as an associative scan over time ({"scan": "sequential"}: lax.scan)."""
import math
import os

import peer

asked = peer.work()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy  # noqa: E402

m = asked["model"]
LAYERS, WIDTH, STATE, VOCABULARY = m["layers"], m["width"], m.get("state", 16), m["vocabulary"]
INNER, RANK, KERNEL = 2 * WIDTH, math.ceil(WIDTH / 16), 4
BATCH, TOKENS = asked["batch"], asked["sequence"]
MATRIX = jnp.bfloat16 if asked["precision"] == "bfloat16" else jnp.float32
random = numpy.random.default_rng(1)


def normal(*shape):
    return jnp.asarray(0.02 * random.standard_normal(shape), jnp.float32)


def layer():
    decay = jnp.log(jnp.tile(jnp.arange(1.0, STATE + 1), (INNER, 1)))
    return {"norm": jnp.ones(WIDTH), "in": normal(WIDTH, 2 * INNER), "convolution": normal(KERNEL, INNER), "convolution_bias": jnp.zeros(INNER),
            "x": normal(INNER, RANK + 2 * STATE), "dt": normal(RANK, INNER), "dt_bias": normal(INNER), "a_log": decay, "skip": jnp.ones(INNER),
            "out": normal(INNER, WIDTH)}


def product(x, w):
    return jnp.matmul(x.astype(MATRIX), w.astype(MATRIX), preferred_element_type=jnp.float32)


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * weight


def scan(decay, drive, readout):
    """h_t = decay_t h_(t-1) + drive_t, both (B, T, E, N); y_t = h_t . readout_t, (B, T, N) -> (B, T, E)."""
    if asked.get("scan") == "sequential":
        def advance(state, inputs):
            a, b, c = inputs
            state = a * state + b
            return state, jnp.einsum("ben,bn->be", state, c)

        over_time = tuple(jnp.moveaxis(x, 1, 0) for x in (decay, drive, readout))
        return jnp.moveaxis(jax.lax.scan(advance, jnp.zeros((BATCH, INNER, STATE)), over_time)[1], 0, 1)

    def combine(first, second):
        return first[0] * second[0], second[0] * first[1] + second[1]

    _, states = jax.lax.associative_scan(combine, (decay, drive), axis=1)
    return jnp.einsum("bten,btn->bte", states, readout)


def block(x, p):
    u, gate = jnp.split(product(rms_norm(x, p["norm"]), p["in"]), 2, -1)
    padded = jnp.pad(u, ((0, 0), (KERNEL - 1, 0), (0, 0)))
    u = jax.nn.silu(sum(padded[:, k : k + TOKENS] * p["convolution"][k] for k in range(KERNEL)) + p["convolution_bias"])
    dt, b, c = jnp.split(product(u, p["x"]), [RANK, RANK + STATE], -1)
    dt = jax.nn.softplus(product(dt, p["dt"]) + p["dt_bias"])
    decay = jnp.exp(dt[..., None] * -jnp.exp(p["a_log"]))
    y = scan(decay, (dt * u)[..., None] * b[:, :, None, :], c) + u * p["skip"]
    return x + product(y * jax.nn.silu(gate), p["out"])


def loss_of(parameters, ids, targets):
    x = parameters["embedding"][ids]
    for p in parameters["layers"]:
        x = block(x, p)
    logits = product(rms_norm(x, parameters["norm"]), parameters["embedding"].T)
    right = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return (jax.nn.logsumexp(logits, -1) - right).mean()


def update(parameters, mean, square, ids, targets):
    """AdamW with clipping to a norm of 1."""
    loss, gradient = jax.value_and_grad(loss_of)(parameters, ids, targets)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(gradient)))
    scale = jnp.minimum(1.0, 1.0 / norm)
    mean = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * scale * g, mean, gradient)
    square = jax.tree.map(lambda a, g: 0.95 * a + 0.05 * (scale * g) ** 2, square, gradient)
    parameters = jax.tree.map(lambda p, a, b: p * (1 - 1e-5) - 1e-4 * a / (jnp.sqrt(b) + 1e-8), parameters, mean, square)
    return parameters, mean, square, loss


parameters = {"embedding": normal(VOCABULARY, WIDTH), "norm": jnp.ones(WIDTH), "layers": [layer() for _ in range(LAYERS)]}
state = [parameters, jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)]
ids, targets = (jnp.asarray(random.integers(0, VOCABULARY, (BATCH, TOKENS))) for _ in range(2))
compiled = jax.jit(update, donate_argnums=(0, 1, 2))


def step():
    *state[:], loss = compiled(*state, ids, targets)
    jax.block_until_ready(state)
    return float(loss)


peer.serve(step, asked["warmup"], name="JAX %s" % jax.__version__, precision=asked["precision"],
           parameters=sum(x.size for x in jax.tree.leaves(parameters)))
