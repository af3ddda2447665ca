"""The compiler behind engine.mode=compiled: torch.compile with inductor's C++ code, and whether it can be had."""

import shutil
from collections.abc import Callable
from typing import Any


def compiled(function: Callable) -> Callable:
    """The function as one compiled graph for each set of shapes that it is called with."""
    import torch._dynamo
    import torch._inductor.config as inductor

    inductor.compile_threads = 1  # a worker is one process; helpers of the compiler would outlive it
    # One function is compiled for many architectures: the limits are there for programs that recompile by mistake.
    limits: Any = torch._dynamo.config
    for name in ("recompile_limit", "accumulated_recompile_limit", "cache_size_limit", "accumulated_cache_size_limit"):
        if hasattr(limits, name):
            setattr(limits, name, 1 << 20)
    return torch.compile(function, fullgraph=True, dynamic=False)


def has_gpu() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return torch.cuda.is_available()


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    import torch._inductor.config as inductor

    names = inductor.cpp.cxx
    return any(
        name and shutil.which(name.split()[-1]) for name in (names if isinstance(names, tuple | list) else (names,))
    )
