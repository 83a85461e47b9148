"""
From hidden states to log-probabilities of given tokens, without ever holding all logits.
(Not here: which tokens count, losses.)

    z = W h / temperature     logp = z_y - logsumexp(z)     entropy = -sum_v p_v log p_v,   p = softmax(z)

BLOOM's vocabulary has 250,880 entries: 2,048 tokens of float32 logits are 2 GB, twice that with their
gradient.  So tokens are taken a chunk at a time, forward and backward, and the backward makes the chunk's
logits anew:

    d logp / d z_v = 1[v = y] - p_v         d entropy / d z_v = -p_v (log p_v + entropy)

Cross-entropy is -logp, so SFT, PPO's ratios, KL and the exam's scores all come through this one function.
Letters: N tokens, D width, V vocabulary.
"""

import torch

CHUNK_BYTES = 2**26                                             # of float32 logits: what one chunk may hold
ROWS = 2**13                                                    # of a bfloat16 matrix that the CPU widens


def token_logp(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """log p(targets | hidden) at `temperature`: (N,) float32 (float64 for float64 input),
    with gradients to hidden and weight."""
    return token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature)[0]


def token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """(logp_N, entropy_N) from one pass over the logits; both in nats."""
    with torch.autocast(hidden_ND.device.type, enabled=False):  # both passes must make the same logits
        return _TokenLogp.apply(hidden_ND, weight_VD, targets_N, temperature)


def token_logp_reference(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """The same, spelled out: what the function above must equal, gradients too."""
    logp_NV = (hidden_ND @ weight_VD.T / temperature).log_softmax(-1)
    return logp_NV.gather(1, targets_N[:, None]).squeeze(1), -(logp_NV.exp() * logp_NV).sum(-1)


def _chunks(count, vocabulary):
    size = max(1, CHUNK_BYTES // (4 * vocabulary))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def logits(hidden_nD, weight_VD):
    """W h in at least float32, out of the product itself: bfloat16 would round a logit of 20 to eighths."""
    hidden_nD = hidden_nD.to(weight_VD.dtype)
    if weight_VD.dtype != torch.bfloat16:
        return hidden_nD @ weight_VD.T
    if weight_VD.is_cuda:
        return torch.mm(hidden_nD, weight_VD.T, out_dtype=torch.float32)
    wide_nD = hidden_nD.float()                                        # the CPU's product has no out_dtype
    return torch.cat([wide_nD @ part.float().T for part in weight_VD.split(ROWS)], -1)


class _TokenLogp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_ND, weight_VD, targets_N, temperature):
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N)
        ctx.temperature = temperature
        logp, entropy = [], []
        for rows in _chunks(len(targets_N), len(weight_VD)):
            logp_nV = logits(hidden_ND[rows], weight_VD).div_(temperature).log_softmax(-1)
            logp.append(logp_nV.gather(1, targets_N[rows, None]).squeeze(1))
            entropy.append(-(logp_nV.exp() * logp_nV).sum(-1))
        empty = hidden_ND.new_zeros(0, dtype=torch.promote_types(weight_VD.dtype, torch.float32))
        return torch.cat([empty, *logp]), torch.cat([empty, *entropy])

    @staticmethod
    def backward(ctx, grad_logp_N, grad_entropy_N):
        hidden_ND, weight_VD, targets_N = ctx.saved_tensors
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        grad_hidden_ND = torch.zeros_like(hidden_ND) if needs_hidden else None
        grad_weight_VD = torch.zeros_like(weight_VD) if needs_weight else None
        for rows in _chunks(len(targets_N), len(weight_VD)):
            logp_nV = logits(hidden_ND[rows], weight_VD).div_(ctx.temperature).log_softmax(-1)
            p_nV = logp_nV.exp()
            entropy_n1 = -(p_nV * logp_nV).sum(-1, keepdim=True)
            grad_z_nV = -p_nV * (grad_logp_N[rows, None]
                                 + grad_entropy_N[rows, None] * (logp_nV + entropy_n1))
            grad_z_nV.scatter_add_(1, targets_N[rows, None], grad_logp_N[rows, None])
            grad_z_nV = grad_z_nV.div_(ctx.temperature).to(weight_VD.dtype)
            if needs_hidden:
                grad_hidden_ND[rows] = grad_z_nV @ weight_VD
            if needs_weight:
                grad_weight_VD.addmm_(grad_z_nV.T, hidden_ND[rows].to(weight_VD.dtype))
        return grad_hidden_ND, grad_weight_VD, None, None
