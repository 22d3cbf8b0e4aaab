"""One optimisation step in PyTorch: forward (in bfloat16 by autocast where asked for), backward, clipping, fused AdamW."""
import torch


def count(model):
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


def optimizer_of(model, learning_rate=1e-4, betas=(0.9, 0.95)):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def step_of(model, optimizer, loss_of, bfloat16):
    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step
