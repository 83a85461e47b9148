"""
From hidden states to log-probabilities of given tokens, without ever holding all logits.
(Not here: which tokens count; PPO's losses.)

    z = W h / temperature     p = softmax(z)                       gradient in z_v
    logp     = log p_y                                             1[v = y] - p_v
    entropy  = -sum_v p_v log p_v                                  -p_v (log p_v + entropy)
    KL(p||q) = sum_v p_v (log p_v - log q_v), q of other states    p_v (log p_v - log q_v - KL)

BLOOM's vocabulary has 250,880 entries: 2,048 tokens of float32 logits are 2 GB, twice that with their
gradient.  So tokens are taken a chunk at a time.  While a chunk's logits are there, forward also makes logp's
gradient in h, which lacks but a factor a token: backward scales its rows, and makes no logits.  Only what is
rarely asked for makes them anew in backward: gradients of entropy and KL, and of W where that is trained.  A
cross-entropy knows its tokens' factors beforehand, so all its gradients are made in forward, W's too.
Letters: N tokens, n of a chunk, D width, V vocabulary.
"""

import torch

from kernels.native import CPU_FEATURES

CHUNK_BYTES = {"cpu": 2**27, "cuda": 2**30}                     # of float32 logits of a chunk; two are held
ROWS = 2**12                                                    # of W that the CPU takes at a time
SLOW_BFLOAT16 = "avx512_bf16" not in CPU_FEATURES               # its products take 3 to 300 times float32's


def token_logp(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """log p(targets | hidden) at `temperature`: (N,) float32 (float64 for float64 input), in nats, with
    gradients to hidden and weight."""
    return token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature)[0]


def token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """(logp_N, entropy_N) from one pass over the logits."""
    return _measures(hidden_ND, weight_VD, targets_N, None, temperature)[:2]


def token_kl(hidden_ND, weight_VD, other_ND, temperature=1.0):
    """KL(p || q) over the whole vocabulary, p of hidden and q of other states under the same W: (N,).  The
    gradient goes to hidden and W as in p; q is a constant."""
    first_N = torch.zeros(len(hidden_ND), dtype=torch.long, device=hidden_ND.device)
    return _measures(hidden_ND, weight_VD, first_N, other_ND.detach(), temperature)[2]


def cross_entropy(hidden_ND, weight_VD, targets_N, weight_N):
    """sum_n weight_n * -log p(target_n | hidden_n), a scalar; weight_N: constants, such as 1 / count."""
    learns = torch.is_grad_enabled() and (hidden_ND.requires_grad, weight_VD.requires_grad)
    with torch.autocast(hidden_ND.device.type, enabled=False):
        return _CrossEntropy.apply(hidden_ND, weight_VD, targets_N, weight_N, learns or (False, False))


def token_logp_reference(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """token_logp_entropy, spelled out: what all of this must equal, gradients too."""
    logp_NV = (hidden_ND @ weight_VD.T / temperature).log_softmax(-1)
    return logp_NV.gather(1, targets_N[:, None]).squeeze(1), -(logp_NV.exp() * logp_NV).sum(-1)


def _measures(hidden_ND, weight_VD, targets_N, other_ND, temperature):
    # Where W is trained, backward makes the logits anew in any case, and h's gradient with W's.
    learns = torch.is_grad_enabled() and hidden_ND.requires_grad and not weight_VD.requires_grad
    with torch.autocast(hidden_ND.device.type, enabled=False):  # both passes must make the same logits
        return _Measures.apply(hidden_ND, weight_VD, targets_N, other_ND, temperature, learns)


class _Measures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_ND, weight_VD, targets_N, other_ND, temperature, learns):
        ctx.set_materialize_grads(False)                        # what no one asks for arrives as None
        logp_N, entropy_N, kl_N = (hidden_ND.new_empty(len(targets_N), dtype=_wide(weight_VD))
                                   for _ in range(3))
        slope_ND = torch.empty_like(hidden_ND) if learns and other_ND is None else None
        for rows, room in _chunks(hidden_ND, weight_VD, 2 if other_ND is None else 3):
            if other_ND is not None:                            # p's place is free until p is made
                q_nV, _ = _distribution(other_ND[rows], weight_VD, temperature, room[2], room[1])
            logp_nV, p_nV = _distribution(hidden_ND[rows], weight_VD, temperature, *room[:2])
            logp_N[rows] = logp_nV.gather(1, targets_N[rows, None]).squeeze(1)
            entropy_N[rows] = -_mean(logp_nV, p_nV).squeeze(1)
            if other_ND is not None:
                kl_N[rows] = _mean(logp_nV.sub_(q_nV), p_nV).squeeze(1)
            if slope_ND is not None:
                slope_nV = p_nV.neg_().scatter_add_(1, targets_N[rows, None], torch.ones_like(p_nV[:, :1]))
                slope_ND[rows] = _times_weight(slope_nV, weight_VD).div_(temperature).to(hidden_ND.dtype)
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, other_ND, slope_ND)
        ctx.temperature = temperature
        return logp_N, entropy_N, kl_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_logp_N, grad_entropy_N, grad_kl_N):
        hidden_ND, weight_VD, targets_N, other_ND, slope_ND = ctx.saved_tensors
        if slope_ND is not None and grad_logp_N is not None and grad_entropy_N is grad_kl_N is None:
            return (slope_ND * grad_logp_N[:, None]).to(slope_ND.dtype), *[None] * 5
        grad_hidden_ND = torch.zeros_like(hidden_ND) if ctx.needs_input_grad[0] else None
        grad_weight_VD = torch.zeros_like(weight_VD) if ctx.needs_input_grad[1] else None
        for rows, room in _chunks(hidden_ND, weight_VD, 4):
            logp_nV, p_nV = _distribution(hidden_ND[rows], weight_VD, ctx.temperature, *room[:2])
            grad_nV = room[2].zero_()
            if grad_entropy_N is not None:
                grad_nV -= grad_entropy_N[rows, None] * (logp_nV - _mean(logp_nV, p_nV))
            if grad_kl_N is not None:
                q_nV = logits(other_ND[rows], weight_VD, room[3]).div_(ctx.temperature).log_softmax(-1)
                grad_nV += grad_kl_N[rows, None] * (logp_nV - q_nV - _mean(logp_nV - q_nV, p_nV))
            if grad_logp_N is not None:
                grad_nV -= grad_logp_N[rows, None]
            grad_nV *= p_nV
            if grad_logp_N is not None:
                grad_nV.scatter_add_(1, targets_N[rows, None], grad_logp_N[rows, None])
            grad_nV.div_(ctx.temperature)
            if grad_hidden_ND is not None:
                grad_hidden_ND[rows] = _times_weight(grad_nV, weight_VD).to(hidden_ND.dtype)
            if grad_weight_VD is not None:
                _add_to_weight(grad_weight_VD, grad_nV, hidden_ND[rows])
        return grad_hidden_ND, grad_weight_VD, *[None] * 4


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_ND, weight_VD, targets_N, weight_N, learns):
        loss = hidden_ND.new_zeros((), dtype=_wide(weight_VD))
        grads = [torch.zeros_like(x) if learn else None
                 for x, learn in zip((hidden_ND, weight_VD), learns)]
        for rows, room in _chunks(hidden_ND, weight_VD, 2):
            logp_nV, p_nV = _distribution(hidden_ND[rows], weight_VD, 1.0, *room)
            weight_n1 = weight_N[rows, None].to(p_nV.dtype)
            loss -= (logp_nV.gather(1, targets_N[rows, None]) * weight_n1).sum()
            grad_nV = p_nV.mul_(weight_n1).scatter_add_(1, targets_N[rows, None], -weight_n1)
            if learns[0]:
                grads[0][rows] = _times_weight(grad_nV, weight_VD).to(hidden_ND.dtype)
            if learns[1]:
                _add_to_weight(grads[1], grad_nV, hidden_ND[rows])
        ctx.save_for_backward(*grads)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return *(None if x is None else (x * grad).to(x.dtype) for x in ctx.saved_tensors), None, None, None


def _chunks(hidden_ND, weight_VD, matrices):
    """(rows, room for so many (n, V) matrices) of chunks as even as can be; the room is one for all."""
    N, V = len(hidden_ND), len(weight_VD)
    count = -(-N // max(1, CHUNK_BYTES[hidden_ND.device.type] // (4 * V)))
    size = -(-N // count) if count else 0
    room = hidden_ND.new_empty(matrices, size, V, dtype=_wide(weight_VD))
    for start in range(0, N, size or 1):
        rows = slice(start, min(start + size, N))
        yield rows, room[:, :rows.stop - start]


def _wide(weight_VD):
    return torch.promote_types(weight_VD.dtype, torch.float32)


def _distribution(hidden_nD, weight_VD, temperature, z_nV, p_nV):
    """(log p, p) of a chunk, in the room given."""
    z_nV = logits(hidden_nD, weight_VD, z_nV).div_(temperature)
    z_nV.sub_(z_nV.amax(-1, keepdim=True))
    total_n1 = torch.exp(z_nV, out=p_nV).sum(-1, keepdim=True)
    return z_nV.sub_(total_n1.log()), p_nV.div_(total_n1)


def _mean(x_nV, p_nV):
    return torch.bmm(p_nV[:, None], x_nV[:, :, None])[:, 0]


def logits(hidden_nD, weight_VD, out=None):
    """W h in at least float32, out of the product itself, autocast or not: bfloat16 would round a logit of 20
    to eighths.  Not to be differentiated.  On CUDA a new matrix, elsewhere in `out` if given."""
    hidden_nD = hidden_nD.to(weight_VD.dtype)
    if weight_VD.is_cuda:
        wide = {"out_dtype": torch.float32} if weight_VD.dtype in (torch.bfloat16, torch.float16) else {}
        with torch.autocast("cuda", enabled=False):
            return torch.mm(hidden_nD, weight_VD.T, **wide)
    if out is None:
        out = hidden_nD.new_empty(len(hidden_nD), len(weight_VD), dtype=_wide(weight_VD))
    wide_nD = hidden_nD.to(out.dtype)                           # the CPU's product has no out_dtype
    for part_vD, out_nv in zip(weight_VD.detach().split(ROWS), out.split(ROWS, 1)):
        if len(wide_nD) < 16:
            torch.mm(wide_nD, part_vD.to(out.dtype).T, out=out_nv)
        else:                                                   # W h^T is then quicker, by 1.15 to 1.5
            out_nv.copy_((part_vD.to(out.dtype) @ wide_nD.T).T)
    return out


def _widens(weight_VD):
    return weight_VD.dtype == torch.bfloat16 and not weight_VD.is_cuda and SLOW_BFLOAT16


def _times_weight(grad_nV, weight_VD):
    """Gradients of logits as gradients of hidden states."""
    if not _widens(weight_VD):
        return grad_nV.to(weight_VD.dtype) @ weight_VD
    return sum(part_nv @ part_vD.float() for part_nv, part_vD in
               zip(grad_nV.split(ROWS, 1), weight_VD.split(ROWS)))


def _add_to_weight(sum_VD, grad_nV, hidden_nD):
    """Add a chunk's gradient of W to the sum of those before it."""
    if not _widens(sum_VD):
        sum_VD.addmm_(grad_nV.to(sum_VD.dtype).T, hidden_nD.to(sum_VD.dtype))
        return
    for part_nv, part_vD in zip(grad_nV.split(ROWS, 1), sum_VD.split(ROWS)):
        part_vD += part_nv.T @ hidden_nD.float()
