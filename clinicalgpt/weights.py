"""
Checkpoint files: named tensors in and out.
(Not here: which tensor is which parameter, see model.py.)

    model.safetensors      or shards and model.safetensors.index.json      read and written
    pytorch_model.bin      or shards and pytorch_model.bin.index.json      read only, and only tensors

Nothing is read before it is needed: files are mapped into memory.  On the CPU a parameter of the file's own
dtype is the mapping itself: its pages are read when first used, shared with other processes, and private once
written.  Anything else is copied a piece at a time, and the pages that a piece came from are given back at
once.  So loading holds the weights once, in the dtype asked for, and never the file beside them.
"""

import ctypes
import mmap
import os
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from clinicalgpt.files import read_json, write_json

PIECE_BYTES = 2**26                                             # copied at a time


def read_tensors(folder):
    """Yield (file, name, tensor) for every tensor of a model folder; each lies in the file's pages.
    Raises FileNotFoundError or ValueError, in one line, for what is missing or cannot be read."""
    for path in weight_files(Path(folder)):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    yield from ((path, name, file.get_tensor(name)) for name in file.keys())
                continue
            tensors = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
        except Exception as error:                              # each library has kinds of its own
            raise ValueError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); "
                             "is the download complete?") from None
        for name, tensor in tensors.items() if isinstance(tensors, dict) else [("it", tensors)]:
            if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
                raise ValueError(f"{path}: {name} is a {type(tensor).__name__}; tensors by name are read")
            if tensor.is_meta or tensor.is_sparse or tensor.is_nested:
                raise ValueError(f"{path}: tensor {name} is not a dense one with values of its own")
            yield path, name, tensor


def weight_files(folder):
    """The files with the weights: one, or the shards that an index names."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        single, index = folder / name, folder / f"{name}.index.json"
        if single.is_file():
            return [single]
        if index.is_file():
            places = read_json(index).get("weight_map")
            if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
                raise ValueError(f"{index}: no 'weight_map' from tensors to shards; "
                                 "is the download complete?")
            shards = [folder / shard for shard in sorted(set(places.values()))]
            for shard in shards:
                if shard.parent != folder or shard.name in ("", ".."):
                    raise ValueError(f"{index}: shard {shard} lies outside the folder")
                if not shard.is_file():
                    raise FileNotFoundError(f"{shard}: a shard named by {index.name} is missing")
            return shards
    raise FileNotFoundError(f"{folder}: no model.safetensors or pytorch_model.bin (nor an index of shards)")


def materialise(tensor, dtype, device):
    """The tensor as a parameter's data: the mapped pages themselves where nothing is to be changed, else a
    copy made piece by piece, so that at most PIECE_BYTES of the file are in memory beside it."""
    if tensor.dtype == dtype and torch.device(device).type == "cpu" and tensor.is_contiguous():
        return tensor
    copy = torch.empty(tensor.shape, dtype=dtype, device=device)
    for rows in _pieces(tensor):
        copy[rows].copy_(tensor[rows])
        _give_back(tensor[rows])
    return copy


def equal(one, other):
    """Whether two mapped tensors hold the same values, compared piece by piece."""
    if one.shape != other.shape:
        return False
    if one.data_ptr() == other.data_ptr():                      # one storage under two names, as in a .bin
        return True
    for rows in _pieces(one):
        same = torch.equal(one[rows].float(), other[rows].float())
        _give_back(one[rows])
        _give_back(other[rows])
        if not same:
            return False
    return True


def _pieces(tensor):
    """Slices of a tensor's rows, PIECE_BYTES or so each."""
    count = max(1, PIECE_BYTES // max(1, tensor[:1].nbytes))
    return [slice(start, start + count) for start in range(0, len(tensor), count)]


def _give_back(source):
    """Tell the system that the file's pages under this tensor may leave memory; they are read again if
    needed.  Only whole pages, and only on Linux: elsewhere they stay until memory is short."""
    if sys.platform == "linux":
        first = -(-source.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (source.data_ptr() + source.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
        if length > 0:
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def save_tensors(tensors, path):
    """safetensors' save_file, but a full disk is an OSError, as it is elsewhere."""
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from None


def write_tensors(folder, tensors, shard_bytes):
    """Write [(name, tensor), ...] as model.safetensors, or as shards of at most shard_bytes and their index
    (a larger tensor has a shard to itself).  All is written aside before anything there is touched; stopped
    between two renames, a folder of shards has no index, and so is no model rather than a mixture of two.
    Raises OSError if the disk refuses."""
    shards, used = [{}], 0
    for name, tensor in tensors:
        if shards[-1] and used + tensor.nbytes > shard_bytes:
            shards.append({})
            used = 0
        shards[-1][name] = tensor
        used += tensor.nbytes
    names = (["model.safetensors"] if len(shards) == 1 else
             [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)])
    asides = {name: folder / f".{name}.{os.getpid()}.tmp" for name in names}
    try:
        for name, shard in zip(names, shards):
            save_tensors(shard, asides[name])
            with open(asides[name], "rb+") as file:
                os.fsync(file.fileno())
        index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
        index.unlink(missing_ok=True)
        if len(shards) > 1:
            single.unlink(missing_ok=True)
        for name, aside in asides.items():
            os.replace(aside, folder / name)
    finally:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
    for old in folder.glob("model-*-of-*.safetensors"):
        if old.name not in names:
            old.unlink()
    if len(shards) > 1:
        total = sum(tensor.nbytes for shard in shards for tensor in shard.values())
        places = {tensor: name for name, shard in zip(names, shards) for tensor in shard}
        write_json(index, {"metadata": {"total_size": total}, "weight_map": places})
