"""Whatever model is added to the configuration keeps the promises on which the engine builds."""

import dataclasses
import re
from functools import cache

import numpy as np
import pytest
import torch
from conftest import needs_compiler
from torch.func import functional_call

from benchmark.asked.conf_files import CONF, choices_of
from benchmark.asked.configs import compose
from benchmark.asked.data import Batches, EvaluationSet
from benchmark.asked.protocol import Engine
from benchmark.asked.recipe import Regularizer
from benchmark.asked.replicas import TRAINED, Replica
from benchmark.asked.streams import Draw
from benchmark.asked.tasks import OPERATIONS
from benchmark.training.engine import Measured, train
from benchmark.training.networks import build, representable
from benchmark.training.steps import Parameters, of_parameters
from benchmark.training.trial import check_program
from benchmark.units import Dense, Impossible

pytestmark = pytest.mark.usefixtures("few_points")
MODELS = [
    name
    for name in choices_of("model")
    if re.match(rf"# @package model\.{name}\n", (CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
]
# MLPs differ by their activation alone: two whose activation has none of its own stand for the others, of which
# `test_units` has the values; all are trained eagerly, and their activations fused.
ALIKE = {name for name in MODELS if name.startswith("mlp_")} - {"mlp_tanh", "mlp_relu", "mlp_prelu", "mlp_rational"}
DISTINCT = [name for name in MODELS if name not in ALIKE]
TASKS = sorted(OPERATIONS)
SIGNS = {"positive": (0.5, 20), "negative": (-20, -0.5), "mixed": (-20, 20)}
RANGES = {"positive": "positive", "negative": "neg_2_1", "mixed": "symmetric"}
# The root of what is negative is not asked; that of a range on both sides of 0 is asked of its positive half.
POSED = [(task, sign) for task in TASKS for sign in SIGNS if (task, sign) != ("sqrt", "negative")]
SHORT = ["protocol.steps=3", "protocol.batch=8", "protocol.evaluation_size=16", "protocol.select=last"]
UNFELT = {
    "mcfc": {"0.Q"},  # shares out among outputs, of which there is one
    "mul_mcfc": {"0.Q"},
    "mul_mcfc_inalu": {"0.Q"},
    "mul_mcfc_real_npu": {"0.Q", "0.g"},  # the gate is of negative inputs
}
# Not defined at 0, where the profile of a range on both sides of it has a point.
POLES = {"nru", "nmru", "product_unit", "hill_space_exp"}
ROUNDED = {"dmu", "dmu_frozen"}  # are evaluated with rounded weights, which a few steps need not change
EXTREMES = [0.0, 1e-30, -1e-30, 1e30, -1e30, torch.inf, -torch.inf]


@cache
def cells():
    """Every model on one task and range, and one model on every task and range that can be posed, by name."""
    every = compose(models=MODELS, tasks=["add"], ranges=["positive"], overrides=SHORT)
    asked = compose(models=["nac"], tasks=[t for t in TASKS if t != "sqrt"], ranges=RANGES.values(), overrides=SHORT)
    roots = compose(models=["nac"], tasks=["sqrt"], ranges=["positive", "symmetric"], overrides=SHORT)
    return {cell.names[:3]: cell for cell in every.cells + asked.cells + roots.cells}


def cell(model, task="add", range="positive"):
    """A model on a task and range, which under the default protocol is the same model on any of them."""
    posed, kind = cells()["nac", task, range], cells()[model, "add", "positive"].specification.model
    return dataclasses.replace(posed, model=model, specification=dataclasses.replace(posed.specification, model=kind))


def network(model, task="add", dtype=torch.float32):
    return build(cell(model, task).specification).to(dtype)


def drawn(net, seeds, dtype=torch.float32):
    return {name: value.to(dtype) for name, value in net.initial(Draw(torch.as_tensor(seeds))).items()}


def random_theta(net, replicas, seed=0):
    """A flat float64 vector of parameters around where they start, and the layout that names them."""
    parameters = Parameters(net, replicas, torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    start = parameters.flat(drawn(net, range(replicas), torch.float64))
    return parameters, start + 0.3 * torch.randn(len(start), generator=generator, dtype=torch.float64)


def points(low, high, *shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).uniform(low, high, shape))


def gradient_and_differences(f, theta, h=1e-6, most=40):
    """The gradient, its slopes along the axes (along `most` random directions if there are more), and differences."""
    theta = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(theta), theta)
    directions = torch.eye(len(theta), dtype=theta.dtype)
    if len(theta) > most:
        directions = torch.randn(most, len(theta), generator=torch.Generator().manual_seed(0), dtype=theta.dtype)
        directions /= directions.norm(dim=1, keepdim=True)
    with torch.no_grad():
        differences = [(f(theta + h * along) - f(theta - h * along)) / (2 * h) for along in directions]
    return gradient, directions @ gradient, torch.stack(differences)


def test_the_suite_knows_every_model():
    assert {"linear", "nac", "nac_mul", "nalu", "mlp_relu"} <= set(MODELS)
    assert {model for model, _, _ in cells()} == set(MODELS)


@pytest.mark.parametrize("task", ["add", "square"])
@pytest.mark.parametrize("model", DISTINCT)
def test_a_network_has_one_output_an_example_and_replica(model, task):
    net = network(model, task)
    x = points(1, 2, 5, 2 if task == "add" else 1, 13).float()
    y = functional_call(net, drawn(net, [0, 1, 2, 3, 4]), (x,))
    assert y.shape == (5, 1, 13)
    assert y.dtype == torch.float32
    assert y.isfinite().all()


@pytest.mark.parametrize("model", DISTINCT)
def test_stacked_replicas_equal_each_alone(model):
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 3)
    stacked, x = parameters.unflat(theta), points(-5, 5, 3, 2, 13)
    together = functional_call(net, stacked, (x,))
    for r in range(3):
        alone = functional_call(net, {name: value[r] for name, value in stacked.items()}, (x[r],))
        assert torch.allclose(alone, together[r], rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("model", DISTINCT)
def test_initial_values_are_given_for_every_parameter(model):
    net = network(model)
    shapes = {name: (4, *parameter.shape) for name, parameter in net.named_parameters()}
    assert {name: tuple(value.shape) for name, value in drawn(net, [0, 1, 2, 3]).items()} == shapes


@pytest.mark.parametrize("model", MODELS)
def test_a_gradient_is_the_slope_of_the_loss(model):
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 2)
    x = points(0.5, 2, 2, 2, 5)

    def loss(theta):
        return (functional_call(net, parameters.unflat(theta), (x,)) - 3).square().mean((-2, -1)).sum()

    gradient, slopes, expected = gradient_and_differences(loss, theta)
    felt = {name for name, part in parameters.unflat(gradient).items() if (part != 0).any()}
    assert set(parameters.names) - felt <= UNFELT.get(model, set())
    assert torch.allclose(slopes, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize("model", DISTINCT)
def test_no_replica_has_a_gradient_from_anothers_loss(model):
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 3)
    theta.requires_grad_()
    loss = functional_call(net, parameters.unflat(theta), (points(0.5, 2, 3, 2, 5),)).square().mean((-2, -1))
    (gradient,) = torch.autograd.grad(loss[1], theta)
    assert (gradient[parameters.owner != 1] == 0).all()
    assert (gradient[parameters.owner == 1] != 0).any()


@pytest.mark.parametrize("model", DISTINCT)
def test_the_sparsity_of_each_replica_is_its_worst_weight(model):
    net = network(model, dtype=torch.float64)
    stacked = drawn(net, range(5), torch.float64)
    sparsity = of_parameters("sparsity", net, stacked)
    assert sparsity.shape == (5,)
    weights = of_parameters("effective_weights", net, stacked)
    for r in range(5):
        sizes = np.concatenate([np.abs(W[r].numpy()).ravel() for W in weights])
        assert sparsity[r].item() == np.minimum(sizes, np.abs(1 - sizes)).max()


@pytest.mark.parametrize("model", DISTINCT)
def test_the_sparsity_regularizer_is_the_mean_distance_to_a_sparse_weight(model):
    if model == "real_npu_modified":  # has its own, see test_units
        return
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 3)
    named = parameters.unflat(theta)
    term = of_parameters("regularizer", net, named, "sparsity")
    assert term.shape == (3,)
    for r in range(3):
        sizes = [W[r].abs().numpy() for W in of_parameters("effective_weights", net, named)]
        assert term[r].item() == pytest.approx(sum(np.minimum(W, np.abs(1 - W)).mean() for W in sizes), rel=1e-12)


@pytest.mark.parametrize("model", DISTINCT)
def test_the_l1_regularizer_is_the_sum_of_all_parameters_sizes(model):
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 3)
    term = of_parameters("regularizer", net, parameters.unflat(theta), "l1")
    assert term.shape == (3,)
    for r in range(3):
        assert term[r].item() == pytest.approx(theta[parameters.owner == r].abs().sum().item(), rel=1e-12)


@pytest.mark.parametrize("model", DISTINCT)
def test_what_is_bounded_is_clamped_once_and_for_all_and_the_rest_is_left_alone(model):
    net = network(model)
    parameters = Parameters(net, 4, torch.device("cpu"))
    theta = 3 * torch.randn(sum(parameters.sizes), generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in parameters.unflat(theta).items()}
    parameters.project(theta)
    once = theta.clone()
    for name, value in parameters.unflat(theta).items():
        assert torch.equal(value, before[name].clamp(*net.bounds.get(name, (-torch.inf, torch.inf))))
    parameters.project(theta)
    assert torch.equal(theta, once)
    for name, value in drawn(net, [0, 1, 2]).items():
        low, high = net.bounds.get(name, (-torch.inf, torch.inf))
        assert low <= value.min() and value.max() <= high


@pytest.mark.parametrize("name", ["sparsity", "l1"])
@pytest.mark.parametrize("model", DISTINCT)
def test_regularizers_pull_at_the_parameters(model, name):
    net = network(model, dtype=torch.float64)
    parameters, theta = random_theta(net, 1)
    gradient, slopes, expected = gradient_and_differences(
        lambda t: of_parameters("regularizer", net, parameters.unflat(t), name).sum(), theta
    )
    assert (gradient != 0).any()
    assert torch.allclose(slopes, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", ["add", "square"])
@pytest.mark.parametrize("model", DISTINCT)
def test_extreme_inputs_never_raise(model, task):
    net = network(model, task)
    stacked = {name: value.requires_grad_() for name, value in drawn(net, [0, 1]).items()}
    x = torch.tensor(EXTREMES)
    x = torch.cartesian_prod(x, x).T if task == "add" else x[None]
    y = functional_call(net, stacked, (x.expand(2, -1, -1),))
    assert y.shape == (2, 1, x.shape[1])
    torch.autograd.grad(y.square().sum(), list(stacked.values()), allow_unused=True)


@cache
def output_unit(model):
    return type(network(model)[-1])


def declaring_unit(model, task):
    """The output unit with one input an operand."""
    options = {key: value for key, value in cell(model, task).specification.model.options.items() if value != TRAINED}
    return output_unit(model)(OPERATIONS[task].operands, 1, **options)


@pytest.mark.parametrize("model", MODELS)
def test_declared_weights_compute_their_operation(model):
    for task, sign in POSED:
        declared, operation = declaring_unit(model, task).ideal(task, sign), OPERATIONS[task]
        if not isinstance(declared, dict):
            impossible = isinstance(declared, Impossible) and re.search(r"[a-z]{3}.*[^.]$", declared.why)
            assert declared is None or impossible, (task, sign)
            continue
        for dtype, tolerance in [(torch.float32, 1e-5), (torch.float64, 1e-12)]:
            unit = declaring_unit(model, task).to(dtype).eval()
            unit.load_state_dict(declared)  # refuses a parameter too many, too few or of another shape
            x = points(*SIGNS[sign], operation.operands, 2000).to(dtype)
            x = x[:, (x.abs() > 0.5).all(0)]
            exact = operation.compute(*x.double())
            scale = x.double().abs().amax(0) if task in ("add", "sub") else exact.abs()
            if dtype is torch.float64:  # the ε of log(|x| + ε) is worth ε/|x| for each operand
                tolerance += 2 * getattr(unit, "epsilon", 0.0) * (2 if task == "square" else operation.operands)
            assert ((unit(x)[0].double() - exact).abs() / scale).max().item() < tolerance, (task, sign)


@pytest.mark.parametrize("model", MODELS)
def test_a_network_can_do_what_its_single_layer_declares(model):
    for task, sign in POSED:
        specification = cell(model, task, RANGES[sign]).specification
        net = build(specification)
        judged = specification.problem.sign_judged
        answer, why = representable(net, specification.problem, judged)
        assert answer in ("yes", "no", "unknown"), (task, sign)
        assert bool(why) == (answer == "no"), (task, sign)
        if len(net) == 1:
            declared = net[0].ideal(task, judged)
            assert (answer == "yes") == isinstance(declared, dict), (task, sign)
            assert (answer == "no") == isinstance(declared, Impossible), (task, sign)


@pytest.mark.parametrize(("task", "range"), [("div", "symmetric"), ("square", "positive")])
@pytest.mark.parametrize("model", MODELS)
def test_a_few_steps_change_the_parameters_and_stay_finite(model, task, range):
    replicas = [Replica(cell(model, task, range), seed) for seed in (0, 1)]
    measured = train(replicas, Engine())
    assert measured.steps.tolist() == [0, 1, 2, 3]
    start = drawn(network(model, task), [0, 1])
    assert {name: value.shape for name, value in measured.parameters.items()} == {
        name: value.shape for name, value in start.items()
    }
    positive = range == "positive" or model != "mul_mcfc"  # whose logarithm of what is negative is nan
    for values in (measured.interpolation, measured.extrapolation, measured.sparsity, measured.profile_error):
        assert len(values) == 2
        poles = model in POLES and range == "symmetric" and values is measured.profile_error
        assert np.isfinite(values).mean() > 0.9 if poles else np.isfinite(values).all() or not positive
    if not positive:
        assert np.isinf(measured.interpolation).all()
        return
    assert all(np.isfinite(value).all() for value in measured.parameters.values())
    for r in (0, 1):
        assert any((value[r] != start[name][r].numpy()).any() for name, value in measured.parameters.items())
    assert (measured.interpolation[:, 0] != measured.interpolation[:, -1]).all() or model in ROUNDED


@pytest.mark.parametrize("model", DISTINCT)
def test_the_first_evaluation_is_of_the_untrained_network(model):
    member = Replica(cell(model), 5)
    measured, net = train([member], Engine()), network(model).eval()
    for name in ("interpolation", "extrapolation"):
        data = EvaluationSet.of_range(name, [member], torch.float32)
        y = functional_call(net, drawn(net, [5]), (data.x,))[0, 0].double()
        expected = (y - data.x[0].double().sum(0)).square().mean().item()
        assert getattr(measured, name)[0, 0] == pytest.approx(expected, rel=1e-4)


REGULARIZED = {"sparsity": Regularizer(0.3), "l1": Regularizer(0.02, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("model", "optimizer", "regularizers"),
    [
        *((model, "adam", REGULARIZED) for model in DISTINCT),
        # With every optimizer, one without clipping and bounds, one that is clipped, one that is bounded.
        *((model, optimizer, {}) for model in ("nalu", "inalu", "nmu") for optimizer in ("rmsprop", "sgd")),
    ],
)
def test_training_is_an_ordinary_torch_loop(model, optimizer, regularizers):
    usual, steps, rate = cell(model).specification, 5, 0.02
    recipe = dataclasses.replace(
        usual.model.recipe, learning_rate=rate, regularizers=regularizers, restart=None, rows=None
    )
    specification = dataclasses.replace(
        usual,
        model=dataclasses.replace(usual.model, recipe=recipe),
        protocol=dataclasses.replace(usual.protocol, dtype="float64", optimizer=optimizer, steps=steps),
    )
    member = Replica(dataclasses.replace(cell(model), specification=specification), 2)
    net = build(specification).double()
    net.load_state_dict({name: value[0] for name, value in drawn(net, [2], torch.float64).items()})
    classes = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
    torchs = classes[optimizer](net.parameters(), lr=rate)
    batches = Batches([member], torch.float64, torch.device("cpu"))
    (x, t), noise = batches(0, steps), batches.noise(0, steps, net.noise_rows)
    for step in range(steps):
        loss = (net(x[step, 0], None, None if noise is None else noise[step, 0]) - t[step, 0]).square().mean()
        if regularizers:
            loss = loss + 0.3 * net.regularizer("sparsity") + 0.02 * step / steps * net.regularizer("l1")
        torchs.zero_grad()
        loss.backward()
        if recipe.clip_value:
            torch.nn.utils.clip_grad_value_(net.parameters(), recipe.clip_value)
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
        torchs.step()
        for name, (low, high) in net.bounds.items():
            net.get_parameter(name).data.clamp_(low, high)
    measured = train([Replica(member.cell, 7), member], Engine())
    for name, parameter in net.named_parameters():
        assert measured.parameters[name][1] == pytest.approx(parameter.detach().numpy(), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("model", DISTINCT)
def test_a_replicas_numbers_are_the_same_bit_for_bit_alone_and_among_others(model):
    own = Replica(cell(model, "mul"), 3)
    company = [
        Replica(cell(model, task, range), seed)
        for task in ("mul", "sub")
        for range in ("positive", "symmetric")
        for seed in (0, 1, 4, 5, 6)
    ]
    alone, together = train([own], Engine()), train([*company[:17], own, *company[17:]], Engine())
    for field in dataclasses.fields(Measured):
        a, b = getattr(alone, field.name), getattr(together, field.name)
        if field.name == "parameters":
            assert {name: value[0].tobytes() for name, value in a.items()} == {
                name: value[17].tobytes() for name, value in b.items()
            }
        elif field.name == "steps":
            assert (a == b).all()
        elif field.name not in ("seconds", "engine", "device"):
            assert np.array_equal(a[0], b[17]), field.name


class EachItsOwn(Dense):
    """A layer whose rows have the activations of those MLPs that others stand for, one each."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        options = [cell(model).specification.model.hidden_options for model in sorted(ALIKE)]
        self.activations = [Dense(inputs, 1, **own).activate for own in options]

    def activate(self, z):
        rows = zip(self.activations, z.split(1, -2), strict=True)
        return torch.cat([activate(row) for activate, row in rows], -2)


@needs_compiler
@pytest.mark.parametrize("model", [*DISTINCT, EachItsOwn.__name__])
def test_a_fused_program_trains_what_torch_does(model, monkeypatch):
    monkeypatch.setattr("benchmark.asked.data.PROFILE_POINTS", 64)  # of fewer, rounding errors are not averaged out
    like = cell("mlp_relu" if model == EachItsOwn.__name__ else model, "mul")
    usual = like.specification
    protocol = dataclasses.replace(usual.protocol, steps=200, evaluate_every=100, batch=24)
    recipe = dataclasses.replace(usual.model.recipe, rows=None)
    # One hidden layer has all that three have, and is compiled in a fraction of the time.
    kind = dataclasses.replace(usual.model, hidden=[3] if usual.model.hidden else [], recipe=recipe)
    if model == EachItsOwn.__name__:
        own = {"hidden": [len(ALIKE)], "hidden_unit": f"{__name__}.{model}", "hidden_options": {}}
        kind = dataclasses.replace(kind, **own)
    specification = dataclasses.replace(usual, protocol=protocol, model=kind)
    replicas = [Replica(dataclasses.replace(like, specification=specification), seed) for seed in range(8)]
    check_program(replicas[0].cell, "cpu")  # what a unit of one's own must pass
    fused, eager = (train(replicas, Engine(mode=mode)) for mode in ("compiled", "eager"))
    assert (fused.engine, eager.engine) == ("compiled", "eager")
    apart = np.zeros(len(replicas))
    for name, value in eager.parameters.items():
        ours, theirs = (values.reshape(len(replicas), -1).astype(float) for values in (fused.parameters[name], value))
        apart = np.maximum(apart, (abs(ours - theirs).max(1) / np.maximum(abs(theirs).max(1), 1e-2)))
    assert (apart < 1e-4).sum() >= len(replicas) - 1, apart
    close = apart < 1e-4
    for name in ("interpolation", "extrapolation", "profile_error", "initial_output"):
        ours, theirs = getattr(fused, name)[close], getattr(eager, name)[close]
        assert np.allclose(
            ours, theirs, rtol=1e-2, atol=1e-3 * np.nanmax(abs(theirs), initial=0, where=theirs < np.inf)
        )
    again = train(replicas[3:4], Engine(mode="compiled", steps_per_call=7))
    assert all(again.parameters[name].tobytes() == value[3:4].tobytes() for name, value in fused.parameters.items())
    for name in ("interpolation", "extrapolation", "sparsity", "profile_error", "plane_error", "initial_output"):
        assert getattr(again, name).tobytes() == getattr(fused, name)[3:4].tobytes(), name
