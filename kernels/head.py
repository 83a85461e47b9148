"""
From hidden states to log-probabilities of given tokens, without holding all logits.
(Not here: which tokens count; PPO's losses.  Sampling needs all of a token's logits: `logits`, at the end.)

    z = W h / temperature     p = softmax(z)     L = log sum_v exp z_v          gradient in z_v
    logp     = log p_y = z_y - L                                                1[v = y] - p_v
    entropy  = -sum_v p_v log p_v = L - sum_v p_v z_v                           -p_v (log p_v + entropy)
    KL(p||q) = sum_v p_v (log p_v - log q_v), q of other states                 has none here

BLOOM's vocabulary has 250,880 entries: 2,048 tokens of float32 logits are 2 GB, twice that with their
gradient.  So z is made a tile at a time, some rows of W by some tokens, and used up before the next takes its
place.  This is attention over the vocabulary: hidden states are its queries, rows of W its keys and values.
As in FlashAttention (Dao 2022) the sums over v grow from tile to tile, relative to the largest z so far, and
shrink when a larger one turns up:

    top' = max(top, max_v z_v)     s = exp(top - top')     e_v = exp(z_v - top')
    total' = s total + sum_v e_v                             mean' = s mean + sum_v e_v W_v
    dot' = s (dot + (top - top') total) + sum_v (z_v - top') e_v

At the end L = top + log total, entropy = log total - dot / total, and W_y - mean / total is logp's gradient
in h, but for a factor a token: backward only scales rows.  It makes z anew for gradients of the entropy, and
of W where that is trained (as in "Cut Your Losses", Wijmans 2024).
Letters: N tokens, n of them and v rows of W in a tile, D width, V vocabulary.
"""

import torch

TILE = {"cpu": (2**12, 2**9), "cuda": (2**14, 2**12)}           # (v, n) at most; two are held


def token_logp(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """log p(targets | hidden) at `temperature`: (N,) float32 (float64 where W is), in nats, with gradients to
    hidden and weight.  nan for a target that is no row of W."""
    return token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature)[0]


def token_logp_entropy(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """(logp_N, entropy_N) from one pass over the vocabulary."""
    # Where W is trained, backward makes the logits anew in any case, and h's gradient with W's.
    with_grad = torch.is_grad_enabled() and hidden_ND.requires_grad and not weight_VD.requires_grad
    return _Measures.apply(hidden_ND, weight_VD, targets_N, temperature, with_grad)


@torch.no_grad()
def token_kl(hidden_ND, weight_VD, other_ND, temperature=1.0):
    """KL(p || q) over the whole vocabulary, p of hidden and q of other states under the same W: (N,), no
    gradients."""
    kl_N = hidden_ND.new_zeros(len(hidden_ND), dtype=_wide(weight_VD))
    for tokens in _chunks(hidden_ND):
        states, any_n = (hidden_ND[tokens], other_ND[tokens]), torch.zeros_like(kl_N[tokens]).long()
        tops, log_totals = zip(*(_attend(x_nD, weight_VD, any_n, temperature)[2:4] for x_nD in states))
        both = zip(*(_tiles(x_nD, weight_VD, temperature) for x_nD in states))
        for (_, _, p_z_vn, p_vn), (_, _, q_z_vn, _) in both:
            logp_vn, logq_vn = (z_vn.sub_(top_n).sub_(log_total_n) for z_vn, top_n, log_total_n
                                in zip((p_z_vn, q_z_vn), tops, log_totals))
            kl_N[tokens] += torch.exp(logp_vn, out=p_vn).mul_(logp_vn.sub_(logq_vn)).sum(0)
    return kl_N


def token_logp_reference(hidden_ND, weight_VD, targets_N, temperature=1.0):
    """token_logp_entropy, spelled out: what all of this must equal, gradients too."""
    logp_NV = (hidden_ND @ weight_VD.T / temperature).log_softmax(-1)
    return logp_NV.gather(1, targets_N[:, None]).squeeze(1), -(logp_NV.exp() * logp_NV).sum(-1)


class _Measures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_ND, weight_VD, targets_N, temperature, with_grad):
        ctx.set_materialize_grads(False)                        # what no one asks for arrives as None
        logp_N, entropy_N, L_N = (hidden_ND.new_empty(len(targets_N), dtype=_wide(weight_VD))
                                  for _ in range(3))
        logp_grad_ND = torch.empty_like(hidden_ND) if with_grad else None
        for tokens in _chunks(hidden_ND):
            logp_N[tokens], entropy_N[tokens], top_n, log_total_n, mean_nD = _attend(
                hidden_ND[tokens], weight_VD, targets_N[tokens], temperature, with_grad)
            L_N[tokens] = top_n + log_total_n
            if with_grad:
                chosen_nD = weight_VD[targets_N[tokens].clamp(0, len(weight_VD) - 1)]
                logp_grad_ND[tokens] = (chosen_nD - mean_nD) / temperature
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, entropy_N, L_N, logp_grad_ND)
        ctx.temperature = temperature
        return logp_N, entropy_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_logp_N, grad_entropy_N):
        hidden_ND, weight_VD, targets_N, entropy_N, L_N, logp_grad_ND = ctx.saved_tensors
        if logp_grad_ND is not None and grad_logp_N is not None and grad_entropy_N is None:
            return (logp_grad_ND * grad_logp_N[:, None]).to(logp_grad_ND.dtype), *[None] * 4
        by_logp_N, by_entropy_N = (torch.zeros_like(L_N) if grad_N is None else grad_N / ctx.temperature
                                   for grad_N in (grad_logp_N, grad_entropy_N))
        grad_hidden_ND, grad_weight_VD = (torch.zeros_like(x, dtype=L_N.dtype) if needed else None
                                          for x, needed in zip((hidden_ND, weight_VD), ctx.needs_input_grad))
        for tokens in _chunks(hidden_ND):
            for rows, part_vD, z_vn, p_vn in _tiles(hidden_ND[tokens], weight_VD, ctx.temperature):
                torch.exp(z_vn.sub_(L_N[tokens]), out=p_vn)     # z is log p now
                z_vn.add_(entropy_N[tokens]).mul_(by_entropy_N[tokens]).add_(by_logp_N[tokens])
                grad_vn = p_vn.mul_(z_vn).neg_()
                place_1n, is_here_n = _places(targets_N[tokens], rows)
                grad_vn.scatter_add_(0, place_1n, (by_logp_N[tokens] * is_here_n)[None])
                if grad_hidden_ND is not None:
                    grad_hidden_ND[tokens] += _product(grad_vn.T, part_vD)
                if grad_weight_VD is not None:
                    grad_weight_VD[rows] += _product(grad_vn, hidden_ND[tokens].to(part_vD.dtype))
        return *(grad if grad is None else grad.to(x.dtype) for grad, x in
                 ((grad_hidden_ND, hidden_ND), (grad_weight_VD, weight_VD))), *[None] * 3


def _attend(hidden_nD, weight_VD, targets_n, temperature, with_mean=False):
    """(logp_n, entropy_n, top_n, log_total_n, mean_nD or None) of a chunk of tokens."""
    total_n, dot_n = hidden_nD.new_zeros(2, len(targets_n), dtype=_wide(weight_VD))
    top_n, chosen_n = torch.full_like(total_n, torch.finfo(total_n.dtype).min / 2), total_n + torch.nan
    mean_nD = torch.zeros_like(hidden_nD, dtype=total_n.dtype) if with_mean else None
    for rows, part_vD, z_vn, e_vn in _tiles(hidden_nD, weight_VD, temperature):
        place_1n, is_here_n = _places(targets_n, rows)
        chosen_n = torch.where(is_here_n, z_vn.gather(0, place_1n)[0], chosen_n)
        before_n, top_n = top_n, torch.maximum(top_n, z_vn.amax(0))
        shrink_n = (before_n - top_n).exp()
        torch.exp(z_vn.sub_(top_n), out=e_vn)
        dot_n = shrink_n * (dot_n + (before_n - top_n) * total_n) + z_vn.mul_(e_vn).sum(0)
        total_n = shrink_n * total_n + e_vn.sum(0)
        if with_mean:
            mean_nD.mul_(shrink_n[:, None]).add_(_product(e_vn.T, part_vD))
    log_total_n = total_n.log()
    if with_mean:
        mean_nD /= total_n[:, None]
    return chosen_n - top_n - log_total_n, log_total_n - dot_n / total_n, top_n, log_total_n, mean_nD


def _chunks(hidden_ND):
    """Slices of no more tokens than a tile has, as even as can be."""
    N = len(hidden_ND)
    count = -(-N // TILE[hidden_ND.device.type][1])
    return [slice(N * i // count, N * (i + 1) // count) for i in range(count)]


def _tiles(hidden_nD, weight_VD, temperature):
    """(which rows of W, these rows, their logits z_vn, as much room again), each in the place of the last."""
    V, most = len(weight_VD), TILE[hidden_nD.device.type][0]
    factors = weight_VD.dtype if weight_VD.is_cuda else _wide(weight_VD)     # the CPU widens a tile of W
    hidden_Dn = hidden_nD.to(weight_VD.dtype).to(factors).T
    rooms = hidden_nD.new_empty(2, min(V, most), len(hidden_nD), dtype=_wide(weight_VD))
    for start in range(0, V, most):
        rows = slice(start, min(start + most, V))
        part_vD, (z_vn, room_vn) = weight_VD[rows].to(factors), rooms[:, :rows.stop - start]
        yield rows, part_vD, _product(part_vD, hidden_Dn, z_vn).div_(temperature), room_vn


def _places(targets_n, rows):
    """(1, n) where each target is among these rows, if it is there; (n,) whether it is."""
    place_n = targets_n - rows.start
    inside_n = place_n.clamp(0, rows.stop - rows.start - 1)
    return inside_n[None], place_n == inside_n


def _product(a, b, out=None):
    """a @ b in at least float32, autocast or not, on CUDA out of the product itself: bfloat16 would round a
    logit of 20 to eighths.  The factors are b's dtype."""
    with torch.autocast(b.device.type, enabled=False):
        if b.dtype.itemsize == 2:
            return torch.mm(a.to(b.dtype), b, out_dtype=torch.float32, out=out)
        return torch.mm(a.to(b.dtype), b, out=out)


def _wide(weight_VD):
    return torch.promote_types(weight_VD.dtype, torch.float32)


def logits(hidden_ND, weight_VD):
    """W h (N, V) in at least float32.  Not to be differentiated."""
    if weight_VD.is_cuda:
        return _product(hidden_ND, weight_VD.T)
    logits_NV = hidden_ND.new_empty(len(hidden_ND), len(weight_VD), dtype=_wide(weight_VD))
    for rows, _, z_vN, _ in _tiles(hidden_ND, weight_VD, 1.0):
        logits_NV[:, rows] = z_vN.T
    return logits_NV
