"""Replicas do not see each other, and the step is the optimizer's, the schedule's and the streams'."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmark.asked.configs import compose
from benchmark.asked.data import Batches, EvaluationSet, response_points
from benchmark.asked.protocol import Engine
from benchmark.asked.recipe import Regularizer, Restart, Turn
from benchmark.asked.replicas import Replica
from benchmark.asked.streams import Draw
from benchmark.asked.tasks import OPERATIONS, plane_points
from benchmark.errors import UsageError
from benchmark.training.eager import PAD
from benchmark.training.engine import State, predict, saturation, train
from benchmark.training.networks import Network, build
from benchmark.training.steps import Parameters
from benchmark.training.tiles import tiles
from benchmark.units import NAC

CURVES = ("interpolation", "extrapolation", "sparsity")


def row(measured, i):
    return [getattr(measured, name)[i] for name in (*CURVES, "best", "profile_error", "response_answer")] + [
        value[i] for value in measured.parameters.values()
    ]


def same(ours, theirs):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("model", "task", "range_", "overrides"),
    [
        ("nalu", "mul", "symmetric", []),
        ("nac", "sqrt", "symmetric", ["protocol.batch=1"]),
        ("mlp_sigmoid", "identity", "figure1_integers", ["protocol.batch=11"]),
        ("mlp_softplus", "div", "positive", ["protocol.batch=37", "protocol.hidden=[3,1]"]),
        ("nac_mul", "add", "positive", ["protocol.inputs=20", "protocol.hidden=[2]"]),
        ("nalu", "square", "positive", ["protocol.dtype=float64", "protocol.optimizer=rmsprop"]),
    ],
)
def test_a_replica_is_the_same_bit_for_bit_alone_in_company_in_any_order_and_for_any_steps_per_call(
    quick, model, task, range_, overrides
):
    request = quick([model], [task], [range_], [*overrides, "protocol.seeds=70"])
    replicas = request.replicas()
    together = train(replicas, Engine())
    alone = train([replicas[5]], Engine(steps_per_call=1))
    backwards = train(replicas[::-1], Engine(steps_per_call=4))
    assert same(row(together, 5), row(alone, 0))
    for i in (0, 5, 33, 69):
        assert same(row(together, i), row(backwards, 69 - i))


def test_a_replica_is_the_same_beside_other_tasks_and_ranges(quick):
    grid = quick(["nalu"], ["mul", "add", "div"], ["symmetric", "positive"])
    everything = train(grid.replicas(), Engine())
    for i, replica in enumerate(grid.replicas()):
        if replica.seed == 1:
            assert same(row(everything, i), row(train([replica], Engine()), 0))


def test_training_is_torchs_adam_on_the_same_data(quick):
    replica = quick(["nalu"], ["mul"]).replicas()[1]
    specification = replica.cell.specification
    network = build(specification)
    start = network.initial(Draw(torch.tensor([replica.seed])))
    for name, parameter in network.named_parameters():
        parameter.data = start[name][0].float()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    x, t = Batches([replica], torch.float32, torch.device("cpu"))(0, specification.protocol.steps)
    for step in range(specification.protocol.steps):
        optimizer.zero_grad()
        (network(x[step, 0]) - t[step, 0]).square().mean().backward()
        optimizer.step()
    trained = train([replica], Engine())
    selected = compose(
        ["nalu"], ["mul"], ["positive"], overrides=["protocol.select=last", *_numbers(specification.protocol)]
    )
    trained = train([Replica(selected.cells[0], replica.seed)], Engine())
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(torch.as_tensor(trained.parameters[name][0]), parameter.data, rtol=1e-5, atol=1e-7)


def _numbers(protocol):
    return [f"protocol.{k}={getattr(protocol, k)}" for k in ("steps", "batch", "evaluate_every", "evaluation_size")]


def test_a_diverging_replica_leaves_its_neighbours_alone(quick):
    quiet = quick(["nac"], ["add"], ["positive"]).cells[0]
    wild = quick(["nac"], ["add"], ["positive"], ["model.nac.recipe.learning_rate=1e30"]).cells[0]
    calm = [Replica(quiet, seed) for seed in range(3)]
    mixed = train([calm[0], Replica(wild, 0), calm[1], Replica(wild, 1), calm[2]], Engine())
    by_themselves = train(calm, Engine())
    assert all(same(row(mixed, 2 * i), row(by_themselves, i)) for i in range(3))
    poisoned = quick(["nac"], ["square"], ["positive"], ["range.positive.interpolation=[[1e18,1.5e19]]"])
    measured = train(poisoned.replicas(), Engine())
    assert np.isinf(measured.interpolation[:, -1]).all()


def test_a_regularizer_acts_only_once_its_schedule_has_started(quick):
    def trained(*more):
        return train(quick(["linear"], ["add"], overrides=more).replicas(), Engine())

    spelled = "+model.linear.recipe.regularizers={{sparsity:{{weight:10.0,start:{},end:{}}}}}".format
    plain, late, early = trained(), trained(spelled(0.99, 1.0)), trained(spelled(0.0, 0.1))
    assert same(row(plain, 0)[:3], row(late, 0)[:3])
    assert not np.array_equal(plain.interpolation, early.interpolation)


def test_the_selected_step_is_the_best_or_the_last_evaluation(quick):
    best = train(quick(["mlp_relu"], ["add"]).replicas(), Engine())
    assert np.array_equal(best.best, best.interpolation.argmin(1))
    last = train(quick(["mlp_relu"], ["add"], overrides=["protocol.select=last"]).replicas(), Engine())
    assert set(last.best) == {len(last.steps) - 1}


@pytest.mark.parametrize(("select", "evaluation"), [("best", 3), ("sum", 2), ("last", 4)])
def test_an_evaluation_is_selected_by_the_error_inside_or_by_both_or_because_it_is_the_last(select, evaluation):
    theta, state = np.zeros((1, 1)), State(np.zeros((1, 1)), 5)
    for step, (inside, outside) in enumerate([(4, np.inf), (3, 1), (2, 1), (1, 9), (5, np.nan)]):
        state.record((np.array([inside]), np.array([outside]), np.zeros(1)), theta + step, select)
    assert (state.best.item(), state.selected.item()) == (evaluation, evaluation)


def test_stored_parameters_give_back_the_selected_error(quick):
    replica = quick(["mlp_tanh"], ["identity"], ["figure1_integers"], ["protocol.batch=11"]).replicas()[2]
    measured = train([replica], Engine())
    x = np.arange(-20, 21)[None]
    y = predict(replica, {name: value[0] for name, value in measured.parameters.items()}, x)
    assert np.mean((y - x[0]) ** 2) == pytest.approx(measured.extrapolation[0, measured.best[0]], rel=1e-5)


def test_flat_parameters_come_back_as_they_were(quick):
    network = build(quick(["mlp_prelu"], ["add"]).cells[0].specification)
    start = network.initial(Draw(torch.arange(PAD)))
    parameters = Parameters(network, PAD, torch.device("cpu"))
    theta = parameters.flat(start)
    assert all(torch.equal(value, start[name]) for name, value in parameters.unflat(theta).items())
    assert theta.shape == parameters.owner.shape
    assert torch.equal(parameters.unflat(parameters.owner.double())["0.b"][7], torch.full((8, 1), 7.0).double())


def test_tiles_hold_one_architecture_each_and_every_replica_once(quick):
    replicas = quick(["nalu", "mlp_relu"], ["mul", "sqrt"], ["symmetric", "positive"], ["protocol.seeds=40"]).replicas()
    cut = [tile for tile, _ in tiles(replicas, Engine(tile=32), workers=2)]
    assert sorted(r.key for tile in cut for r in tile) == sorted(r.key for r in replicas)
    assert all(len({(r.cell.model, r.cell.specification.problem.inputs) for r in tile}) == 1 for tile in cut)
    assert max(map(len, cut)) <= 32
    work = [len(tile) * sum(a * b for a, b in pairwise(_sizes(tile[0]))) for tile in cut]
    assert work == sorted(work, reverse=True)


@pytest.mark.parametrize(
    ("tasks", "size", "sizes"),
    [(3, 16, [15] * 4), (4, 16, [16] * 5), (6, 16, [12] * 10), (6, 9, [9] * 13 + [3])],  # 6 of 9 would be far fewer
)
def test_those_that_see_the_same_inputs_stay_in_a_tile_if_it_is_not_much_smaller_for_that(quick, tasks, size, sizes):
    overrides = ["protocol.inputs=8", "protocol.hidden=[2]", "protocol.seeds=20"]
    replicas = quick(["nalu"], list(OPERATIONS)[:tasks], ["positive"], overrides).replicas()
    cut = [tile for tile, _ in tiles(replicas, Engine(mode="compiled", device="cpu", tile=size), workers=2)]
    assert sorted(map(len, cut), reverse=True) == sizes
    assert sorted(r.key for tile in cut for r in tile) == sorted(r.key for r in replicas)


def test_whether_a_range_has_an_operand_plane_does_not_hang_on_what_trains_beside_it(quick):
    far = "range.positive={interpolation: [[30, 40]], extrapolation: [[40, 50]]}"
    replicas = quick(["nac"], ["add"], ["symmetric", "positive"], [far]).replicas()
    for tile, engine in tiles(replicas, Engine(mode="eager", device="cpu"), 1):
        points = {replica.cell.range: train(tile, engine).plane_error.shape[-1] for replica in tile}
        assert points in ({"symmetric": 400}, {"positive": 0})


def _sizes(replica):
    specification = replica.cell.specification
    return [specification.problem.inputs, *specification.hidden, 1]


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("nalu", []),
        ("mlp_prelu", ["protocol.optimizer=rmsprop", "protocol.select=last"]),
        ("mlp_relu", ["protocol.learning_rate=1e30"]),  # diverges
    ],
)
def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(quick, checkpoint, model, overrides):
    replicas = quick([model], ["mul"], ["positive", "symmetric"], [*overrides, "protocol.seeds=20"]).replicas()
    seen = []
    whole = train(replicas, Engine(), checkpoint=checkpoint)
    assert len(checkpoint.saved) == 2  # after 2 and 4 of 6 steps
    resumed = train(replicas, Engine(), lambda steps, solved: seen.append(steps), checkpoint)
    assert len(checkpoint.saved) == 2 + 1
    assert seen == [2 * 40, 4 * 40]
    assert all(same(row(whole, i), row(resumed, i)) for i in range(40))
    for name in ("initial_output", "initial_saturation"):
        assert np.array_equal(getattr(whole, name), getattr(resumed, name))
    assert resumed.seconds > checkpoint.saved[0]["seconds"]


@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_an_infinite_error_is_infinite(quick, can_compile, mode):
    far = "range.positive.extrapolation=[[1e30,1e31]]"  # whose products no float32 holds
    measured = train(quick(["nmu"], ["add"], overrides=[far]).replicas(), Engine(mode=mode))
    assert np.isinf(measured.extrapolation).all() and np.isfinite(measured.interpolation).all()


def test_a_gpus_tiles_are_of_one_size_whoever_is_in_them(quick, monkeypatch):
    monkeypatch.setattr("benchmark.training.tiles.has_gpu", lambda: True)
    sizes = {
        definite.tile
        for seeds in (3, 700)
        for _, definite in tiles(quick(overrides=[f"protocol.seeds={seeds}"]).replicas(), Engine(device="cuda"), 1)
    }
    assert len(sizes) == 1
    little, long = quick().replicas(), quick(overrides=["protocol.steps=1_000_000"]).replicas()
    assert [tiles(replicas, Engine(mode="eager"), 1)[0][1].device for replicas in (little, long)] == ["cpu", "cuda"]


def test_a_gpu_that_is_not_there_is_refused(quick, monkeypatch):
    monkeypatch.setattr("benchmark.training.tiles.has_gpu", lambda: False)
    with pytest.raises(UsageError, match="needs a GPU"):
        tiles(quick().replicas(), Engine(device="cuda"), 1)
    assert tiles(quick().replicas(), Engine(), 1)[0][1].device == "cpu"


def changed(quick, overrides, **recipe):
    """Six replicas of NALU with this recipe."""
    replicas = quick(overrides=["protocol.seeds=6", *overrides]).replicas()
    usual = replicas[0].cell.specification
    model = replace(usual.model, recipe=replace(usual.model.recipe, **recipe))
    cell = replace(replicas[0].cell, specification=replace(usual, model=model))
    return [replace(replica, cell=cell) for replica in replicas]


def test_a_replica_that_gets_nowhere_starts_anew_from_other_parameters(quick, checkpoint):
    overrides = ["protocol.select=last", "protocol.evaluate_every=1"]
    replicas = changed(quick, overrides, learning_rate=1e-12, restart=Restart(after=1.5, above=0.0))
    measured = train(replicas, Engine(), checkpoint=checkpoint)
    network = build(replicas[0].cell.specification)
    # Two evaluations make the halves: steps 1 and 2, then 3 and 4.
    for attempt, step in ((0, 2), (1, 3), (1, 4), (2, 5), (2, 6)):
        start = network.initial(Draw(torch.arange(6), attempt))
        data = EvaluationSet.of_range("interpolation", replicas, torch.float32)
        y = torch.func.functional_call(
            network, {name: value.float() for name, value in start.items()}, (data.x[data.set_of],)
        )
        expected = (y[:, 0].double() - data.t[data.target_of]).square().mean(-1).numpy()
        assert measured.interpolation[:, step] == pytest.approx(expected, rel=1e-4)
    for name, value in network.initial(Draw(torch.arange(6), 2)).items():
        assert measured.parameters[name] == pytest.approx(value.numpy(), rel=1e-6)
    assert same(row(measured, 3), row(train([replicas[3]], Engine()), 0))
    assert same(row(measured, 3), row(train(replicas, Engine(), checkpoint=checkpoint), 3))


def test_a_replica_that_improves_or_is_good_enough_does_not_start_anew(quick):
    for recipe in (
        {"learning_rate": 0.05, "restart": Restart(after=1.5, above=0.0)},
        {"learning_rate": 1e-12, "restart": Restart(after=1.5, above=1e3)},
        {"learning_rate": 1e-12, "restart": Restart(after=1.0, above=0.0)},
    ):
        overrides = ["protocol.steps=20", "protocol.evaluate_every=10"]
        with_ = train(changed(quick, overrides, **recipe), Engine())
        without = train(changed(quick, overrides, **recipe | {"restart": None}), Engine())
        assert all(same(row(with_, i), row(without, i)) for i in range(6))


def test_a_regularizer_may_act_on_replicas_below_an_error_only(quick):
    never, always, unconditional, none = (
        train(changed(quick, [], regularizers=terms), Engine())
        for terms in (
            {"l1": Regularizer(10.0, below=1e-30)},
            {"l1": Regularizer(10.0, below=1e30)},
            {"l1": Regularizer(10.0)},
            {},
        )
    )
    assert all(same(row(never, i), row(none, i)) for i in range(6))
    assert all(same(row(always, i), row(unconditional, i)) for i in range(6))
    assert not any(same(row(always, i), row(none, i)) for i in range(6))


def test_a_regularizer_may_act_on_the_hidden_layers_or_on_the_output(quick):
    trained = {
        layers: train(changed(quick, ["protocol.hidden=[2]"], regularizers=terms), Engine()).parameters
        for layers, terms in {
            "none": {},
            "all": {"l1": Regularizer(10.0)},
            "hidden": {"l1": Regularizer(10.0, layers="hidden")},
            "output": {"l1": Regularizer(10.0, layers="output")},
        }.items()
    }
    size = {layers: {name[0]: np.abs(p).sum() for name, p in named.items()} for layers, named in trained.items()}
    assert max(size["hidden"]["0"], size["all"]["0"]) < min(size["none"]["0"], size["output"]["0"])
    assert max(size["output"]["1"], size["all"]["1"]) < min(size["none"]["1"], size["hidden"]["1"])


MINIMAL = [
    *("protocol.steps=60", "protocol.samples=64", "protocol.evaluate_every=5", "protocol.dtype=float64"),
    *("protocol.optimizer=rmsprop_tensorflow", "protocol.learning_rate=0.05", "protocol.select=last"),
]


def trained_by_the_minimal_tasks_rules(replica, recipe):
    """Schlör et al. 2020 as one network and one loop; a restart is looked for every ten steps. Parameters, restarts."""
    network, protocol = build(replica.cell.specification), replica.cell.specification.protocol
    theta = {name: value[0] for name, value in network.initial(Draw(torch.tensor([replica.seed]))).items()}
    squares = {name: torch.ones_like(value) for name, value in theta.items()}
    turns = [turn.parameters for turn in recipe["turns"] for _ in range(turn.steps)]
    regularizer, restart = recipe["regularizers"]["saturation"], recipe["restart"]
    batches, losses, attempts = Batches([replica], torch.float64, torch.device("cpu")), [], 0

    def update(value, names):
        gradients = dict(zip(theta, torch.autograd.grad(value, list(theta.values())), strict=True))
        for name in names:
            g = gradients[name].clamp(-recipe["clip_value"], recipe["clip_value"])
            squares[name] = 0.9 * squares[name] + 0.1 * g**2
            theta[name] = theta[name].detach() - 0.05 * g / (squares[name] + 1e-10).sqrt()

    for step in range(protocol.steps):
        x, t = (values[0, 0] for values in batches(step % 4, 1))  # 64 examples in batches of 16
        theta = {name: value.detach().requires_grad_() for name, value in theta.items()}
        error = (torch.func.functional_call(network, theta, (x,)) - t).square().mean()
        update(error, [name for name in theta if name.removeprefix("0.") in turns[step % len(turns)]])
        if step >= regularizer.start and error < regularizer.below:
            theta = {name: value.detach().requires_grad_() for name, value in theta.items()}
            pull = sum(torch.clamp(torch.minimum(-v, v) + 20, min=0).mean() for v in theta.values())
            update(regularizer.weight * pull, list(theta))
        losses.append(error.item())
        if (step + 1) % 10 == 0 and step + 1 < protocol.steps and len(losses) > restart.after:
            first, second = np.split(np.array(losses), [len(losses) // 2])
            if first.mean() <= second.mean() + second.std() and second.mean() > restart.above:
                losses, attempts = [], attempts + 1
                draw = Draw(torch.tensor([replica.seed]), attempts)
                theta = {name: draw.uniform(tuple(value.shape), -2, 2)[0] for name, value in theta.items()}
    return theta, attempts


def test_turns_separate_regularizers_and_restarts_by_batch_errors_are_the_minimal_tasks(quick, checkpoint):
    recipe = {
        "clip_value": 0.1,
        "regularizers": {"saturation": Regularizer(0.05, start=20, end=20, below=2.0)},
        "separate": True,
        "restart": Restart(after=9.5, above=2.0, every=10, errors="batch", uniform=2.0),
        "turns": [Turn(3, ["W_hat", "M_hat"]), Turn(2, ["G"])],
    }
    replicas = changed(quick, [*MINIMAL, "range=positive"], **recipe)
    measured = train(replicas, Engine(), checkpoint=checkpoint)
    attempts = []
    for i, replica in enumerate(replicas):
        expected, count = trained_by_the_minimal_tasks_rules(replica, recipe)
        attempts.append(count)
        for name, value in expected.items():
            np.testing.assert_allclose(measured.parameters[name][i], value.detach(), rtol=1e-9)
    assert 0 < sum(attempts) < 5 * len(replicas)  # some start anew, not all whenever they may
    resumed = train(replicas, Engine(), checkpoint=checkpoint)
    assert all(same(row(measured, i), row(resumed, i)) for i in range(6))


def test_a_fixed_set_comes_again_in_every_epoch_and_a_fresh_one_never(quick):
    device = torch.device("cpu")
    fixed = quick(overrides=["protocol.samples=48"]).replicas()
    batches = Batches(fixed, torch.float32, device)
    x, t = batches(0, 7)
    assert torch.equal(x[:3], x[3:6])
    assert torch.equal(t[6], t[0])
    assert not torch.equal(x[0], x[1])
    assert torch.equal(batches(4, 1)[0][0], x[1])
    fresh, _ = Batches(quick().replicas(), torch.float32, device)(0, 7)
    assert torch.equal(fresh[:3], x[:3])
    assert not torch.equal(fresh[3], fresh[0])


def test_what_was_half_done_stays_one_tile(quick):
    replicas = quick(overrides=["protocol.seeds=90"]).replicas()
    cut = [tile for tile, _ in tiles(replicas, Engine(tile=32), 2, replicas, [replicas[10:60]])]
    assert sorted(map(len, cut)) == [8, 32, 50]
    assert replicas[10:60] in cut
    assert sorted(r.seed for tile in cut for r in tile) == list(range(90))


def test_progress_adds_up_to_the_replica_steps(quick):
    request = quick()
    seen = []
    train(request.replicas(), Engine(), lambda steps, solved: seen.append(steps))
    assert sum(seen) == 3 * 6


def test_the_learning_rate_is_a_replicas_own(quick):
    cells = [
        quick(["nac"], ["add"], overrides=[f"model.nac.recipe.learning_rate={rate}"]).cells[0] for rate in (0.01, 0.1)
    ]
    both = train([Replica(cell, 0) for cell in cells], Engine())
    assert same(row(both, 1), row(train([Replica(cells[1], 0)], Engine()), 0))
    assert not np.array_equal(both.interpolation[0], both.interpolation[1])


def test_data_seed_sets_the_data_apart_from_the_initialisation(quick):
    cell = quick(["nac"], ["add"], overrides=["protocol.data_seed=7"]).cells[0]
    x, _ = Batches([Replica(cell, 0), Replica(cell, 1)], torch.float32, torch.device("cpu"))(0, 2)
    assert torch.equal(x[:, 0], x[:, 1])
    measured = train([Replica(cell, 0), Replica(cell, 1)], Engine())
    assert not np.array_equal(measured.interpolation[0], measured.interpolation[1])


def test_the_engine_settings_change_no_number(quick):
    request = quick()
    engines = [Engine(), Engine(steps_per_call=1), Engine(steps_per_call=5), replace(request.engine, mode="eager")]
    first, *others = [train(request.replicas(), engine) for engine in engines]
    assert all(same(row(first, i), row(other, i)) for other in others for i in range(3))


def test_what_is_measured_before_training_is_what_the_drawn_parameters_give(quick):
    request = quick(["nalu"], ["mul"], ["symmetric"])
    measured = train(request.replicas(), Engine())
    network = build(request.cells[0].specification)
    data = EvaluationSet.of_range("interpolation", request.replicas(), torch.float32)
    start = {name: value.float() for name, value in network.initial(Draw(torch.arange(3))).items()}
    outputs = torch.func.functional_call(network, start, (data.x[data.set_of],))[:, 0]
    expected = outputs.double().square().mean(-1).sqrt()
    np.testing.assert_allclose(measured.initial_output, expected, rtol=1e-6)
    assert measured.plane_error.shape == measured.plane_target.shape == (3, 400)
    (a, b), chosen = plane_points(), {name: value[1:2] for name, value in measured.parameters.items()}
    np.testing.assert_allclose(measured.plane_target[1], np.abs(a * b), rtol=1e-6)
    replica = request.replicas()[1]
    said = predict(replica, {name: value[0] for name, value in chosen.items()}, np.stack([a, b]))
    np.testing.assert_allclose(measured.plane_error[1], np.abs(said - a * b), rtol=1e-5)
    _, points = response_points(replica.cell.specification.problem)
    said = predict(replica, {name: value[0] for name, value in chosen.items()}, points)
    np.testing.assert_allclose(measured.response_answer[1], said, rtol=1e-5)
    np.testing.assert_allclose(measured.response_target[1], points[0] * points[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "options", "low", "high"),
    [
        ("linear", [], 0, 0),
        ("mlp_tanh", [], 0, 0),
        ("nac", [], 0, 0.02),
        ("nac", ["model.nac.options.initialisation=stable_nalu"], 0.3, 0.6),
    ],
)
def test_saturated_weights_are_those_that_hardly_move_with_their_parameters(quick, model, options, low, high):
    measured = train(quick([model], ["add"], overrides=[*options, "protocol.seeds=50"]).replicas(), Engine())
    assert low <= measured.initial_saturation.mean() <= high


def test_the_saturation_of_a_nac_counts_the_weights_with_small_derivatives():
    W_hat, M_hat = (
        torch.tensor([[[0.0, 9.0, 0.0]], [[9.0, 9.0, 0.5]]]),
        torch.tensor([[[0.0, 9.0, -9.0]], [[9.0, 0.0, 0.0]]]),
    )
    network = Network(NAC(3, 1))
    # Σ |∂W/∂θ| = (1 - tanh²Ŵ) σ(M̂) + |tanh Ŵ| σ(M̂) (1 - σ(M̂)): stuck are (9, 9), (0, -9), and (9, 9) again.
    shares = saturation(network, {"0.W_hat": W_hat, "0.M_hat": M_hat})
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3])
