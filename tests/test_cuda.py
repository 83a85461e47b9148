"""cuda.cu without a card: each thread of it on the CPU (simulator.cpp), against the reference, and with bugs
planted in it; compiled for real cards where there is a compiler; and on a card where there is one."""
import ctypes
import os
import re
import shutil
import subprocess

import pytest
import torch

from kernels import attention as kernel
from kernels import cuda
from kernels.attention import alibi_slopes, decode_fused
from kernels.cuda import attention_cuda, decode_cuda
from tests.test_attention import check_neighbours, error, errors

COMPILER = shutil.which(os.environ.get("CXX", "g++"))
BOUNDS = {torch.bfloat16: 5e-3, torch.float16: 1e-3}
CASES = [([1, 64, 65], 4, 2, True, 0), ([150, 40], 2, 1, False, 0), ([129, 2], 1, 1, True, 17),
         ([200], 2, 1, False, 64)]


class Simulator:
    """Stands for a card: launches kernels of cuda.cu, or of another source, on tensors of the CPU."""

    def __init__(self, folder, source=cuda.SOURCE):
        self.folder, self.source, self.seed, self.less, self.libraries = folder, source, 0, 0, {}

    def launch(self, kernel, grid, threads, q, pointers):
        dtype, K = q.dtype, q.shape[-1]
        if (dtype, K) not in self.libraries:
            path = self.folder / f"{len(self.libraries)}.so"
            subprocess.run([COMPILER, "-std=c++20", "-O1", "-shared", "-fPIC", f"-DHEAD_SIZE={K}",
                            *cuda.FLAGS[dtype], f'-DKERNELS="{self.source}"', "tests/simulator.cpp",
                            "-o", path], check=True, cwd=cuda.SOURCE.parents[1])
            self.libraries[dtype, K] = ctypes.CDLL(str(path))
            self.libraries[dtype, K].simulate.restype = ctypes.c_char_p
        self.seed += 1
        shared = ctypes.c_int64(max(0, cuda.shared_bytes(kernel, K) - self.less))
        said = self.libraries[dtype, K].simulate(kernel.encode(), (ctypes.c_int * 3)(*grid), threads, shared,
                                                 pointers, self.seed)
        assert not said, f"{kernel}: {said.decode()}"

    def plug_in(self, monkeypatch):
        monkeypatch.setattr(cuda, "launch", self.launch)
        monkeypatch.setattr(cuda, "processors", lambda device: 3)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return Simulator(tmp_path_factory.mktemp("simulator"))


@pytest.fixture(params=["simulated", "card"])
def device(request, monkeypatch):
    if request.param == "card" and not torch.cuda.is_available():
        pytest.skip("no card")
    if request.param == "simulated" and not COMPILER:
        pytest.skip("no C++ compiler for the simulator")
    if request.param == "simulated":
        request.getfixturevalue("simulator").plug_in(monkeypatch)
    return "cuda" if request.param == "card" else "cpu"


def check_decode(dtype, K, device="cpu"):
    """Against PyTorch in float64: many keys, few, and more heads on a key than a product has rows."""
    generator = torch.Generator().manual_seed(2)
    for B, H, G, T, window in ((3, 4, 2, 200, 0), (2, 6, 6, 300, 17), (1, 8, 1, 77, 0), (2, 20, 1, 130, 50)):
        shapes = (B, H, K), (B, G, T, K), (B, G, T, K)
        qkv = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
        length_B = torch.randint(1, T + 1, (B,), generator=generator)
        for k_or_v in qkv[1:]:
            for row, length in enumerate(length_B.tolist()):
                k_or_v[row, :, length:] = torch.nan                             # never looked at
        out = decode_cuda(*qkv, length_B.to(device), alibi_slopes(H).to(device), window)
        expected = decode_fused(*(x.double().nan_to_num() for x in qkv), length_B.to(device),
                                alibi_slopes(H).to(device), window)
        assert error(out, expected) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("K", [64, 128])
def test_equals_the_reference(device, dtype, K):
    for case in CASES:
        assert errors(attention_cuda, case, dtype, K, device).max() < BOUNDS[dtype]
    check_decode(dtype, K, device)


def test_neighbours_and_order_change_nothing(device):
    """Not a bit; and what the order of threads is (another one every time) changes none either."""
    check_neighbours(attention_cuda, torch.bfloat16, 64, device)
    q, k, v = torch.randn(3, 150, 2, 64, device=device).bfloat16().requires_grad_()
    once, again = ((out, *torch.autograd.grad(out.sum(), (q, k, v)))
                   for out in (attention_cuda(q, k, v, [100, 50]) for _ in range(2)))
    assert all(map(torch.equal, once, again))


def test_heads_as_they_lie(device):
    """Queries, keys and values of one fused matrix, without a copy; and with heads that lie askew."""
    fused = torch.randn(40, 4, 3, 64, device=device).bfloat16()
    askew = torch.randn(40, 4, 3, 65, device=device).bfloat16()[..., 1:]
    grad = torch.randn(40 * 4 * 64 + 1, device=device).bfloat16()[1:].view(40, 4, 64)
    for views in (fused.unbind(2), askew.unbind(2)):
        results = []
        for fn, dtype in ((attention_cuda, torch.bfloat16), (kernel.attention_reference, torch.float64)):
            q, k, v = (x.to(dtype).requires_grad_() for x in views)
            out = fn(q, k, v, [30, 10])
            results.append((out, *torch.autograd.grad(out, (q, k, v), grad.to(dtype))))
        assert all(error(ours, expected) < 5e-3 for ours, expected in zip(*results, strict=True))
    assert cuda._in_line(fused[:, :, 0])[0].data_ptr() == fused.data_ptr()


def test_refuses_what_does_not_fit(device):
    q = torch.zeros(7, 4, 64, device=device).bfloat16()
    cache = torch.zeros(2, 2, 5, 64, device=device).bfloat16()
    for bad in ((q, q, q, [3, 5]), (q, q[1:], q, [7]), (q, q.float(), q, [7]), (q, q, q[..., :32], [7]),
                (q[..., :32], q[..., :32], q[..., :32], [7]), (q[:, :3], q[:, :2], q[:, :2], [7])):
        with pytest.raises(ValueError, match="do not fit together"):
            attention_cuda(*bad)
    with pytest.raises(ValueError, match="do not fit together"):
        decode_cuda(q[:2], cache, cache, torch.tensor([5], device=device))


FETCH = "fetch_keys(j + STEP, turn ^ 1);"
BARRIER = f"__syncthreads();\n        {FETCH}"
needs_a_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler for the simulator")


@needs_a_compiler
def test_the_simulator_guards_shared_memory(simulator, monkeypatch):
    simulator.plug_in(monkeypatch)
    monkeypatch.setattr(simulator, "less", 5000)
    for call in (lambda: errors(attention_cuda, CASES[0], torch.bfloat16, 64),
                 lambda: check_decode(torch.bfloat16, 64)):
        with pytest.raises(AssertionError, match="outside of shared memory"):
            call()


@needs_a_compiler
@pytest.mark.parametrize("kernel, old, new", [
    *((kernel, "wait();", "") for kernel in ("forward", "backward_queries", "backward_keys", "decode")),
    *((kernel, "__syncthreads();", "") for kernel in ("forward", "backward_queries", "backward_keys")),
    ("backward_keys", "__syncthreads();", "if (warp) __syncthreads();"),
    *((kernel, BARRIER, f"{FETCH}\n        __syncthreads();")         # the other buffer is still being read
      for kernel in ("forward", "backward_queries")),
    ("decode", "if (begin < end) fetch", "fetch"),
    ("", "distance > 0 ||", "distance > 1 ||"), ("", "distance <= -window", "distance < -window"),
    ("", "+ slope * distance", "- slope * distance"), ("", "shrink + total;", "shrink * 0 + total;"),
    ("forward", "w.first - s.window + 1)", "w.first - s.window + 65)"),
    ("backward_queries", "my_delta[half] = ", "my_delta[half] = 2 * "),
    ("backward_keys", "const Bias bias(s, slopes, h)", "const Bias bias(s, slopes, g * group)"),
    ("backward_keys", "? w.length : w.first", "? w.first + TILE : w.first"),
    ("decode", "? begin + size :", "? begin + size + 1 :"), ("combine", "sum += weight *", "sum +=")])
def test_planted_in_the_source(tmp_path, monkeypatch, kernel, old, new):
    """Each of these is a bug of its own, in a kernel or in what they share, and the checks above see it."""
    source = re.sub(r" +// [^\n]*", "", cuda.SOURCE.read_text())
    head, found, body = source.partition(f" {kernel}(" if kernel else "// ---- tiles")
    assert found and old in body
    planted = tmp_path / "cuda.cu"
    planted.write_text(head + found + body.replace(old, new, 1))
    Simulator(tmp_path, planted).plug_in(monkeypatch)
    with pytest.raises(AssertionError):
        for case in CASES if kernel not in ("decode", "combine") else ():
            assert errors(attention_cuda, case, torch.bfloat16, 64).max() < 5e-3
        check_decode(torch.bfloat16, 64)


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0)])
def test_compiles(tmp_path, monkeypatch, capability):
    """With the compiler of PyTorch's CUDA wheel, for each kind of head; and an error is told."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        cuda.nvrtc()
    except OSError:
        pytest.skip("no NVRTC")
    architecture = cuda.architecture(capability)
    assert architecture == "sm_{}{}".format(*capability) and cuda.architecture((9, 7)) == "sm_90"
    with pytest.raises(RuntimeError, match="no card of capability 99.0"):
        cuda.architecture((99, 0))
    for dtype in cuda.FLAGS:
        for K in (64, 128):
            path = cuda.binary(architecture, dtype, K)
            assert path.read_bytes()[:4] == b"\x7fELF"
            assert cuda.binary(architecture, dtype, K) == path and len(list(path.parent.iterdir())) == 1
            path.unlink()
    with pytest.raises(RuntimeError, match="HEAD_SIZE|division|error"):
        cuda.binary(architecture, torch.bfloat16, "banana")


@pytest.mark.skipif(not shutil.which("nvcc"), reason="no CUDA toolkit")
@pytest.mark.parametrize("K", [64, 128])
def test_compiles_with_a_toolkit(tmp_path, K):
    """No registers are spilled to memory on a Hopper card."""
    said = subprocess.run(["nvcc", "-std=c++17", "-cubin", "-arch=sm_90", f"-DHEAD_SIZE={K}", "-Xptxas", "-v",
                           cuda.SOURCE, "-o", tmp_path / "cuda.cubin"],
                          check=True, capture_output=True, text=True)
    clean = " 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert said.stderr.count(clean) == said.stderr.count("bytes spill stores") == 5
