"""
Several processes, a copy of the model in each, and a share of every batch.
(Not here: a model cut over several cards; each must hold all of it, which adapters on a frozen trunk allow.)

    torchrun --nproc-per-node 4 train_ppo.py ...          a card for each of four processes

    gradient of a batch = sum over processes of the gradient of their shares' sums / count of the whole batch

Every process draws the same batch, takes its share, and divides by the count of the whole; gradients are
added up before they are clipped.  So no mean of means is taken, and all make the same step from the same
weights, as one process would, but for rounding and the masks of dropout.  What is said of a batch (KL,
advantages, what is skipped) is said of the whole, in every process alike; what the reward model's training
measures, each measures for itself.  Process 0 writes.  It has run on CPUs of one machine, by gloo; never on
cards.  With one process nothing here does anything.
"""

import os
import sys
from contextlib import contextmanager, redirect_stdout

import torch
import torch.distributed as dist

TORCHRUN = {"RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}             # what it sets beside WORLD_SIZE


def several():
    return dist.is_available() and dist.is_initialized()


def rank():
    return dist.get_rank() if several() else 0


def size():
    return dist.get_world_size() if several() else 1


@contextmanager
def processes(allowed):
    """Join the processes that torchrun started, if it did; all but the first print nothing to stdout.  Raises
    ValueError for what is not written for several."""
    count, missing = os.environ.get("WORLD_SIZE", "1"), TORCHRUN - os.environ.keys()
    if count == "1":
        yield
        return
    if not allowed:
        raise ValueError(f"WORLD_SIZE={count}, but this runs in one process; start it without torchrun")
    if missing or not count.isdigit():
        raise ValueError(f"WORLD_SIZE={count} without {min(missing, default='torchrun')}; start it by "
                         "torchrun, or unset WORLD_SIZE")
    cards, place = torch.cuda.device_count(), int(os.environ["LOCAL_RANK"])
    if cards and place >= cards:
        raise ValueError(f"more processes than the {cards} cards here (CUDA_VISIBLE_DEVICES= uses none)")
    if cards:
        torch.cuda.set_device(place)
    dist.init_process_group("cuda:nccl,cpu:gloo" if cards else "gloo")
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if rank() else sys.stdout):
        yield
    dist.barrier()                                              # without it a process may abort as it ends
    dist.destroy_process_group()


def span(count):
    """Which of so many are this process's: neighbours, which may have tokens in common."""
    return range(count * rank() // size(), count * (rank() + 1) // size())


def share(items):
    return [items[i] for i in span(len(items))]


def gathered(values, device="cpu"):
    """The lists of all processes, one behind the other; tensors in them, or in their tuples, on `device`."""
    if size() == 1:
        return values
    lists = [None] * size()
    dist.all_gather_object(lists, _moved(values, "cpu"))
    return _moved(sum(lists, []), device)


def _moved(x, device):
    if isinstance(x, torch.Tensor):
        return x.to(device)
    return type(x)(_moved(y, device) for y in x) if isinstance(x, (list, tuple)) else x


def added(numbers):
    """{name: sum over processes}; a process may lack names that others have."""
    sums = {}
    for some in gathered([numbers]):
        for name, value in some.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def from_first(fn):
    """fn() of process 0, which alone calls it; if that fails the others end without a word."""
    if size() == 1:
        return fn()
    box = [None, None]
    if rank() == 0:
        try:
            box[0] = fn()
        except (ValueError, OSError) as error:
            box[1] = error
    dist.broadcast_object_list(box)
    if box[1]:
        raise box[1] if rank() == 0 else SystemExit(2)
    return box[0]


def make_alike(tensors):
    """All processes have the first one's from now on."""
    for tensor in tensors if size() > 1 else ():
        dist.broadcast(tensor.detach(), 0)


def add_up_gradients(parameters):
    """Each gradient becomes the sum over processes; one that no process has stays None."""
    if size() == 1:
        return
    has_P = torch.tensor([float(p.grad is not None) for p in parameters])
    dist.all_reduce(has_P)
    for parameter, has in zip(parameters, has_P.tolist()):
        if has:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
