"""Programs on an NVIDIA GPU: the compiler and the driver, by the bindings that torch's CUDA wheels bring along."""

import ctypes
from ctypes import c_long, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.training.fused.build import CannotBuild, first_error, kept
from benchmark.training.fused.program import Source

# As for the CPU: what is contracted is decided by the text.
FLAGS = ("--std=c++17", "--fmad=false", "--device-as-default-execution-space", "--device-int128", "-w")
THREADS = 128  # of a block, at most: one replica to eight
SIDE_BY_SIDE = 256  # threads whose examples a multiprocessor's own memory must hold, or they lie elsewhere
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


def _about(what: str) -> int:
    """A number that the driver knows of the GPU in use."""
    driver, _ = bindings()
    attribute = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{what}")
    return _done(driver.cuDeviceGetAttribute(attribute, torch.cuda.current_device()))


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


@dataclass(frozen=True)
class Layout:
    """Where one of a program's functions has its numbers.

    inside: what lies in a multiprocessor's own memory: nothing, what examples have in common, or all. words: how many
    numbers a replica has there. groups: replicas of a block.
    """

    inside: int
    words: int
    groups: int

    @classmethod
    def of(cls, source: Source, name: str, room: int) -> "Layout":
        """For the function of this name. room: bytes of that memory."""
        examples, common = source.memory[name]
        fit = lambda words: room // source.itemsize // max(words, 1)
        inside = (fit(common) >= 2) + (fit(common) >= 2 and fit(examples + common) * source.threads >= SIDE_BY_SIDE)
        words = (0, common, examples + common)[inside]
        if source.threads > 16:
            return cls(inside, words, 1)
        apart, most = words + BANKS // 2, THREADS // 16
        if words % BANKS == 0 and words > 0 and fit(apart) >= 2:  # a warp's two replicas use banks of their own
            words = apart
        return cls(inside, words, min(most, fit(words) // 2 * 2) if words else most)

    def outside(self, source: Source, name: str) -> list[int]:
        """How many numbers each replica has elsewhere, of its examples and in common."""
        examples, common = source.memory[name]
        return [examples * (self.inside < 2), common * (self.inside < 1)]


class GpuProgram:
    """A program whose replicas are shared out to all multiprocessors."""

    def __init__(self, source: Source, device: torch.device):
        self.source, self.device = source, device
        self.layouts = layouts(source, _about("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"))
        self.kernels = Kernels(text(source, self.layouts), device)
        self.prepared: dict[str, tuple] = {}

    def train(self, plan: ctypes.Structure, first: int, steps: int) -> None:
        """All the plan's replicas, from this step on."""
        self._launch("train", plan, c_long(first), c_long(steps))

    def evaluate(self, points: ctypes.Structure) -> None:
        """All their outputs, squared errors or sparsity errors."""
        self._launch("evaluate", points)

    def _launch(self, name: str, plan: Any, *numbers: c_long) -> None:
        if name not in self.prepared:
            self.prepared[name] = self._prepare(name, plan.replicas)
        kernel, blocks, threads, shared, arrays = self.prepared[name]
        pointers = [c_void_p(array.data_ptr()) for array in arrays]
        self.kernels.launch(kernel, blocks, threads, shared, plan, *numbers, *pointers)

    def _prepare(self, name: str, replicas: int) -> tuple:
        """A kernel, its blocks, threads and bytes of shared memory of one, and its arrays elsewhere."""
        driver, kernel, layout = self.kernels.driver, self.kernels.kernel(name), self.layouts[name]
        shared, threads = layout.groups * layout.words * self.source.itemsize, layout.groups * self.source.threads
        limit = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _done(driver.cuFuncSetAttribute(kernel, limit, shared))
        together = _done(driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(kernel, threads, shared))
        wanted, places = -(-replicas // layout.groups), max(1, together) * _about("MULTIPROCESSOR_COUNT")
        blocks = -(-wanted // -(-wanted // places))  # all rounds are as full as the others
        dtype = getattr(torch, self.source.dtype)
        arrays = [
            torch.empty(blocks * layout.groups * count, dtype=dtype, device=self.device)
            for count in layout.outside(self.source, name)
        ]
        return kernel, blocks, threads, shared, arrays


def layouts(source: Source, room: int) -> dict[str, Layout]:
    """Of each function."""
    return {name: Layout.of(source, name, room) for name in source.memory}


def text(source: Source, layouts: dict[str, Layout]) -> str:
    """The program's text, told where its numbers lie."""
    told = [
        f"#define {name.upper()}_INSIDE {layout.inside}\n#define {name.upper()}_WORDS {layout.words}\n"
        for name, layout in layouts.items()
    ]
    return "".join(told) + source.text


def check() -> None:
    """Raise CannotBuild unless a program can be compiled and loaded."""
    Kernels('extern "C" __global__ void nothing() {}', torch.device("cuda"))
