"""Attention: the reference against a double loop; PyTorch's kernels and ours, and decoding, against the
reference; the C++ source with bugs planted in it."""
import logging
import os
import shutil

import pytest
import torch
from torch.autograd import gradcheck

from kernels import attention as kernel
from kernels import native
from kernels.attention import alibi_slopes, attention_fused, attention_reference, decode_fused
from kernels.native import attention_native, decode_native
from tests import reference
from tests.reference import checked, close

# lengths, query heads, key heads, with ALiBi, window
SHORT = [([1], 2, 2, True, 0), ([2, 1, 5], 4, 2, True, 0), ([3, 20, 7], 6, 6, True, 0),
         ([4, 4], 6, 2, False, 0), ([5, 1], 3, 1, True, 0), ([9, 2], 2, 1, False, 3), ([5], 2, 2, True, 2),
         ([7, 3], 2, 2, False, 1), ([6], 2, 1, False, 6)]
LONG = SHORT + [([16] * 3, 4, 4, True, 0), ([9, 40, 2, 33, 17], 12, 4, True, 0),
                ([300, 3, 257, 30], 6, 3, True, 0), ([260, 5], 2, 2, False, 0),
                ([256, 255, 1], 2, 1, True, 0), ([300, 3, 65, 64], 4, 2, False, 64), ([40, 9], 2, 2, True, 7)]


BLOCKS = [([95, 96, 97, 1], 2, 1, True, 0), ([193, 192], 4, 4, True, 0), ([300, 5], 2, 2, False, 17),
          ([200], 2, 1, False, 96), ([1000], 1, 1, True, 0)]                # around the tiles of cpu.cpp


NATIVE = [attention_native] if shutil.which(os.environ.get("CXX", "g++")) else []
needs_a_compiler = pytest.mark.skipif(not NATIVE, reason="no C++ compiler, and so no kernels of ours")


def inputs(lengths, H, G, alibi, window=0, K=32):
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


def check_against_the_reference(fn, cases=LONG):
    for case in cases:
        results = []
        for function in (fn, attention_reference):
            q, k, v, lengths, slopes_H, window = inputs(*case)
            out = function(q, k, v, lengths, slopes_H, window)
            (out * torch.arange(out.numel()).view(out.shape).sin()).sum().backward()
            results.append((out.detach(), q.grad, k.grad, v.grad))
        for ours, expected in zip(*results, strict=True):
            close(ours, expected)


def check_neighbours(fn, dtype=torch.float64, K=32, device="cpu"):
    """Whatever stands in the second sequence, the others' outputs are the same bits; no gradient crosses."""
    for window in (0, 4):
        q, k, v, lengths, slopes_H, _ = inputs([3, 6, 2, 40, 7], 4, 2, True, K=K)
        q, k, v = (x.detach().to(device, dtype).requires_grad_() for x in (q, k, v))
        slopes_H = slopes_H.to(device)
        others = torch.tensor([not 3 <= i < 9 for i in range(sum(lengths))], device=device)
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
    scale = q.shape[-1]**-0.5
    return torch.cat([(a @ b.mT * scale).softmax(-1) @ c for a, b, c in parts], 1).transpose(0, 1)


@pytest.mark.parametrize("fn", [attention_reference, attention_fused, *NATIVE, kernel.attention])
def test_equals_the_double_loop(fn):
    check_against_the_loop(checked(fn))


@pytest.mark.parametrize("key_bias", [True, False])
def test_fused_equals_reference(monkeypatch, key_bias):
    """Forward and backward, with the bias as one number a key and folded into the product."""
    if not key_bias:
        monkeypatch.setattr(kernel, "key_bias_with_causal", lambda: False)
    check_against_the_reference(attention_fused)


@needs_a_compiler
def test_native_equals_reference():
    check_against_the_reference(attention_native, LONG + BLOCKS)


@pytest.mark.parametrize("fn", [attention_reference, attention_fused, *NATIVE])
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


@pytest.mark.parametrize("fn", [attention_reference, attention_fused, *NATIVE])
@pytest.mark.parametrize("case", [([1, 3], 2, 1, True, 0), ([4], 3, 3, False, 0), ([2, 5], 3, 3, True, 0),
                                  ([6, 2], 2, 1, False, 2)])
def test_gradient(fn, case):
    q, k, v, lengths, slopes_H, window = inputs(*case)
    assert gradcheck(lambda q, k, v: fn(q, k, v, lengths, slopes_H, window), (q, k, v))


def error(ours, expected):
    return ((ours.double() - expected).norm() / expected.norm()).item()


def errors(fn, case, dtype, K=64, device="cpu"):
    """Relative errors of output and gradients against the reference in float64 on the same rounded numbers;
    what is not written would be NaN."""
    q, k, v, lengths, slopes_H, window = inputs(*case, K=K)
    rounded = [x.detach().to(device, dtype).requires_grad_() for x in (q, k, v)]
    exact = [x.detach().double().requires_grad_() for x in rounded]
    grad = torch.randn(q.shape, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    slopes_H = None if slopes_H is None else slopes_H.to(device).float()
    torch.use_deterministic_algorithms(True)
    try:                                                        # every torch.empty is filled with NaN
        out = fn(*rounded, lengths, slopes_H, window)
        results = (out, *torch.autograd.grad(out, rounded, grad))
    finally:
        torch.use_deterministic_algorithms(False)
    expected = attention_reference(*exact, lengths, slopes_H, window)
    expected = (expected, *torch.autograd.grad(expected, exact, grad.double()))
    return torch.tensor([error(a, b) for a, b in zip(results, expected, strict=True)])      # NaN stays NaN


@pytest.mark.parametrize("fn", [attention_fused, *NATIVE])
@pytest.mark.parametrize("K", [32, 64, 96, 256])
def test_precision(fn, K):
    for case in (([2, 96, 95, 300], 4, 2, True, 0), ([130, 2], 2, 2, False, 20), ([2048], 1, 1, True, 0)):
        assert errors(fn, case, torch.float32, K).max() < 2e-5
        assert errors(fn, case, torch.bfloat16, K).max() < 5e-3


def test_folded_bias_needs_both_parts(monkeypatch):
    """Positions and slopes as two bfloat16 numbers each lose nothing.  With slopes as one a tenth is lost;
    with positions as one attention is another."""
    case, both = ([2048], 2, 2, True, 0), kernel.folded
    as_bias = errors(attention_fused, case, torch.bfloat16, K=96)
    monkeypatch.setattr(kernel, "key_bias_with_causal", lambda: False)
    close(errors(attention_fused, case, torch.bfloat16, K=96), as_bias, 1e-4)

    def one_position(q, k, v, slopes_H):
        q, k, v = both(q, k, v, slopes_H)
        far, near = k[..., -8:-7], k[..., -7:-6]
        return q, torch.cat([k[..., :-8], *[far + near, 0 * near] * 2, k[..., -4:]], -1), v

    def one_slope(q, k, v, slopes_H):
        q, k, v = both(q, k, v, slopes_H)
        return torch.cat([q[..., :-6], torch.zeros_like(q[..., -6:])], -1), k, v
    for poorer, factor in ((one_position, 10), (one_slope, 1.05)):
        monkeypatch.setattr(kernel, "folded", poorer)
        assert errors(attention_fused, case, torch.bfloat16, K=96)[0] > factor * as_bias[0]


@needs_a_compiler
def test_native_reads_heads_where_they_lie():
    """Queries, keys and values of one fused matrix, without a copy; and with heads that do not lie dense."""
    fused = torch.randn(40, 4, 3, 32, dtype=torch.float64)
    scattered = torch.randn(40, 4, 32, 3, dtype=torch.float64)
    for q, k, v in (fused.unbind(2), scattered.unbind(3)):
        close(attention_native(q, k, v, [30, 10]), attention_reference(q, k, v, [30, 10]))


@needs_a_compiler
def test_the_number_of_threads_changes_no_bit():
    q, k, v, lengths, slopes_H, window = inputs([150, 7, 300, 1], 4, 2, True)
    results, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        out = attention_native(q, k, v, lengths, slopes_H, window)
        results.append((out, *torch.autograd.grad(out.sum(), (q, k, v))))
    torch.set_num_threads(before)
    assert all(map(torch.equal, *results))


@needs_a_compiler
def test_native_refuses_what_does_not_fit():
    q, k, v, lengths, *_ = inputs([3, 4], 4, 2, False)
    for bad in ((q, k, v, [3, 5]), (q, k[1:], v, lengths), (q[:, :3], k, v, lengths),
                (q, k, v.float(), lengths),
                (q, k.float(), v, lengths), (q, k.repeat(1, 1, 2), v.repeat(1, 1, 2), lengths),
                (q[..., :24], k[..., :24], v[..., :24], lengths)):
        with pytest.raises(ValueError, match="do not fit together"):
            attention_native(*bad)
    cache, length_B = torch.zeros(2, 2, 5, 32, dtype=torch.float64), torch.tensor([5, 2])
    misfits = (2, cache.float(), length_B), (2, cache, length_B + 1), (3, cache, length_B)
    for rows, values, lengths_B in misfits:
        with pytest.raises(ValueError, match="do not fit together"):
            decode_native(q[:rows], cache, values, lengths_B)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Caches as at the start of a program, in memory and on the disk; and afterwards as they were."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for cached in (native.library, kernel.backend):
        cached.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    for cached in (native.library, kernel.backend):
        cached.cache_clear()


@pytest.mark.parametrize("compiler, says", [("nothing", "no C++ compiler (nothing)"), ("false", "failed")])
def test_without_a_compiler(fresh, caplog, compiler, says):
    """One line says so, and PyTorch's kernels do the work."""
    fresh.setenv("CXX", compiler)
    for _ in range(2):
        q, k, v, lengths, slopes_H, _ = inputs([3, 9], 2, 2, True)
        close(kernel.attention(q, k, v, lengths, slopes_H), attention_reference(q, k, v, lengths, slopes_H))
    record, = caplog.records
    assert kernel.backend("cpu") == "pytorch" and says in record.message


@needs_a_compiler
def test_the_choice(fresh, caplog):
    caplog.set_level(logging.INFO)
    assert kernel.backend("cpu") == "native" == kernel.backend("cpu") and len(caplog.records) == 1
    assert kernel.backend("cuda") == "pytorch" and "never run" in caplog.records[1].message
    for K, dtype in ((48, torch.float32), (64, torch.float16)):
        q = torch.zeros(1, 1, K, dtype=dtype)
        assert kernel._chosen(q, q) == kernel.OTHERS["pytorch"]
    for name, functions in {"native": kernel.OURS["cpu"], **kernel.OTHERS}.items():
        fresh.setattr(kernel, "FORCED", name)
        kernel.backend.cache_clear()
        assert kernel._chosen(torch.zeros(1, 1, 64), torch.zeros(1, 1, 64)) == functions
    fresh.setattr(kernel, "FORCED", "fast")
    kernel.backend.cache_clear()
    with pytest.raises(ValueError, match="it may be native, pytorch, reference"):
        kernel.backend("cpu")


@needs_a_compiler
@pytest.mark.parametrize("old, new", [
    ("score = j > i ?", "score = j > i + 1 ?"), ("j <= i - t.window", "j < i - t.window"),
    ("const Real shrink = std::exp(before - base);", "const Real shrink = 1;"),
    ("LOWER_A && m + ROWS < D ? m + ROWS", "LOWER_A && m + ROWS < D ? m"),
    ("load(pp) * (load(dd) - go_dot_o[r])", "load(pp) * load(dd)"),
    ("i && i >= window ? i - window + 1", "i && i >= window ? i + BLOCK"),
    ("h = g * group;\n                const T *keys", "h = g;\n                const T *keys"),
    ("load(sum_o + n * K + d) * share[n]", "load(sum_o + n * K + d)"),
    ("for (long j = begin; j < first; ++j) row[j] = -INFINITY;", "")])
def test_planted_in_the_source(fresh, tmp_path, old, new):
    """Each of these is a bug of its own, and the checks above see it."""
    source = native.SOURCE.read_text()
    old = old.replace("i && i >= window", "window && i >= window")
    assert source.count(old) == 1
    fresh.setattr(native, "SOURCE", tmp_path / "cpu.cpp")
    native.SOURCE.write_text(source.replace(old, new.replace("i && i >= window", "window && i >= window")))
    fresh.setattr(native, "FLAGS", tuple("-O1" if flag == "-O3" else flag for flag in native.FLAGS))
    assert native.library()[0]
    with pytest.raises(AssertionError):
        check_against_the_reference(attention_native, LONG + BLOCKS)
        check_decode(decode_native)


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
        cache = torch.full((2, 3, G, 15, 32), 77.0, dtype=torch.float64)
        for row, (k_TGK, v_TGK) in enumerate(zip(k.split(lengths), v.split(lengths), strict=True)):
            cache[:, row, :, :lengths[row]] = torch.stack([k_TGK, v_TGK]).transpose(1, 2)
        last = torch.tensor(lengths).cumsum(0) - 1
        close(fn(q[last], cache[0], cache[1], torch.tensor(lengths), slopes_H, window), full[last])


@pytest.mark.parametrize("fn", [decode_fused, *([decode_native] if NATIVE else [])])
def test_decode_equals_the_last_row(fn):
    check_decode(checked(fn))
    for buggy in (lambda q, k, v, length, s, w: fn(q, k, v, length + 1, s, w),
                  lambda q, k, v, length, s, w: fn(q, k, v, length.flip(0), s, w),
                  lambda q, k, v, length, s, w: fn(q, k, v, length, None, w),
                  lambda q, k, v, length, s, w: fn(q, k, v, length, s, 0)):
        with pytest.raises(AssertionError):
            check_decode(buggy)


@needs_a_compiler
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 2e-5), (torch.bfloat16, 5e-3)])
def test_decode_precision(dtype, bound):
    generator = torch.Generator().manual_seed(2)
    for B, H, G, T, K, window in ((3, 4, 2, 200, 64, 0), (2, 6, 6, 300, 32, 17), (1, 8, 1, 77, 128, 0)):
        shapes = (B, H, K), (B, G, T, K), (B, G, T, K)
        qkv = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
        rest = torch.randint(1, T + 1, (B,), generator=generator), alibi_slopes(H), window
        assert error(decode_native(*qkv, *rest), decode_fused(*(x.double() for x in qkv), *rest)) < bound
