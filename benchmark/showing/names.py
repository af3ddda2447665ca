"""How models and tasks are written, and in which order they are shown everywhere."""

import re
from collections.abc import Iterable, Sequence

from benchmark.errors import plain

MODELS = [
    *("linear", "least_squares", "log_least_squares", "monomials"),
    *("mlp_hardtanh", "mlp_sigmoid", "mlp_relu6", "mlp_tanh", "mlp_softsign", "mlp_threshold"),  # they saturate
    *("mlp_tanhshrink", "mlp_hardshrink", "mlp_softshrink"),
    *("mlp_relu", "mlp_leakyrelu", "mlp_prelu"),
    *("mlp_softplus", "mlp_elu", "mlp_selu", "mlp_gelu", "mlp_silu", "mlp_mish", "mlp_snake", "mlp_rational"),
    *("bilinear", "glu", "reglu", "swiglu", "kan"),
    *("nac", "nac_mul", "nalu"),
    *("nau", "nmu", "inalu", "npu", "real_npu", "nru"),
    *("nac_sigma", "nac_nmu", "mnac", "nalu_separate", "gnalu", "snalu", "inalu_shared"),  # relatives of these
    *("nalu_asinh", "nalu_2m", "nalu_ig", "nalu_2mig", "product_unit", "hill_space_add", "hill_space_exp"),
    *("dmu", "dmu_frozen", "eql", "eql_div"),
    *("gated_nau_nmu", "snmu", "real_npu_modified", "naive_npu", "nmru", "mcfc", "mul_mcfc"),
]
LABELS = {
    "nac_mul": "NAC•", "nac_sigma": "NAC•,σ", "nac_nmu": "NAC•,NMU", "gnalu": "G-NALU", "inalu": "iNALU",
    "gated_nau_nmu": "Gated NAU/NMU", "snmu": "sNMU", "mcfc": "MC-FC", "mul_mcfc": "MulMCFC",
    "real_npu": "RealNPU", "naive_npu": "NaiveNPU", "nalu_2m": "NALU2M", "nalu_ig": "NALUIG", "nalu_2mig": "NALU2MIG",
    "product_unit": "Product unit", "hill_space_add": "Hill Space +", "hill_space_exp": "Hill Space ×",
    "dmu": "DMU", "dmu_frozen": "DMU (operands given)", "eql": "EQL", "eql_div": "EQL÷",
    "bilinear": "Bilinear", "reglu": "ReGLU", "swiglu": "SwiGLU", "monomials": "Monomials",
    "least_squares": "Least squares", "log_least_squares": "Log least squares",
    "glu": "GLU", "kan": "KAN",
} | {name: name.upper() for name in ("nac", "mnac", "nalu", "snalu", "nau", "nmu", "npu", "nru", "nmru")}  # fmt: skip
ACTIVATIONS = {name.lower(): name for name in ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU")}
TASKS = {
    "add": "a + b", "sub": "a − b", "mul": "a × b", "div": "a ÷ b",
    "square": "a²", "sqrt": "√a", "identity": "a", "reciprocal": "1/a",
    "sahoo_div": "DIV", "sahoo_f1": "F1", "sahoo_f2": "F2", "sahoo_f3": "F3", "sahoo_f4": "F4",
    "heim_simple": "a + b, a × b, a ÷ b, √a",
}  # fmt: skip
# What one model does, and several do.
VERBS = {
    "add": ("adds", "add"), "sub": ("subtracts", "subtract"), "mul": ("multiplies", "multiply"),
    "div": ("divides", "divide"), "square": ("squares", "square"), "sqrt": ("takes roots", "take roots"),
    "identity": ("passes its input on", "pass their input on"), "reciprocal": ("inverts", "invert"),
    "heim_simple": ("computes all four", "compute all four"),
}  # fmt: skip
COUNTED = ("inputs", "steps", "seeds")  # settings whose names count what their numbers are of
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LATEX = {
    "•": r"$_\bullet$", "∞": r"$\infty$", "−": "$-$", "×": r"$\times$", "÷": r"$\div$", "²": "$^2$",
    "√a": r"$\sqrt{a}$", "–": "--", "σ": r"$\sigma$",
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
} | {character: f"\\{character}" for character in "%_#&${}"}  # fmt: skip


def label(model: str) -> str:
    """The name of a model as papers write it, also at the head of a longer one; an unknown name stays as it is.

    >>> label("mlp_relu"), label("nac_mul"), label("nac_mul_uniform"), label("mine")
    ('MLP ReLU', 'NAC•', 'NAC• uniform', 'mine')
    """
    kind, _, activation = model.partition("_")
    if kind == "mlp":
        return f"MLP {ACTIVATIONS.get(activation, activation.capitalize())}"
    unit = head(model, LABELS)
    return " ".join([LABELS[unit], *model.removeprefix(unit).split("_")[1:]]) if unit else model


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Each name once, the known ones and those they head in their order, the others after them by name.

    >>> ordered(["mine", "nalu", "nac_mul_uniform", "nac_uniform"], MODELS)
    ['nac_uniform', 'nac_mul_uniform', 'nalu', 'mine']
    """
    places = {name: place for place, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (places.get(head(name, places), len(places)), name))


def not_finite(lost: float, seeds: float | None = None) -> str:
    """What stands beside a median: of how many seeds, which it leaves out, the numbers are not finite.

    >>> not_finite(0), not_finite(24), not_finite(24, 25)
    ('', ' (24∞)', ' (24 of 25 ∞)')
    """
    if not lost > 0:
        return ""
    return f" ({lost:.0f}∞)" if seeds is None else f" ({lost:.0f} of {seeds:.0f} ∞)"


def natural(name: str) -> list:
    """A sorting key in which 9 comes before 10.

    >>> sorted(["hidden=[10]", "hidden=[9]"], key=natural)
    ['hidden=[9]', 'hidden=[10]']
    """
    return [
        (0, float(part), "") if part[:1].isdecimal() else (1, 0.0, part) for part in re.split(r"(\d+(?:\.\d+)?)", name)
    ]


def verb(task: str, subjects: int = 1) -> str:
    """What a model, or several, do that have learned a task.

    >>> verb("mul"), verb("mul", 2), verb("mine")
    ('multiplies', 'multiply', 'computes mine')
    """
    return VERBS.get(task, (f"computes {task}", f"compute {task}"))[subjects > 1]


def listed(names: Sequence[str], most: int = 6, last: str = "and") -> str:
    """Names as a sentence lists them, the first `most` of many; last: the word before the last of them.

    >>> listed(["NAC"]), listed(["NAC", "NALU"]), listed(["a", "b", "c", "d"], 2), listed(["a", "b"], last="or")
    ('NAC', 'NAC and NALU', 'a, b and 2 more', 'a or b')
    """
    few = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return f" {last} ".join(filter(None, (", ".join(few[:-1]), *few[-1:])))


def spoken(intervals: str) -> str:
    """Intervals as people say them.

    >>> spoken("[-20, -5] ∪ [5, 20]"), spoken("a [0, inf], b {0, 5, …, 95}"), spoken("[1e-08, 1]")
    ('−20 to −5 or 5 to 20', 'a 0 to ∞, b 0, 5, …, 95', '10⁻⁸ to 1')
    """
    told = re.sub(r"\[([^],]*), ([^]]*)\]", r"\1 to \2", intervals).replace(" ∪ ", " or ").replace("inf", "∞")
    told = re.sub(r"\b1e(-?)\+?0*(\d+)", lambda found: "10" + (found[1] + found[2]).translate(SUPERSCRIPTS), told)
    return re.sub(r"[{}]", "", told).replace("-", "−")


def setting(overrides: str) -> str:
    """What a protocol was changed to, as people say it.

    >>> setting("protocol.inputs=10;protocol.learning_rate=0.1;protocol.steps=100000;model.net.width=8")
    '10 inputs, learning rate = 0.1, 100,000 steps, model.net.width=8'
    >>> setting("")
    'nothing changed'
    """
    told = []
    for part in filter(None, overrides.split(";")):
        name, _, value = part.removeprefix("protocol.").partition("=")
        if name == part.partition("=")[0] or "." in name:  # of a model's own
            told.append(part.removeprefix("protocol."))
        elif name in COUNTED and value.isdecimal():
            told.append(f"{int(value):,} {name}")
        else:
            told.append(f"{spaced(name)} = {value if ',' in value else value.strip('[]')}")
    return ", ".join(told) or "nothing changed"


def spaced(name: str) -> str:
    """A setting's name as words."""
    return name.replace("_", " ")


def head(name: str, known: Iterable[str]) -> str:
    """The longest known name that a name is or begins with, a whole word; "" if there is none."""
    return max((one for one in known if f"{name}_".startswith(f"{one}_")), key=len, default="")


def latex(text: str) -> str:
    """The text, on one line, with its special characters as LaTeX writes them.

    >>> latex("NAC• 98%")
    'NAC$_\\\\bullet$ 98\\\\%'
    """
    # A row that begins with a bracket or a star would be read as an option of the row break before it.
    guard = "{}" if text[:1] in ("[", "*") else ""
    return guard + re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], plain(text))
