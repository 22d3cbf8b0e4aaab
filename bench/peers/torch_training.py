"""One optimisation step in PyTorch: forward (in bfloat16 by autocast where asked for), backward, clipping, fused AdamW."""
import torch


def count(model):
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


def groups_of(model, weight_decay):
    """Of the parameters that learn: matrices decay, vectors do not."""
    learning = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in learning if p.dim() >= 2], "weight_decay": weight_decay},
            {"params": [p for p in learning if p.dim() < 2], "weight_decay": 0.0}]


def optimizer_of(model, learning_rate=1e-4, betas=(0.9, 0.95)):
    return torch.optim.AdamW(groups_of(model, 0.1), lr=learning_rate, betas=betas, fused=True)


def step_of(model, optimizer, loss_of, bfloat16, clip=1.0):
    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step
