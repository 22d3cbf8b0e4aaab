"""Peer: a training step of transformers' LlamaForCausalLM, attention by PyTorch's own kernel. {"compile": true} compiles the model."""
import peer

asked = peer.work()

import torch  # noqa: E402  (after the threads are set)
import transformers  # noqa: E402

from torch_training import count, optimizer_of, step_of  # noqa: E402

torch.set_num_threads(asked["threads"])
torch.manual_seed(1)
m = asked["model"]
config = transformers.LlamaConfig(vocab_size=m["vocabulary"], hidden_size=m["width"], intermediate_size=m["hidden"], num_hidden_layers=m["layers"],
                                  num_attention_heads=m["heads"], num_key_value_heads=m["kv_heads"], max_position_embeddings=asked["sequence"],
                                  tie_word_embeddings=m["tied"] == "true", use_cache=False, attn_implementation="sdpa")
model = transformers.LlamaForCausalLM(config).train()
called = torch.compile(model) if asked.get("compile") else model
shape = (asked["batch"], asked["sequence"])
ids, targets = (torch.randint(0, m["vocabulary"], shape) for _ in range(2))


def loss():
    logits = called(input_ids=ids).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


step = step_of(model, optimizer_of(model), loss, asked["precision"] == "bfloat16")
name = "transformers %s, PyTorch %s%s" % (transformers.__version__, torch.__version__.split("+")[0], " compiled" if asked.get("compile") else "")
peer.serve(step, asked["warmup"], name=name, precision=asked["precision"], parameters=count(model))
