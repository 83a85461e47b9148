"""Attention: the reference against a double loop; the fused path and decoding against the reference."""
import pytest
import torch
from torch.autograd import gradcheck

from kernels import attention as kernel
from kernels.attention import alibi_slopes, attention_decode, attention_fused, attention_reference
from tests import reference
from tests.reference import checked, close

# lengths, query heads, key heads, with ALiBi, window
SHORT = [([1], 2, 2, True, 0), ([2, 1, 5], 4, 2, True, 0), ([3, 20, 7], 6, 6, True, 0),
         ([4, 4], 6, 2, False, 0), ([5, 1], 3, 1, True, 0), ([9, 2], 2, 1, False, 3), ([5], 2, 2, True, 2),
         ([7, 3], 2, 2, False, 1), ([6], 2, 1, False, 6)]
LONG = SHORT + [([16] * 3, 4, 4, True, 0), ([9, 40, 2, 33, 17], 12, 4, True, 0),
                ([300, 3, 257, 30], 6, 3, True, 0), ([260, 5], 2, 2, False, 0),
                ([256, 255, 1], 2, 1, True, 0), ([300, 3, 65, 64], 4, 2, False, 64), ([40, 9], 2, 2, True, 7)]


def inputs(lengths, H, G, alibi, window=0, K=4):
    generator = torch.Generator().manual_seed(sum(lengths) + H)
    q, k, v = (torch.randn(sum(lengths), heads, K, generator=generator).double().requires_grad_()
               for heads in (H, G, G))
    return q, k, v, lengths, torch.tensor(reference.slopes(H)).double() if alibi else None, window


def check_against_the_loop(fn, cases=SHORT):
    for case in cases:
        q, k, v, lengths, slopes_H, window = inputs(*case)
        slope = None if slopes_H is None else slopes_H.tolist()
        expected = reference.attention(q.tolist(), k.tolist(), v.tolist(), lengths, slope, window)
        close(fn(q, k, v, lengths, slopes_H, window), expected)


def check_against_the_reference(fn):
    for case in LONG:
        results = []
        for function in (fn, attention_reference):
            q, k, v, lengths, slopes_H, window = inputs(*case)
            out = function(q, k, v, lengths, slopes_H, window)
            (out * torch.arange(out.numel()).view(out.shape).sin()).sum().backward()
            results.append((out.detach(), q.grad, k.grad, v.grad))
        for ours, expected in zip(*results, strict=True):
            close(ours, expected)


def check_neighbours(fn):
    """Whatever stands in the second sequence, the others' outputs are the same bits; no gradient crosses."""
    for window in (0, 4):
        q, k, v, lengths, slopes_H, _ = inputs([3, 6, 2, 40, 7], 4, 2, True)
        others = torch.tensor([not 3 <= i < 9 for i in range(sum(lengths))])
        out = fn(q, k, v, lengths, slopes_H, window)
        changed = [torch.where(others[:, None, None], x, 50 * x + 9) for x in (q, k, v)]
        assert torch.equal(fn(*changed, lengths, slopes_H, window)[others], out[others])
        for gradient in torch.autograd.grad(out[others].sum(), (q, k, v)):
            assert (gradient[~others] == 0).all() and gradient[others].any()


PLANTED = {
    "no causal mask": lambda q, k, v, n, s, w: not_causal(q, k, v, n),
    "ALiBi's sign": lambda q, k, v, n, s, w: attention_fused(q, k, v, n, None if s is None else -s, w),
    "slopes shared": lambda q, k, v, n, s, w: attention_fused(q, k, v, n, s if s is None else 0 * s + 0.1, w),
    "a neighbour leaks": lambda q, k, v, n, s, w: attention_fused(q, k, v, [sum(n)], s, w),
    "key heads in the wrong order":
        lambda q, k, v, n, s, w: attention_fused(q, tiled(k, q), tiled(v, q), n, s, w),
    "no scale": lambda q, k, v, n, s, w: attention_fused(q * 2, k, v, n, s, w),
    "no window": lambda q, k, v, n, s, w: attention_fused(q, k, v, n, s),
    "a window one too wide": lambda q, k, v, n, s, w: attention_fused(q, k, v, n, s, w and w + 1),
}


def tiled(k, q):
    return k.repeat(1, q.shape[1] // k.shape[1], 1)


def not_causal(q, k, v, lengths):
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    parts = zip(*(x.transpose(0, 1).split(lengths, 1) for x in (q, k, v)), strict=True)
    return torch.cat([(a @ b.mT / 2).softmax(-1) @ c for a, b, c in parts], 1).transpose(0, 1)


@pytest.mark.parametrize("fn", [attention_reference, attention_fused, kernel.attention])
def test_equals_the_double_loop(fn):
    check_against_the_loop(checked(fn))


@pytest.mark.parametrize("key_bias", [True, False])
def test_fused_equals_reference(monkeypatch, key_bias):
    """Forward and backward, with the bias as one number a key and as a matrix."""
    if not key_bias:
        monkeypatch.setattr(kernel, "key_bias_with_causal", lambda: False)
    check_against_the_reference(attention_fused)


@pytest.mark.parametrize("fn", [attention_reference, attention_fused])
def test_neighbours_change_nothing(fn):
    check_neighbours(fn)


@pytest.mark.parametrize("bug", PLANTED)
def test_the_checks_have_teeth(bug):
    for check in (check_against_the_loop, check_against_the_reference):
        with pytest.raises(AssertionError):
            check(PLANTED[bug])
    if bug == "a neighbour leaks":
        with pytest.raises(AssertionError):
            check_neighbours(PLANTED[bug])


@pytest.mark.parametrize("fn", [attention_reference, attention_fused])
@pytest.mark.parametrize("case", [([1, 3], 2, 1, True, 0), ([4], 3, 3, False, 0), ([2, 5], 3, 3, True, 0),
                                  ([6, 2], 2, 1, False, 2)])
def test_gradient(fn, case):
    q, k, v, lengths, slopes_H, window = inputs(*case, K=2)
    assert gradcheck(lambda q, k, v: fn(q, k, v, lengths, slopes_H, window), (q, k, v))


def test_slopes():
    """Eight heads: 1/2, 1/4 .. 1/256 (Press 2022, section 3); twelve: those, then 2^-0.5, 2^-1.5 .. of 16."""
    close(alibi_slopes(8), [2.0**-h for h in range(1, 9)])
    close(alibi_slopes(12), [2.0**-h for h in range(1, 9)] + [2.0 ** -(h + 0.5) for h in range(4)], 1e-6)
    for heads in range(1, 40):
        close(alibi_slopes(heads), reference.slopes(heads), 1e-6)


def check_decode(fn):
    """One query a row against a cache, strange numbers behind its end = the full forward's last row."""
    for _, H, G, alibi, window in LONG:
        lengths = [7, 1, 12]
        q, k, v, _, slopes_H, _ = inputs(lengths, H, G, alibi)
        full = attention_reference(q, k, v, lengths, slopes_H, window)
        cache = torch.full((2, 3, G, 15, 4), 77.0, dtype=torch.float64)
        for row, (k_TGK, v_TGK) in enumerate(zip(k.split(lengths), v.split(lengths), strict=True)):
            cache[:, row, :, :lengths[row]] = torch.stack([k_TGK, v_TGK]).transpose(1, 2)
        last = torch.tensor(lengths).cumsum(0) - 1
        close(fn(q[last], cache[0], cache[1], torch.tensor(lengths), slopes_H, window), full[last])


def test_decode_equals_the_last_row():
    check_decode(checked(attention_decode))
    for buggy in (lambda q, k, v, length, s, w: attention_decode(q, k, v, length + 1, s, w),
                  lambda q, k, v, length, s, w: attention_decode(q, k, v, length.flip(0), s, w),
                  lambda q, k, v, length, s, w: attention_decode(q, k, v, length, None, w),
                  lambda q, k, v, length, s, w: attention_decode(q, k, v, length, s, 0)):
        with pytest.raises(AssertionError):
            check_decode(buggy)
