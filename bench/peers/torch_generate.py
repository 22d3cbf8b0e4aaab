"""Peer: generation token by token with a cache, weights drawn at random. {"kind": "gpt": transformers' GPT-2; "mamba": mamba.py's step}.
A step here is one token of every stream, after a prompt of {"prompt"} tokens."""
import sys

import peer

asked = peer.work()
if asked.get("path"):
    sys.path.insert(0, asked["path"])

import torch  # noqa: E402

from torch_training import count  # noqa: E402

torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
m, streams = asked["model"], asked["batch"]
dtype = torch.bfloat16 if asked["precision"] == "bfloat16" else torch.float32
ids = torch.randint(0, m["vocabulary"], (streams, asked["prompt"]))
state = {}

if asked["kind"] == "gpt":
    import transformers

    config = transformers.GPT2Config(vocab_size=m["vocabulary"], n_positions=m["context"], n_embd=m["width"], n_layer=m["layers"],
                                     n_head=m["heads"])
    model = transformers.GPT2LMHeadModel(config).to(dtype).eval()
    name = "transformers %s" % transformers.__version__

    @torch.inference_mode()
    def step():
        fresh = "cache" not in state or state["position"] + 1 >= m["context"]
        out = model(ids if fresh else state["next"], past_key_values=None if fresh else state["cache"], use_cache=True)
        state["position"] = ids.shape[1] if fresh else state["position"] + 1
        state["cache"] = out.past_key_values
        state["next"] = out.logits[:, -1:].argmax(-1)
else:
    from mambapy.lm import LM
    from mambapy.mamba import MambaConfig

    model = LM(MambaConfig(d_model=m["width"], n_layers=m["layers"]), m["vocabulary"])
    model.lm_head.weight = model.embedding.weight
    model = model.to(dtype).eval()
    name = "mamba.py"

    @torch.inference_mode()
    def step():
        if "next" not in state:
            inner, kernel = 2 * m["width"], 4
            state["caches"] = [(None, torch.zeros(streams, inner, kernel - 1, dtype=dtype)) for _ in range(m["layers"])]
            state["next"] = ids[:, 0]
        x, state["caches"] = model.mamba.step(model.embedding(state["next"]), state["caches"])  # x: (B, C)
        state["next"] = model.lm_head(model.norm_f(x)).argmax(-1)


peer.serve(step, asked["warmup"], name=name, precision=asked["precision"], parameters=count(model))
