"""
The kernels of cuda.cu as PyTorch functions, compiled when first needed.
(Not here: the kernels; the choice between them and PyTorch's own, see attention.py.)

NVRTC, the compiler inside PyTorch's CUDA wheel, makes machine code for the card at hand in a second or so,
one binary a dtype and head size; native.py keeps it in the user's cache folder.  The driver puts it on
PyTorch's current stream.  Both are called through ctypes: no toolkit and no header is needed.

No card has run this yet.  The tests run cuda.cu thread by thread on a simulator, and compile it for real
cards; that shows neither its speed nor all that a card may do to it.  So it is off, unless
CLINICALGPT_ATTENTION=native asks for it.
"""

import ctypes
import functools
from pathlib import Path

import torch

from kernels.native import check, kept

SOURCE = Path(__file__).with_name("cuda.cu")
FLAGS = {torch.bfloat16: [], torch.float16: ["-DFLOAT16"]}
OLDEST = (8, 0)                                                 # has bfloat16 and asynchronous copies
TILE, WARPS = 64, 4                                             # of cuda.cu
NO_WINDOW = 1 << 30
DYNAMIC_SHARED_SIZE = 8                                         # the driver's name for that attribute


class Shape(ctypes.Structure):                                  # of cuda.cu
    _fields_ = [*((name, ctypes.c_int64) for name in ("q_token", "q_head", "k_token", "k_head", "k_row",
                                                      "v_token", "v_head", "v_row", "N")),
                *((name, ctypes.c_int) for name in ("H", "G", "window")), ("scale", ctypes.c_float)]


def shared_bytes(kernel, K):
    """What a block keeps in shared memory: rows of K + 8 numbers, those that come by in two buffers."""
    step, keys = 4096 // K, 2048 // K                           # cuda.cu's STEP and KEYS
    rows = {"forward": TILE + 4 * step, "backward_queries": 2 * TILE + 4 * step,
            "backward_keys": 2 * TILE + 4 * step, "decode": WARPS * (16 + 4 * keys), "combine": 0}[kernel]
    return rows * (K + 8) * 2 + (4 * step * 4 if kernel == "backward_keys" else 0)


# ---- compiling and launching -----------------------------------------------------------------------------

@functools.cache
def nvrtc():
    """The compiler; OSError where there is none."""
    major = (torch.version.cuda or "13").split(".")[0]
    for path in Path(torch.__file__).parents[1].glob(f"nvidia/*/lib/libnvrtc.so.{major}"):
        for part in path.parent.glob(f"libnvrtc-builtins.so.{major}*"):
            ctypes.CDLL(str(part))                              # it looks for this one by its plain name
        return ctypes.CDLL(str(path))
    return ctypes.CDLL(f"libnvrtc.so.{major}")


def architecture(capability):
    """That of the machine code for a card: the newest that the compiler knows and the card runs, "sm_90"."""
    known = (ctypes.c_int * 100)()
    nvrtc().nvrtcGetSupportedArchs(known)
    fitting = [number for number in known if divmod(number, 10)[0] == capability[0]
               and divmod(number, 10)[1] <= capability[1]]
    if not fitting:
        raise RuntimeError(f"this CUDA compiler knows no card of capability {capability[0]}.{capability[1]}")
    return f"sm_{max(fitting)}"


def binary(architecture, dtype, K):
    """The path of cuda.cu's machine code for cards like "sm_90".  RuntimeError with the compiler's words."""
    options = ["--std=c++17", f"--gpu-architecture={architecture}", f"-DHEAD_SIZE={K}", *FLAGS[dtype]]
    source, version = SOURCE.read_text(), (ctypes.c_int * 2)()
    nvrtc().nvrtcVersion(ctypes.byref(version, 0), ctypes.byref(version, 4))
    return kept("cuda.cubin", "\n".join([source, *options, str(list(version))]),
                lambda path: path.write_bytes(_compile(source, options)))


def _compile(source, options):
    compiler, program = nvrtc(), ctypes.c_void_p()

    def result(name):
        size = ctypes.c_size_t()
        getattr(compiler, f"nvrtcGet{name}Size")(program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        getattr(compiler, f"nvrtcGet{name}")(program, content)
        return content.raw
    compiler.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"cuda.cu", 0, None, None)
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if compiler.nvrtcCompileProgram(program, len(options), given):
            raise RuntimeError(f"cuda.cu: {result('ProgramLog').decode(errors='replace')}")
        return result("CUBIN")
    finally:
        compiler.nvrtcDestroyProgram(ctypes.byref(program))


@functools.cache
def _libcuda():
    return ctypes.CDLL("libcuda.so.1")


def _driver(name, *arguments):
    if code := getattr(_libcuda(), name)(*arguments):
        message = ctypes.c_char_p()
        _libcuda().cuGetErrorString(code, ctypes.byref(message))
        raise RuntimeError(f"{name}: {(message.value or b'error %d' % code).decode()}")


@functools.cache
def _context(index):
    """The context that PyTorch uses of a card."""
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _driver("cuDeviceGet", ctypes.byref(device), index)
    _driver("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    return context


@functools.cache
def _module(device, dtype, K):
    module, path = ctypes.c_void_p(), binary(architecture(torch.cuda.get_device_capability(device)), dtype, K)
    _driver("cuModuleLoadData", ctypes.byref(module), path.read_bytes())
    return module


@functools.cache
def _function(kernel, device, dtype, K):
    """A kernel on a card, whose context is the current one."""
    function = ctypes.c_void_p()
    _driver("cuModuleGetFunction", ctypes.byref(function), _module(device, dtype, K), kernel.encode())
    _driver("cuFuncSetAttribute", function, DYNAMIC_SHARED_SIZE, shared_bytes(kernel, K))
    return function


def launch(kernel, grid, threads, q, pointers):
    """Puts a kernel for numbers and heads like q's on the current stream."""
    with torch.cuda.device(q.device):
        _driver("cuCtxSetCurrent", _context(q.device.index))    # a new thread, as backward's may be, has none
        _driver("cuLaunchKernel", _function(kernel, q.device, q.dtype, q.shape[-1]), *grid, threads, 1, 1,
                shared_bytes(kernel, q.shape[-1]), ctypes.c_void_p(torch.cuda.current_stream().cuda_stream),
                pointers, None)


def processors(device):
    return torch.cuda.get_device_properties(device).multi_processor_count


def missing():
    """Why the kernels can't run here, or ""."""
    if torch.version.cuda is None or torch.cuda.get_device_capability() < OLDEST:
        return "cuda.cu needs an NVIDIA card of compute capability 8.0"
    try:
        binary(architecture(torch.cuda.get_device_capability()), torch.bfloat16, 128)
    except (OSError, RuntimeError) as error:                    # no compiler, no room, no such card known
        return str(error).splitlines()[0]
    return ""


# ---- the functions ---------------------------------------------------------------------------------------

def takes(q, k):
    """Whether the kernels take queries and keys of this kind."""
    return q.dtype in FLAGS and q.dtype == k.dtype and q.shape[-1] in (64, 128)


def _call(kernel, grid, threads, q, *arguments):
    values = [x if isinstance(x, ctypes.Structure) else ctypes.c_int(x) if isinstance(x, int)
              else ctypes.c_void_p(None if x is None else x.data_ptr()) for x in arguments]
    launch(kernel, grid, threads, q, (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values)))


def _in_line(*tensors):
    """The tensors, copied only where 16 bytes of a head can't be read at a time."""
    return [x if x.stride(-1) == 1 and x.data_ptr() % 16 == 0 and all(s % 8 == 0 for s in x.stride()[:-1])
            else x.clone(memory_format=torch.contiguous_format) for x in tensors]


def _slopes(slopes_H, q):
    return None if slopes_H is None else slopes_H.to(q.device, torch.float32).contiguous()


@functools.lru_cache(maxsize=16)                                # one for all layers
def _tiles(lengths, device):
    """Two tables, on the card, of (a sequence's start, its length, a tile's first row): of queries, which
    meet all keys before them, and of keys, which meet all queries after.  Those with most work come first."""
    tiles, start = [], 0
    for length in lengths:
        tiles += [(start, length, first) for first in range(0, length, TILE)]
        start += length
    return [torch.tensor(sorted(tiles, key=work, reverse=True), dtype=torch.int32, device=device).view(-1, 3)
            for work in (lambda tile: tile[2], lambda tile: tile[1] - tile[2])]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_NHK, k_NGK, v_NGK, slopes_H, lengths, window):
        q, k, v = _in_line(q_NHK, k_NGK, v_NGK)
        (N, H, K), G = q.shape, k.shape[1]
        check(q, k, v, G, takes(q, k) and len(k) == N == sum(lengths))
        out, lse_HN = q.new_empty(N, H, K), q.new_empty(H, N, dtype=torch.float32)
        shape = Shape(*q.stride()[:2], *k.stride()[:2], 0, *v.stride()[:2], 0, N, H, G,
                      window or NO_WINDOW, K**-0.5)
        tiles, slopes = _tiles(tuple(lengths), q.device), _slopes(slopes_H, q)
        _call("forward", (H * len(tiles[0]), 1, 1), 32 * WARPS, q,
              shape, tiles[0], q, k, v, slopes, out, lse_HN)
        ctx.save_for_backward(q, k, v, out, lse_HN)
        ctx.tiles, ctx.slopes, ctx.shape = tiles, slopes, shape
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_NHK):
        q, k, v, out, lse_HN = ctx.saved_tensors
        (of_queries, of_keys), slopes, shape = ctx.tiles, ctx.slopes, ctx.shape
        (grad,), delta_HN = _in_line(grad_NHK.to(q.dtype).contiguous()), torch.empty_like(lse_HN)
        dq, dk, dv = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v))
        _call("backward_queries", (shape.H * len(of_queries), 1, 1), 32 * WARPS, q,
              shape, of_queries, q, k, v, slopes, out, lse_HN, grad, delta_HN, dq)
        _call("backward_keys", (shape.G * len(of_keys), 1, 1), 32 * WARPS, q,
              shape, of_keys, q, k, v, slopes, lse_HN, grad, delta_HN, dk, dv)
        return dq, dk, dv, None, None, None


def attention_cuda(q_NHK, k_NGK, v_NGK, lengths, slopes_H=None, window=0):
    """attention() of attention.py, by the kernels, with their own backward; (N, H, K)."""
    return _Attention.apply(q_NHK, k_NGK, v_NGK, slopes_H, lengths, window)


def decode_cuda(q_BHK, k_BGTK, v_BGTK, length_B, slopes_H=None, window=0):
    """attention_decode() of attention.py, by the kernels; (B, H, K).  Lengths stay on the card, and are not
    checked.  A row's keys are divided among as many warps as keep all processors busy, 64 a warp or more."""
    (B, H, K), (G, T) = q_BHK.shape, k_BGTK.shape[1:3]
    q, k, v = _in_line(q_BHK.contiguous(), k_BGTK, v_BGTK)
    check(q, k, v, G, takes(q, k) and len(k) == len(length_B) == B)
    shape = Shape(k_row=k.stride(0), k_head=k.stride(1), k_token=k.stride(2), v_row=v.stride(0),
                  v_head=v.stride(1), v_token=v.stride(2), H=H, G=G, window=window or NO_WINDOW,
                  scale=K**-0.5)
    rows = G * -(-(H // G) // 16)
    blocks = min(-(-2 * processors(q.device) // (rows * B)), -(-T // (WARPS * 64)))
    part, out = q.new_empty(B, H, blocks * WARPS, K + 2, dtype=torch.float32), torch.empty_like(q)
    _call("decode", (blocks, rows, B), 32 * WARPS, q,
          shape, length_B.to(q.device, torch.int64).contiguous(), q, k, v, _slopes(slopes_H, q), part)
    _call("combine", (H, B, 1), K, q, part, blocks * WARPS, out)
    return out
