"""
The hand-written kernels of cpu.cpp as PyTorch functions, built when first needed.
(Not here: the kernels; the choice between them and PyTorch's own, see attention.py.)

A C++ compiler makes one shared library in two seconds or so; it is kept in the user's cache folder, under a
name made of source, flags and the CPU's features, so that no other CPU and no other source loads it.
It has a plain C interface and is called through ctypes: neither PyTorch's headers nor Python's are needed.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("cpu.cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-shared",
         "-fPIC")
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float64: "float64"}
FIELDS = ("sequences", "H", "G", "K", "window", "threads", "q_token", "q_head", "k_token", "k_head",
          "v_token", "v_head", "k_row", "v_row")                # of cpu.cpp's Shape


def _cpu_features():
    """What /proc/cpuinfo says of the first processor's kind; elsewhere what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("flags", "model name", "Features")))


class Shape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in FIELDS] + [("scale", ctypes.c_double)]


def kept(name, key, build):
    """The path of this file in the user's cache folder; build(path) makes it where there is none with such a
    key."""
    stem, ending = name.split(".")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clinicalgpt"
    path = cache / f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.{ending}"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:  # whoever builds at the same time has another
            build(Path(folder) / name)
            os.replace(Path(folder) / name, path)
    return path


@functools.cache
def library():
    """(the shared library, "") or (None, why there is none)."""
    compiler = os.environ.get("CXX", "g++")
    key = "\n".join([SOURCE.read_text(), compiler, *FLAGS, platform.machine(), _cpu_features()])

    def build(path):
        subprocess.run([*shlex.split(compiler), *FLAGS, str(SOURCE), "-o", str(path)], check=True,
                       capture_output=True, text=True, timeout=120)
    try:
        built = kept("cpu.so", key, build)
        try:
            return ctypes.CDLL(str(built)), ""
        except OSError:                                         # another system's, in a home they share
            built.unlink()
            return ctypes.CDLL(str(kept("cpu.so", key, build))), ""
    except FileNotFoundError:
        return None, f"no C++ compiler ({compiler}) was found"
    except subprocess.CalledProcessError as error:
        return None, f"{compiler} failed: {(error.stderr.strip() or 'no message').splitlines()[0]}"
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:     # no compiler, no home, no room
        return None, str(error)


def takes(q, k):
    """Whether the kernels take queries and keys of this kind.  (Products are made two vectors of a head at a
    time, which are 32 numbers at most.)"""
    return q.device.type == "cpu" and q.dtype in DTYPES and q.dtype == k.dtype and q.shape[-1] % 32 == 0


def check(q, k, v, heads_of_keys, fits):
    """ValueError if kernels would read what is not there."""
    if not (fits and q.dtype == k.dtype == v.dtype and q.device == k.device == v.device and k.shape == v.shape
            and k.shape[-1] == q.shape[-1] and q.shape[1] % heads_of_keys == 0):
        raise ValueError(f"queries {tuple(q.shape)} {q.dtype}, keys {tuple(k.shape)} {k.dtype}, values "
                         f"{tuple(v.shape)} {v.dtype} and the lengths do not fit together")


def _call(name, shape, dtype, *arguments):
    library()[0][f"{name}_{DTYPES[dtype]}"](ctypes.byref(shape), *(
        None if x is None else ctypes.c_void_p(x.data_ptr()) for x in arguments))


def _dense_heads(*tensors):
    """The tensors, copied only where the numbers of a head do not stand side by side."""
    return [x if x.stride(-1) == 1 else x.contiguous() for x in tensors]


def _slopes(slopes_H, dtype):
    return None if slopes_H is None else slopes_H.to(torch.promote_types(dtype, torch.float32)).contiguous()


@functools.lru_cache(maxsize=16)                                # one for all layers
def _starts(lengths):
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_NHK, k_NGK, v_NGK, slopes_H, lengths, window):
        q, k, v = _dense_heads(q_NHK, k_NGK, v_NGK)
        N, H, K = q.shape
        starts, slopes = _starts(tuple(lengths)), _slopes(slopes_H, q.dtype)
        check(q, k, v, k.shape[1], takes(q, k) and len(k) == N == int(starts[-1]))
        out = q.new_empty(N, H, K)
        lse_NH = q.new_empty(N, H, dtype=torch.promote_types(q.dtype, torch.float32))
        shape = Shape(len(lengths), H, k.shape[1], K, window, torch.get_num_threads(), *q.stride()[:2],
                      *k.stride()[:2], *v.stride()[:2], scale=K**-0.5)
        _call("forward", shape, q.dtype, starts, q, k, v, slopes, out, lse_NH)
        ctx.save_for_backward(q, k, v, out, lse_NH)
        ctx.starts, ctx.slopes, ctx.shape = starts, slopes, shape
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_NHK):
        q, k, v, out, lse_NH = ctx.saved_tensors
        grads = [torch.empty(x.shape, dtype=x.dtype) for x in (q, k, v)]
        _call("backward", ctx.shape, q.dtype, ctx.starts, q, k, v, ctx.slopes, out, lse_NH,
              grad_NHK.to(q.dtype).contiguous(), *grads)
        return *grads, None, None, None


def attention_native(q_NHK, k_NGK, v_NGK, lengths, slopes_H=None, window=0):
    """attention() of attention.py, by the kernels, with their own backward; (N, H, K)."""
    return _Attention.apply(q_NHK, k_NGK, v_NGK, slopes_H, lengths, window)


def decode_native(q_BHK, k_BGTK, v_BGTK, length_B, slopes_H=None, window=0):
    """attention_decode() of attention.py, by the kernels; (B, H, K)."""
    (B, H, K), G = q_BHK.shape, k_BGTK.shape[1]
    q, (k, v) = q_BHK.contiguous(), _dense_heads(k_BGTK, v_BGTK)
    out, lengths = torch.empty_like(q), length_B.to(torch.int64).contiguous()
    check(q, k, v, G, takes(q, k) and len(k) == len(lengths) == B
          and 0 < int(lengths.min()) <= int(lengths.max()) <= k.shape[2])
    shape = Shape(B, H, G, K, window, torch.get_num_threads(), scale=K**-0.5)
    shape.k_row, shape.k_head, shape.k_token = k.stride()[:3]
    shape.v_row, shape.v_head, shape.v_token = v.stride()[:3]
    _call("decode", shape, q.dtype, lengths, q, k, v, _slopes(slopes_H, q.dtype), out)
    return out
