"""Programs on an NVIDIA GPU: the compiler and the driver, by the bindings that torch's CUDA wheels bring along."""

import ctypes
from ctypes import c_long, c_void_p
from pathlib import Path
from typing import Any

import torch

from benchmark.training.fused.build import CannotBuild, first_error, kept
from benchmark.training.fused.program import Source

# As for the CPU: what is contracted is decided by the text.
FLAGS = ("--std=c++17", "--fmad=false", "--device-as-default-execution-space", "--device-int128", "-w")
LANES = 16
THREADS = 128  # of a block, at most: eight replicas
SIDE_BY_SIDE = 16  # replicas whose data a multiprocessor's own memory must hold, or they lie elsewhere
BANKS = 32  # of that memory, a number wide


def bindings() -> tuple[Any, Any]:
    """NVIDIA's driver and run-time compiler. Raises CannotBuild where they are not there."""
    try:
        from cuda.bindings import driver, nvrtc

        _done(nvrtc.nvrtcVersion())
    except (ImportError, RuntimeError, OSError) as problem:
        told = f"{problem}; torch's CUDA wheels bring cuda-bindings and NVRTC from 2.10 on"
        raise CannotBuild(f"no compiler for the GPU is found ({told})") from None
    return driver, nvrtc


def _done(answer: tuple) -> Any:
    """What a call of the bindings returns besides its code. Raises RuntimeError with the code's name if it failed."""
    code, *values = answer
    if int(code):
        raise RuntimeError(code.name)
    return values[0] if values else None


def machine_code(text: str, architecture: str) -> bytes:
    """The text compiled for an architecture, such as sm_90, from the cache where it has it.

    Raises CannotBuild with what the compiler said in one line.
    """
    _, nvrtc = bindings()
    flags = (*FLAGS, f"-arch={architecture}")

    def make(made: Path) -> None:
        program = _done(nvrtc.nvrtcCreateProgram(text.encode(), b"program.cu", 0, [], []))
        code, *_ = nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags])
        if int(code):
            log = bytearray(_done(nvrtc.nvrtcGetProgramLogSize(program)))
            _done(nvrtc.nvrtcGetProgramLog(program, log))
            said = first_error(log.decode(errors="replace").strip("\0")) or code.name
            raise CannotBuild(f"the GPU's compiler does not work: {said}")
        image = bytearray(_done(nvrtc.nvrtcGetCUBINSize(program)))
        _done(nvrtc.nvrtcGetCUBIN(program, image))
        made.write_bytes(image)

    version = [str(part) for part in nvrtc.nvrtcVersion()[1:]]
    return kept("\0".join([text, *version, *flags]), ".cubin", make, Path.read_bytes)


class Kernels:
    """A text's functions on a GPU."""

    def __init__(self, text: str, device: torch.device):
        self.driver, _ = bindings()
        self.device = device
        torch.cuda.synchronize(device)  # its context is made and current from here on
        major, minor = torch.cuda.get_device_capability(device)
        image = machine_code(text, f"sm_{major}{minor}")
        try:
            self.module = _done(self.driver.cuModuleLoadData(image))
        except RuntimeError as problem:
            raise CannotBuild(f"what the GPU's compiler makes does not work: {problem}") from None

    def kernel(self, name: str) -> Any:
        """One of them."""
        return _done(self.driver.cuModuleGetFunction(self.module, name.encode()))

    def launch(self, kernel: Any, blocks: int, threads: int, shared: int, *values: Any) -> None:
        """Run it to its end. threads: of a block. shared: bytes of memory of a block. values: ctypes' numbers."""
        addresses = (c_void_p * len(values))(*map(ctypes.addressof, values))
        stream = torch.cuda.current_stream(self.device)
        sizes = (blocks, 1, 1, threads, 1, 1, shared)
        _done(self.driver.cuLaunchKernel(kernel, *sizes, stream.cuda_stream, ctypes.addressof(addresses), 0))
        stream.synchronize()


class GpuProgram:
    """A program whose replicas are shared out to all multiprocessors, sixteen threads each."""

    def __init__(self, source: Source, device: torch.device):
        self.source, self.device, self.kernels = source, device, Kernels(source.text, device)
        self.layouts: dict[str, tuple] = {}

    def train(self, plan: ctypes.Structure, first: int, steps: int) -> None:
        """All the plan's replicas, from this step on."""
        self._launch("train", plan, c_long(first), c_long(steps))

    def evaluate(self, points: ctypes.Structure) -> None:
        """All their outputs, squared errors or sparsity errors."""
        self._launch("evaluate", points)

    def _launch(self, name: str, plan: Any, *numbers: c_long) -> None:
        if name not in self.layouts:
            self.layouts[name] = self._layout(name, plan.replicas)
        kernel, groups, blocks, words, arrays = self.layouts[name]
        pointers = [c_void_p(None if array is None else array.data_ptr()) for array in arrays]
        shared = groups * words * self.source.itemsize
        self.kernels.launch(kernel, blocks, groups * LANES, shared, plan, *numbers, *pointers, c_long(words))

    def _layout(self, name: str, replicas: int) -> tuple:
        """A kernel, how many replicas a block has, blocks, each replica's numbers in its multiprocessor's memory, and
        arrays for data, for what examples have in common and for what is kept of each, None where that lies there.
        """
        driver, kernel = self.kernels.driver, self.kernels.kernel(name)
        data, common, lanes = self.source.memory[name]
        about = lambda what: _done(
            driver.cuDeviceGetAttribute(
                getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{what}"), torch.cuda.current_device()
            )
        )
        room = about("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN") // self.source.itemsize
        there = [room // (data + common) >= SIDE_BY_SIDE, room // common >= 2]
        words = data * there[0] + common * there[1]
        words += BANKS // 2 * (words % BANKS == 0 and words > 0)  # the two replicas of a warp use banks of their own
        groups = min(THREADS // LANES, room // words // 2 * 2) if words else THREADS // LANES
        shared = groups * words * self.source.itemsize
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _done(driver.cuFuncSetAttribute(kernel, limit, shared))
        together = _done(driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(kernel, groups * LANES, shared))
        wanted, places = -(-replicas // groups), max(1, together) * about("MULTIPROCESSOR_COUNT")
        blocks = -(-wanted // -(-wanted // places))  # all rounds are as full as the others
        empty = lambda count: torch.empty(
            blocks * groups * count, dtype=getattr(torch, self.source.dtype), device=self.device
        )
        arrays = [None if inside else empty(count) for inside, count in zip(there, (data, common), strict=True)]
        return kernel, groups, blocks, words, [*arrays, empty(lanes)]


def check() -> None:
    """Raise CannotBuild unless a program can be compiled and loaded."""
    Kernels('extern "C" __global__ void nothing() {}', torch.device("cuda"))
