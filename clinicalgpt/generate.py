"""
Sampling from the model, many prompts at a time.  (Not here: the KV cache, see model.py; decoding to text.)

    p = softmax(logits / temperature), cut to the top_k likeliest
        and then to the smallest set of mass >= top_p (Holtzman 2020)

Prompts are read once, end to end; then every row grows by one token a step.  When half the rows have finished
the cache keeps the others only.  Row b draws from its own row of uniform numbers, made from (seed, b,
max_new_tokens) before the first step, so a row's answer depends neither on its neighbours nor on when they
finish.  Temperature 0 is greedy.  A vocabulary of 250,000 is never sorted: the likeliest few hundred nearly
always hold the mass asked for, and more are taken where they do not.
"""

import torch

from clinicalgpt.model import KVCache
from kernels.head import logits

LIKELIEST = 512                                                 # of the vocabulary, looked at first for top_p
PATIENCE = {"cpu": 1, "cuda": 16}                               # steps between asking who has finished


@torch.no_grad()
def generate(model, prompts, max_new_tokens=64, temperature=0.0, top_p=1.0, top_k=0, eos_id=None, seed=0,
             first=0):
    """Continue each prompt (a list of token ids) by at most max_new_tokens; an answer ends with eos_id where
    the model said so.  list[list[int]] -> list[list[int]], the new tokens only.  Prompts that are rows
    `first` and on of a larger batch are answered as there.  Raises ValueError for an empty prompt or an
    impossible setting."""
    if temperature < 0 or not 0 < top_p <= 1 or top_k < 0 or max_new_tokens < 0:
        raise ValueError(f"temperature {temperature}, top_p {top_p}, top_k {top_k}, "
                         f"max_new_tokens {max_new_tokens}: "
                         "temperature >= 0, 0 < top_p <= 1, top_k >= 0 and max_new_tokens >= 0 are needed")
    answers = [[] for _ in prompts]
    if not prompts or max_new_tokens == 0:
        return answers
    ids_N, lengths = model.end_to_end(prompts)
    device = ids_N.device
    uniform_BS = torch.rand(first + len(prompts), max_new_tokens,
                            generator=torch.Generator().manual_seed(seed))[first:].to(device)
    cache = KVCache(capacity=max(lengths) + max_new_tokens)
    hidden_ND = model(ids_N, lengths, cache)
    last_hidden_BD = hidden_ND[torch.tensor(lengths, device=device).cumsum(0) - 1]
    rows = list(range(len(prompts)))                    # which prompt each row of the cache continues
    finished_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    said = []                                           # (rows, token_B) of each step, still on the device
    for step in range(max_new_tokens):
        logits_BV = logits(last_hidden_BD, model.unembed_VD)
        token_B = sample(logits_BV, uniform_BS[rows, step], temperature, top_p, top_k)
        said.append((rows, token_B))
        if eos_id is not None:
            finished_B = finished_B | (token_B == eos_id)
            if step % PATIENCE[device.type] == 0:
                going_on = (~finished_B).nonzero().squeeze(1)
                if len(going_on) * 2 <= len(rows):
                    rows = [rows[i] for i in going_on.tolist()]
                    token_B, finished_B = token_B[going_on], finished_B[going_on]
                    cache.keep(going_on)
        if not rows or step == max_new_tokens - 1:
            break
        last_hidden_BD = model(token_B, [1] * len(rows), cache)
    for rows, token_B in said:
        for row, token in zip(rows, token_B.tolist()):
            if answers[row][-1:] != [eos_id]:           # what a finished row went on to say is no answer
                answers[row].append(token)
    return answers


def sample(logits_BV, uniform_B, temperature, top_p=1.0, top_k=0):
    """One token a row by inverse transform:
    the first token at which the cumulated probability passes uniform_B."""
    if temperature == 0:
        return logits_BV.argmax(-1)
    logits_BV = logits_BV / temperature
    order_BV = None
    if top_k:
        logits_BV, order_BV = logits_BV.topk(min(top_k, logits_BV.shape[1]))        # likeliest first
    p_BV = logits_BV.softmax(-1)
    if top_p < 1:
        if order_BV is None:
            p_BV, order_BV = _likeliest(p_BV, top_p)
        p_BV = p_BV * (p_BV.cumsum(-1) - p_BV < top_p)          # keep while the mass before is < top_p
    cumulated_BV = p_BV.cumsum(-1, dtype=torch.float64)         # float32 loses a large vocabulary's tail
    index_B = torch.searchsorted(cumulated_BV, (uniform_B[:, None] * cumulated_BV[:, -1:]),
                                 right=True).squeeze(1)
    index_B = index_B.clamp(max=p_BV.shape[1] - 1)
    return index_B if order_BV is None else order_BV.gather(1, index_B[:, None]).squeeze(1)


def _likeliest(p_BV, top_p):
    """Of each row the likeliest tokens, enough to hold a mass of top_p: (p, which), likeliest first."""
    count = LIKELIEST
    while True:
        best_Bn, order_Bn = p_BV.topk(min(count, p_BV.shape[1]))
        if count >= p_BV.shape[1] or (best_Bn.sum(-1) >= top_p).all():
            return best_Bn, order_Bn
        count *= 16
