"""Every configuration composes and runs; what cannot be is refused with one sentence."""

import dataclasses
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import pytest

from benchmark.asked.checks import Config
from benchmark.asked.conf_files import CONF, choices_of
from benchmark.asked.configs import compose
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.replicas import Replica
from benchmark.asked.tasks import FORMULAS
from benchmark.errors import UsageError
from benchmark.training.engine import train
from benchmark.training.tiles import tiles

pytestmark = pytest.mark.usefixtures("few_points")
ARITHMETIC = ["add", "sub", "mul", "div", "square", "sqrt"]


def trained(cells):
    """One step of one seed of each of these cells, in as few tiles as can be."""
    replicas = []
    for cell in cells:
        protocol = dataclasses.replace(
            cell.specification.protocol,
            steps=1,
            evaluate_every=1,
            evaluation_size=8,
            batch=min(cell.specification.protocol.batch, 8),
        )
        quick = dataclasses.replace(cell, specification=dataclasses.replace(cell.specification, protocol=protocol))
        replicas.append(Replica(quick, 0))
    for tile, _ in tiles(replicas, Engine(mode="eager"), 1):
        train(tile, Engine())


def showing(cells):
    """As many of these cells as show every recipe, task and range."""
    seen = set()
    for cell in cells:
        recipe = dataclasses.replace(cell.specification.model.recipe, learning_rate=1.0)
        shown = {*enumerate((repr(recipe), cell.specification.protocol.optimizer, cell.task, cell.range))}
        if not seen >= shown:
            seen |= shown
            yield cell


def test_the_options_are_those_of_the_design():
    bounded, linear = "hardtanh sigmoid relu6 tanh softsign threshold", "relu leakyrelu prelu softplus elu selu"
    shrinking, newer = "tanhshrink hardshrink softshrink", "gelu silu mish"
    mlps = {f"mlp_{name}" for names in (bounded, linear, shrinking, newer) for name in names.split()}
    assert mlps | {"linear", "nac", "nac_mul", "nalu", "mlps", "all"} <= set(choices_of("model"))
    assert set(choices_of("task")) == {*ARITHMETIC, "identity", "reciprocal", "arithmetic", *FORMULAS}
    ranges = (
        "symmetric positive neg_20_10 neg_2_1 neg_1p2_1p1 neg_0p2_0p1 mixed_2 pos_0p1_0p2 pos_1p1_1p2 pos_10_20 pos_0_1"
    )
    assert {*ranges.split(), "mistry2022", "madsen2020"} <= set(choices_of("range"))


@pytest.mark.parametrize(("name", "count"), [("figure1", 15), ("mlps", 20), ("all", 63)])
def test_every_group_of_models_composes(name, count):  # that each model does and trains is of the contract suite
    names = {cell.model for cell in compose([name], ["add"], ["positive"]).cells}
    assert len(names) == count and names <= set(choices_of("model")) - {name}


def test_every_task_composes_and_trains():
    names = choices_of("task")
    cells = compose(["linear"], [name for name in names if name != "arithmetic"]).cells
    assert {cell.task for cell in cells} == set(names) - {"arithmetic"}
    assert {cell.task for cell in compose(["linear"], ["arithmetic"]).cells} == set(ARITHMETIC)
    trained(cells)


PRESETS = {"mistry2022": 9, "mistry2022_signs": 5, "madsen2020": 7, "schloer2020": 7, "small": 9}
OTHERS = {*PRESETS, "figure1_integers", "figure1_uniform", "tutorial"}  # those of one experiment
RANGES = [name for name in choices_of("range") if name not in OTHERS]
OF_OPERANDS = [name for name in RANGES if "_by_" in name]
SMALL = [name for name in RANGES if name.startswith("small")]


@pytest.mark.parametrize(
    ("names", "tasks", "overrides"),
    [
        (sorted({*RANGES} - {*OF_OPERANDS, *SMALL, "heim2020"}), ["add", "div", "identity"], []),
        (OF_OPERANDS, ["add", "div"], []),
        (SMALL, ["add", "div", "identity"], ["task.div.margin=0"]),
        (["heim2020"], ["heim_simple"], ["task.heim_simple.margin=0"]),  # whose grid keeps a divisor from 0
    ],
    ids=["usual", "of operands", "small", "heim2020"],
)
def test_every_range_composes_and_trains(names, tasks, overrides):
    cells = compose(["linear"], tasks, names, overrides=overrides).cells
    assert {(cell.task, cell.range) for cell in cells} == {*product(tasks, names)}
    trained(cells)


@pytest.mark.parametrize(("name", "size"), PRESETS.items())
def test_a_preset_is_as_many_of_these_ranges_as_were_published(name, size):
    ranges = {cell.range for cell in compose(["linear"], ["add"], [name]).cells}
    assert len(ranges) == size and ranges <= {*RANGES}


def test_an_experiment_can_be_narrowed_to_tasks_that_it_leaves_as_they_are():
    request = compose(experiment="schloer2020_minimal", tasks=["mul"])
    assert {cell.task for cell in request.cells} == {"mul"}
    divided = compose(experiment="schloer2020_minimal", tasks=["div"]).cells[0]
    assert divided.specification.task.margin == 0
    with pytest.raises(UsageError, match=r"task\.div"):
        compose(experiment="schloer2020_minimal", tasks=["mul"], overrides=["task.div.margin=0.1"])


@pytest.mark.parametrize(
    ("experiment", "models"),
    [
        ("heim2020_npu", ["nmu_nau"]),
        ("heim2020_npu", ["nalu", "npu_nau"]),
        ("learning_rate", ["nac"]),
        ("madsen2020_gate", ["nalu_after_nau"]),
    ],
)
def test_an_experiments_own_models_are_chosen_like_any_other_and_none_else_is_trained(experiment, models):
    chosen, whole = compose(models, experiment=experiment).cells, compose(experiment=experiment).cells
    assert {cell.model for cell in chosen} == {*models}
    if models != ["nac"]:  # which is not the experiment's
        digests = {cell.names: cell.specification.digest for cell in whole}
        assert all(digests[cell.names] == cell.specification.digest for cell in chosen)
    with pytest.raises(UsageError, match=r"no model 'nmu_nab' \(did you mean nmu"):
        compose(["nmu_nab"], experiment=experiment)
    with pytest.raises(UsageError, match="no model 'nmu_nau'"):
        compose(["nmu_nau"], ["add"])  # which is no experiment's here


def test_a_results_folder_stays_where_its_name_was_written_and_a_tilde_is_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    asked = [compose(["nac"], ["add"], results="here"), compose(["nac"], ["add"], overrides=["results=here"])]
    monkeypatch.chdir("/")
    assert {request.results for request in asked} == {tmp_path / "here"}
    assert compose(["nac"], ["add"], results="~/here").results == tmp_path / "home" / "here"


@cache
def of_experiment(name):
    return compose(experiment=name)


OF_THE_DEFAULT_PROTOCOL = {"headline", "initialisation", "learning_rate"}


@pytest.mark.parametrize("name", choices_of("experiment"))
def test_every_experiment_composes_and_trains_under_its_own_protocol(name):
    request = of_experiment(name)
    trained(showing(request.cells))
    assert request.told == []
    assert request.results == Path(f"results/{name}").absolute()
    has_budgets = f"{name}/paper" in choices_of("protocol")
    own = f"{name}/paper" if has_budgets else "default" if name in OF_THE_DEFAULT_PROTOCOL else name
    assert {cell.protocol for cell in request.cells} == {own}


def test_every_protocol_serves_an_experiment_or_is_the_default():
    names = {protocol.partition("/")[0] for protocol in choices_of("protocol")}
    assert names == {"default", *choices_of("experiment")} - OF_THE_DEFAULT_PROTOCOL
    parts = [protocol.partition("/") for protocol in choices_of("protocol")]
    budgets = {name: {budget for own, _, budget in parts if own == name} for name in names}
    assert all(of in ({""}, {"paper", "quick"}) for of in budgets.values())


@pytest.mark.parametrize("protocol", [p for p in choices_of("protocol") if p.endswith("/quick")])
def test_a_quick_budget_is_the_published_one_in_fewer_steps_with_schedules_in_proportion(protocol):
    experiment = protocol.partition("/")[0]
    whole = of_experiment(experiment).cells
    here = whole[0].range  # a schedule is the same on every range
    cells = [cell for cell in whole if cell.range == here]
    shorter = compose(experiment=experiment, protocol=protocol, ranges=[here]).cells
    assert {cell.protocol for cell in cells} == {protocol.replace("quick", "paper")}
    assert {cell.protocol for cell in shorter} == {protocol}
    paper, quick = (
        {(cell.names[:3], cell.specification.problem): cell.specification for cell in of} for of in (cells, shorter)
    )

    def strengths(specification):
        steps = specification.protocol.steps
        terms = specification.model.recipe.regularizers.items()
        at = (0.0, 0.1, 0.25, 0.45, 0.65, 0.9)
        return {name: [term.strength(round(part * steps), steps) for part in at] for name, term in terms}

    assert set(quick) == set(paper)
    for key, short in quick.items():
        assert short.protocol.steps < paper[key].protocol.steps
        ours, published = strengths(short), strengths(paper[key])
        assert set(ours) == set(published)
        assert all(ours[name] == pytest.approx(published[name], rel=1e-6) for name in ours)


def test_the_protocols_yaml_and_its_class_name_the_same_keys():
    from omegaconf import OmegaConf

    shipped = OmegaConf.to_container(OmegaConf.load(CONF / "protocol" / "default.yaml"))
    assert shipped == dataclasses.asdict(Protocol())
    config = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    assert config["engine"] == dataclasses.asdict(Engine())
    assert set(config) - {"defaults", "hydra"} <= {field.name for field in dataclasses.fields(Config)}


def test_both_default_ranges_are_used_and_lists_make_one_grid():
    request = compose(["nac", "nalu"], ["add", "mul"])
    assert len(request.cells) == 8
    assert len(request.replicas()) == 200


def test_overrides_become_part_of_the_row_of_those_they_concern_in_one_spelling():
    given = ["protocol.steps=2_000", "model.nac.recipe.learning_rate=.01", "range.positive.interpolation=[[1.0,3]]"]
    request = compose(["nac", "nalu"], ["add"], overrides=[*given, "engine.workers=1", "protocol.seeds=3"])
    rows = {(cell.model, cell.range): cell.overrides for cell in request.cells}
    assert rows["nalu", "symmetric"] == "protocol.steps=2000"
    assert rows["nac", "positive"] == (
        "model.nac.recipe.learning_rate=0.01;protocol.steps=2000;range.positive.interpolation=[[1,3]]"
    )


def test_the_digest_depends_on_what_decides_numbers_and_on_nothing_else():
    def digest(*overrides, model="nalu"):
        return compose([model], ["mul"], ["positive"], overrides=overrides).cells[0].specification.digest

    assert digest() == digest("protocol.seeds=100") == digest("engine.workers=1", "results=elsewhere")
    changed = ["protocol.steps=10", "protocol.epsilon=0.1", "protocol.dtype=float64", "protocol.data_seed=1"]
    changed += ["protocol.hidden=[2]", "model.nalu.recipe.learning_rate=0.1", "range.positive.extrapolation=[[2,7]]"]
    assert len({digest(), digest(model="nac"), *map(digest, changed)}) == len(changed) + 2


NORMAL = "range.positive.interpolation={law: normal, location: 1, scale: 1, intervals: [[0, 3]]}"
LEAVES = ["law: normal", "location: 1.0", "intervals: [[0, 3e0]]"]


def beside(**spellings):
    """The spellings of several settings at once, each of them as often as the others have more."""
    keys = [key.replace("__", ".") for key in spellings]
    many = max(map(len, spellings.values()))
    each = [[texts[i % len(texts)] for texts in spellings.values()] for i in range(many)]
    return [[f"{key}={text}" for key, text in zip(keys, texts, strict=True)] for texts in each]


@pytest.mark.parametrize(
    "spellings",
    [
        beside(
            range__positive__interpolation=[
                "[[-3,3]]", "[[-3.0,3.0]]", "[[-3e0,+3]]", "[[-0.3e1,30e-1]]", "[['-3','3']]",
                "{intervals: [[-3,3]]}", "{law: uniform, intervals: [[-3,3.0]], coin: false}",
            ],
            protocol__threshold=["1", "1.0", "1e0", "10e-1"],
            protocol__learning_rate=["1", "1.0", "'1e0'"],
            protocol__steps=["2000", "2_000", "'2000'"],
            model__nalu__options__epsilon=["1", "1.0", "1e0"],
        ),
        beside(protocol__epsilon=["0.1", "1e-1", "'0.1'", ".1"], model__nalu__options__epsilon=["0", "0.0", "-0.0"]),
        [[f"+range.positive.profile={text}"] for text in ("[[0,7]]", "[[-0.0,7.0]]")],
        [[NORMAL], [f"range.positive.interpolation={{{', '.join(LEAVES)}}}"]],
        [["range.positive.interpolation.0=[1,3]"], ["range.positive.interpolation=[[1,3]]"]],
        [["task=square", f"range.positive.interpolation={{axes: {axes}, count: 9}}"] for axes in (
            "[[1,1]]", "[[1.,1e0]]",
        )],
        [[f"model.nalu.recipe{text}"] for text in (".learning_rate=2", ".learning_rate=2.0", "={learning_rate: 2e0}")],
        [["+model.nalu.recipe.regularizers={l1: {weight: 1}}"], ["+model.nalu.recipe.regularizers.l1.weight=1.0"]],
        [[], ["protocol.seeds=3"], ["+engine={workers: 2}"], ["results=there"]],
        [["protocol.steps=5"], ["protocol.variants=[{steps: 5}]"]],
    ],
)  # fmt: skip
def test_equal_numbers_are_one_key_and_one_digest_however_they_are_spelled(spellings):
    cells = {
        (cell, cell.specification.digest)
        for overrides in spellings
        for cell in compose(["nalu"], ["mul"], ["positive"], overrides=overrides).cells
    }
    assert len(cells) == 1


def test_a_text_is_no_number_and_a_setting_of_another_model_is_in_no_key():
    text = compose(["nalu"], ["mul"], ["positive"], overrides=["model.nalu.options.initialisation='1'"]).cells[0]
    assert text.overrides == 'model.nalu.options.initialisation="1"'
    asked = ["+protocol.models.nac.hidden=[3]", "+protocol.tasks.add.nac={hidden: [4]}", "+protocol.tasks.add.nalu={}"]
    rows = {(cell.model, cell.task): cell for cell in compose(["nac", "nalu"], ["add", "mul"], overrides=asked).cells}
    assert {row: cell.overrides for row, cell in rows.items()} == {
        ("nac", "add"): "protocol.models.nac.hidden=[3];protocol.tasks.add.nac.hidden=[4]",
        ("nac", "mul"): "protocol.models.nac.hidden=[3]",
        ("nalu", "add"): "protocol.tasks.add.nalu={}",
        ("nalu", "mul"): "",
    }


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["protocol.subset=0.3"], "protocol.subset has no effect: .* there is no protocol.inputs"),
        (["protocol.overlap=0.3"], "there is no protocol.inputs"),
        (["protocol.inputs=10", "protocol.spans=[[0,2],[2,4]]", "protocol.subset=0.3"], "protocol.spans says which"),
        (["task=square", "protocol.inputs=10", "protocol.overlap=0.3"], "square has one operand"),
        (["protocol.threshold=module"], "the rule module is of the arithmetic data set"),
        (["protocol.threshold=0.1", "protocol.epsilon=0.1"], "protocol.threshold is a number itself"),
        (["task=div", "task.div.margin=0", "range.positive.extrapolation=[[-2,2]]", "protocol.epsilon=0.1"],
         "the threshold of div is infinite on positive"),
        (["protocol.steps=10", "protocol.batch=4", "protocol.samples=40"], "the run ends before an example returns"),
        (["task=div", "task.div.margin=0.2", "protocol.inputs=10"], "the divisor is a sum"),
        (["+protocol.models.nac.hidden=[2]"], "no cell of this request is of what it names"),
        (["+protocol.tasks.add.nalu={}"], "no cell of this request is of what it names"),
        (["+model.nalu.hidden_options={epsilon: 1}"], "nalu has no hidden layers"),
        (["+model.nalu.hidden_options={epsilon: 1}", "+model.nalu.hidden=[2]"], "as there is no hidden_unit"),
        (["+model.nalu.recipe.regularizers={l1: {weight: 0, start: 0.5, end: 0.7}}"], "the weight of .* is 0"),
        (["model=least_squares", "protocol.hidden=[2]"], "least_squares is one layer that is solved, not trained"),
        (["model=least_squares", "protocol.optimizer=sgd"], "is solved, not trained"),
        (["model=least_squares", "+model.least_squares.recipe.clip_norm=1"], "is solved, not trained"),
        (["model=least_squares", "+protocol.models.least_squares.recipe.clip_norm=1"], "is solved, not trained"),
        (["range.positive.interpolation={law: uniform, scale: 2, intervals: [[1,2]]}"], "a uniform law has no"),
        (["range.positive.interpolation={coin: true, intervals: [[1,2]]}"], "a coin chooses between intervals"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(overrides, why):
    with pytest.raises(UsageError, match=why):
        compose(["nalu"], ["mul"], ["positive"], overrides=overrides)


@pytest.mark.parametrize(
    ("names", "overrides", "note"),
    [
        ((["nalu"], ["mul", "square"]), ["protocol.inputs=10", "protocol.overlap=0"],
         "protocol.overlap has no effect on nalu × square × positive: square has one operand"),
        ((["nalu", "nac"], ["mul"]), ["protocol.hidden=[2]", "+model.nac.hidden=[3]"],
         "protocol.hidden has no effect on nac × mul × positive: the hidden of nac is set elsewhere, to [3]"),
        ((["inalu"], ["mul"]), ["protocol.steps=100", "model.inalu.recipe.restart.after=200"],
         "100 steps end before inalu could start anew (after 200)"),
        ((["nalu"], ["mul"]), ["protocol.seeds=2", "engine.workers=3"],
         "2 networks keep no more than 2 of 3 workers busy"),
        ((["nalu"], ["mul"]), ["protocol.steps=2", "protocol.steps=3"],
         "protocol.steps is set 2 times; the last one counts"),
        ((["nalu", "nac"], ["mul", "add"]), ["+protocol.tasks={mul: {nalu: {}}, add: {nac: {}}}"],
         "default says who is trained on what, and leaves out: nalu on add; nac on mul"),
        ((["nalu", "monomials"], ["mul"]), ["protocol.hidden=[2]"],
         "protocol.hidden has no effect on monomials × mul × positive: "
         "monomials is one layer that is solved, not trained"),
        ((["least_squares"], ["mul"]), ["protocol.steps=10"],
         "Solved, not trained, on the first 1,280 training examples: least_squares"),
        ((["nalu"], ["square"], ["figure1_integers"]), ["protocol.samples=128", "protocol.evaluation_size=9"],
         "protocol.evaluation_size has no effect on nalu × square × figure1_integers: its examples are a grid's"),
    ],
)  # fmt: skip
def test_what_has_no_effect_on_some_is_told(names, overrides, note):
    models, tasks, *ranges = names
    assert note in compose(models, tasks, ranges[0] if ranges else ["positive"], overrides=overrides).notes()


def test_variants_are_rows_of_their_own_as_if_each_were_asked_for():
    cells = compose(["nmu", "nalu"], ["mul"], ["positive"], "madsen2020_hidden_size/quick").cells
    assert len(cells) == 2 * 9
    assert {cell.specification.hidden[0] for cell in cells} == set(range(2, 11))
    (third,) = [cell for cell in cells if (cell.model, cell.specification.hidden) == ("nmu", [4])]
    asked = ["protocol.variants=[]", "protocol.hidden=[4]"]
    one, _ = compose(["nmu", "nalu"], ["mul"], ["positive"], "madsen2020_hidden_size/quick", overrides=asked).cells
    assert third.overrides == "protocol.hidden=[4]"
    assert third.specification.digest == one.specification.digest


def test_the_command_line_narrows_the_variants():
    narrow = lambda *overrides: (
        compose(["nmu"], ["mul"], ["positive"], "madsen2020_input_size/paper", overrides=overrides).cells
    )
    assert [cell.overrides for cell in narrow("protocol.inputs=50")] == ["protocol.inputs=50"]
    (wide,) = narrow("protocol.inputs=125")
    assert wide.specification.protocol.steps == 10_000_000
    assert len(narrow("protocol.steps=10_000_000")) == 4
    assert len(narrow("protocol.steps=7")) == 6  # where nothing is said of the steps they are free
    with pytest.raises(UsageError, match=r"No variant of this protocol has inputs=51 \(they have 4, 10, 25, 50"):
        narrow("protocol.inputs=51")
    distractors = ["protocol.inputs=10", "protocol.subset=0.1", "protocol.steps=100000"]
    for given in (distractors, distractors[:1]):  # not the run of two inputs as well, under the same key
        cells = compose(experiment="mistry2022_division", overrides=given).cells
        assert {cell.overrides for cell in cells} == {"protocol.inputs=10;protocol.steps=100000;protocol.subset=0.1"}
        assert len(cells) == len(set(cells)) == 4 * 9


def test_regularizers_that_come_after_the_end_are_named():
    shorter = compose(experiment="mistry2022_division", models=["nmru", "real_npu"], overrides=["protocol.steps=5000"])
    assert shorter.notes() == ["5,000 steps end before these regularizers act: sparsity of nmru (from step 20,000)"]
    assert compose(experiment="mistry2022_division", protocol="mistry2022_division/quick").notes() == []


def test_one_key_does_not_stand_for_two_configurations():
    changed = "{steps: 5, models: {nac: {recipe: {learning_rate: 1}}}}"
    variants = lambda *each: compose(["nac"], ["add"], overrides=[f"protocol.variants=[{','.join(each)}]"]).cells
    assert len(variants("{steps: 5}", "{steps: 6}")) == 4  # two a range
    for twice in ("[{steps: 5}, {steps: 5}]", "[{}, {batch: 128}]"):
        request = compose(["nac"], ["add"], ["positive"], overrides=[f"protocol.variants={twice}"])
        assert len(request.cells) == 1
        assert request.notes()[0].startswith("two variants of the protocol are the same for nac × add × positive")
    with pytest.raises(UsageError, match="means two variants of the protocol"):
        variants("{steps: 5}", changed)


def test_a_protocol_may_change_a_recipe_for_one_task_and_name_who_is_trained_on_it():
    cells = compose(experiment="mistry2022_single_module").cells
    recipes = {(cell.model, cell.task): cell.specification.model.recipe for cell in cells}
    assert {task for model, task in recipes if model == "nmu"} == {"mul"}
    assert recipes["real_npu", "mul"].regularizers["l1"].weight == 1e-5
    assert recipes["real_npu", "div"].regularizers["l1"].weight == 1e-7
    given = ["model.real_npu.recipe.regularizers.l1.weight=1.0"]
    own = compose(["real_npu"], experiment="mistry2022_single_module", overrides=given).cells
    assert {cell.specification.model.recipe.regularizers["l1"].weight for cell in own} == {1.0}


def test_a_variants_ranges_are_those_of_its_tasks_and_what_is_asked_besides_is_told():
    large = compose(experiment="heim2020_large")
    assert {(cell.task, cell.range) for cell in large.cells} == {
        *(("add", "heim2020_sums"), ("mul", "heim2020_sums")),
        *(("reciprocal", "heim2020_divisors"), ("sqrt", "heim2020_roots")),
    }
    assert len(large.cells) == 4 * 5 and not large.notes()
    ranges = ["heim2020_sums", "heim2020_roots", "positive"]
    narrowed = compose(tasks=["add", "sqrt"], ranges=ranges, experiment="heim2020_large")
    assert {(cell.task, cell.range) for cell in narrowed.cells} == {
        *(("add", "heim2020_sums"), ("add", "positive"), ("sqrt", "heim2020_roots"), ("sqrt", "positive")),
    }
    (note,) = narrowed.notes()  # and none on the variant for a × b alone
    assert note.endswith("its own ranges for each task, and leaves out: add on heim2020_roots, sqrt on heim2020_sums")
    own = compose(["mlp_relu"], experiment="heim2020_large").cells
    assert {(cell.task, cell.range) for cell in own} == {(cell.task, cell.range) for cell in large.cells}
    with pytest.raises(UsageError, match=r"none of this; it has add with npu_nau .* on heim2020_sums, mul with"):
        compose(tasks=["add"], ranges=["heim2020_roots"], experiment="heim2020_large")
    with pytest.raises(UsageError, match="no range 'positiv'"):
        compose(["nac"], ["add"], overrides=["protocol.ranges=[positiv]"])
    narrowed = compose(["nac"], ["add"], ["positive", "symmetric"], overrides=["protocol.ranges=[positive]"])
    assert [cell.range for cell in narrowed.cells] == ["positive"]
    assert narrowed.notes() == ["default has its own ranges for each task, and leaves out: add on symmetric"]


def test_a_model_that_one_variant_leaves_to_another_is_not_left_out():
    assert not [note for note in compose(["nalu"], experiment="heim2020_npu").notes() if "leaves out" in note]


def test_a_model_that_a_protocol_does_not_know_is_trained_on_every_task_and_what_is_left_out_is_named():
    single = "mistry2022_single_module"
    request = compose(["mlp_relu", "nalu_separate", "nmu"], experiment=single)
    trained = {cell.model: {one.task for one in request.cells if one.model == cell.model} for cell in request.cells}
    every = {"add", "sub", "mul", "div"}
    assert trained == {"nmu": {"mul"}, "mlp_relu": every, "nalu_separate": every}
    rates = {cell.model: cell.specification.model.recipe.learning_rate for cell in request.cells}
    assert rates == {"mlp_relu": 0.01, "nalu_separate": 0.05, "nmu": 0.001}  # who brings a rate keeps it
    (note,) = request.notes()
    assert "leaves out: nmu on add, sub, div; mlp_relu, nalu_separate, nmu with inputs=10, subset=0.1;" in note
    chosen = compose(["mlp_relu"], ["add"], ["positive"], experiment=single, overrides=["protocol.inputs=100"])
    assert (len(chosen.cells), chosen.notes()) == (1, [])
    assert compose(experiment=single).notes() == []


def test_a_protocol_changes_a_models_recipe_and_the_command_line_has_the_last_word():
    tutorial = compose(experiment="tutorial_addition").cells[0].specification.model
    assert tutorial.options["initialisation"] == "tutorial_uniform"
    assert compose(["nac"], ["add"]).cells[0].specification.model.options["initialisation"] == "tutorial_normal"
    fast = compose(["nac", "mlp_relu"], ["add"], overrides=["protocol.learning_rate=0.3"])
    assert {cell.specification.model.recipe.learning_rate for cell in fast.cells} == {0.3}
    given = ["model.nac.recipe.learning_rate=0.001", "model.nac.options.initialisation=stable_nalu"]
    (own,) = compose(experiment="tutorial_addition", overrides=given).cells
    assert own.specification.model.recipe.learning_rate == 0.001
    assert own.specification.model.options["initialisation"] == "stable_nalu"
    (wide,) = compose(["mlp_relu"], ["identity"], ["figure1_integers"], "trask2018_figure1_sgd",
                      overrides=["model.mlp_relu.hidden=[4]"]).cells  # fmt: skip
    assert wide.specification.hidden == [4]


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["protocol.steps=0"], "steps (0) must be at least 1"),
        (["protocol.seeds=-1"], "seeds (-1) must be at least 1"),
        (["protocol.steps=abc"], "protocol.steps ('abc') must be a whole number"),
        (["protocol.hidden={a: 1}"], "protocol.hidden ({'a': 1}) must be a list"),
        (["+protocol.models.nalu.recipe=5"], "model.nalu.recipe (5) must be a mapping"),
        (["+model.nalu.recipe.turns=[{steps: 1}]"], "turns[0].parameters is missing; give it a value"),
        (["range.positive.interpolation.x=1"], "'x' is no place in a list; a place is a number"),
        (["engine.device={null: 1}"], "the keys of a mapping must be texts"),
        (["engine.device={a: ß}"], "a character in it has to stand in quotes"),
        (["model=[[2.4,1]]"], "There is no model '[2.4, 1]'"),
        (["protocol.evaluate_every=0"], "evaluate_every (0) must be at least 1"),
        (["protocol.epsilon=nan"], "epsilon (nan) must be a number"),
        (["protocol.stesp=3"], "did you mean steps"),
        (["+protocol.stesp=3"], "did you mean steps"),
        (["protocol.optimizer=addam"], "did you mean adam"),
        (["range.positive.interpolation=[[5,-5]]"], "low (5) must be below its high (-5)"),
        (["range.positive.interpolation=[[nan,5]]"], "interpolation low (nan) must be a number"),
        (["range.positive.interpolation=[[one,5]]"], "interpolation low ('one') must be a number"),
        (["range.positive.interpolation=some"], "must be a list of intervals"),
        (["range.positve.interpolation=[[1,2]]"], "did you mean positive"),
        (["model.nalu.recipe.lerning_rate=1"], "did you mean learning_rate"),
        (["model.nalu.recipe.learning_rate=0"], "learning_rate (0.0) must exceed 0"),
        (["mdoel=nalu"], "did you mean model"),
        (["model=nlau"], "did you mean na"),
        (["engine.mode=fast"], "choose from: auto, compiled, eager"),
        (["engine.workers=0"], "workers (0) must be at least 1"),
        (["protocol.inputs=2"], "2 inputs hold no"),
        (["protocol.samples=100"], "samples (100) must be a multiple of the batch (128)"),
        (["protocol.threshold=incl"], "did you mean inclusive"),
        (["protocol.threshold=0"], "threshold (0) must exceed 0"),
        (["protocol.spans=[[0,1],[1,2]]"], "set protocol.inputs as well"),
        (["protocol.spans=[[0,1]]"], "must be two pairs of whole numbers"),
        (["protocol.variants=[{stesp:3}]"], "did you mean steps"),
        (["+protocol.tasks.mull={}"], "did you mean mul"),
        (["+protocol.tasks.mul={nlau:{}}"], "did you mean na"),
        (["+protocol.tasks={mul:{nac:{}},add:{nalu:{}}}"], "trains none of this; it has mul with nac"),
        (["protocol=[default,smoke]"], "A job has one protocol"),
        (["model=[nalu"], "cannot read the argument 'model=[nalu'"),
        (["model=mine.Größe"], "cannot read the argument 'model=mine.Größe' ('ö' has to stand in quotes)"),
        (["model.nalu.options.shape=[8,4]"], "is added: +model.nalu.options.shape=<value>"),
        (["nalu"], "write key=value"),
        ([f"protocol.batch={HUGE}"], "batch must be at most 1,048,576"),
        ([f"protocol.variants=[{{batch: {HUGE}}}]"], "batch must be at most 1,048,576"),
        (["protocol.seeds=100000000000000000000"], "seeds must be at most 1,000,000"),
        (["protocol.seeds=1000000", "model=[nalu,nac]"], "more than 1,000,000 networks"),
        (["protocol.steps=???"], "protocol.steps must have a value"),
        (["~protocol.steps"], "protocol.steps must have a value"),
        (["+task.add=5"], "task.add (5) must be a mapping"),
        (["+model.NA.unit=mine.Net"], "a model is called 'NA'; a name is a letter followed by"),
        (["+range.5.interpolation=[[1,2]]"], "a range is called '5'"),
        (["+model@model.other=nac"], "would give a model another name"),
        (["results=''"], "results ('') must name a folder"),
        (["results='~nobody-of-this-name/here'"], "there is no such user"),
        (["+protocol.models.nac=5"], "models.nac (5) must be a mapping"),
        (["+protocol.tasks={mul: {nalu: 5}}"], "tasks.mul.nalu (5) must be a mapping"),
        (["protocol.variants=[abc]"], "'abc'"),
        (["protocol.variants=[[]]"], "are mappings"),
        (["protocol.variants=[{hidden: [[2]]}]"], "protocol.variants.hidden[0] ([2]) must be a whole number"),
        (["protocol.variants=[{steps: 5},{ranges: 5}]"], "protocol.variants.ranges (5) must be a list"),
        (["protocol.steps=5", "protocol.variants=[{steps: 5},{steps: 6, ranges: [[a]]}]"], "(['a']) must be a text"),
        (["protocol.variants=[{tasks: {mul: {nac: {}}}},{tasks: {mul: 5}}]"], "tasks.mul (5) must be a mapping"),
        (["protocol.variants=[{batch: 2.5}]"], "protocol.variants.batch (2.5) must be a whole number"),
        (["protocol.variants=[{seeds: 5},{seeds: 7}]"], "no key of protocol in its variants 'seeds'"),
        (["protocol.variants=[{models: {nope: {}}}]"], "no model 'nope'"),
        (["protocol=null"], "Choose a protocol"),
        (["range=[null]"], "Choose a range"),
        (["model=[[nac]]"], "no model"),
        (["experiment=[smoke,headline]"], "A job has one experiment"),
        (["+model.nalu.hidden=[10000000000]"], "must be at most 4,096"),
        (["protocol.hidden=[4096,4096]"], "the weights of nalu (16,789,504) must be at most 1,048,576"),
        (["protocol.batch=1048576", "protocol.inputs=4096"], "batch × the widest layer of nalu"),
        (["model.nalu.recipe.learning_rate=inf"], "learning_rate (inf) must be a finite number"),
        (["+model.nalu.recipe.separate=true"], "it has none; leave separate out"),
        (["+model.nalu.recipe.turns=[{steps: 2, parameters: []}]"], "must name the parameters"),
        (["range.positive.interpolation=[[1,1.00000001]]"], "[1.0, 1.00000001] holds fewer than 1,000 numbers"),
        (["range.positive.interpolation=[[1e-160,1e-150]]"], "holds fewer than 1,000 numbers of float32"),
        (["range.positive.interpolation=[[1e39,1e40]]"], "leaves what float32 holds"),
        (["range.positive.interpolation=[[1e19,1e20]]"], "the targets of mul leave what float32 holds"),
        (["task=sub", "protocol.inputs=10", "protocol.subset=1", "protocol.overlap=1"], "is 0 for all inputs"),
        (["task=div", "protocol.inputs=10", "protocol.subset=1", "protocol.overlap=1"], "is 1 for all inputs"),
        ([f"protocol.batch={'1' * 5000}"], "holds a number of more than 1,000 digits"),
        (["protocol.learning_rate=1" + "0" * 320], "must be at most 1e308"),
        (["hydra.run.dir=here"], "nothing is written but the results"),
        (["protocol.dtype='${nope}'"], "protocol.dtype: Interpolation key 'nope' not found"),
        (["+model.nalu.options={a: [1,2,3,4,5,6,7,8,9]," + ",".join(
            f"{b}: [{','.join([f'${{model.nalu.options.{a}}}'] * 9)}]" for a, b in pairwise("abcdefgh")
        ) + "}"], "references repeat others until there are"),
        (["protocol.steps=glob(*)"], "glob chooses files of a group"),
        (["model=glob(zz*)"], "finds no model among all, bilinear"),
        (["task=glob([add,sub],exclude=*)"], "finds no task among add"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_met_is_refused_with_a_sentence_before_anything_is_imported_or_made(
    overrides, sentence
):
    with pytest.raises(UsageError) as refusal:
        compose(["nalu"], ["mul"], ["positive"], overrides=overrides)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_operation_outside_its_domain_is_refused():
    with pytest.raises(UsageError, match="sqrt is not defined anywhere on the interpolation range"):
        compose(["nalu"], ["sqrt"], ["neg_2_1"])
    with pytest.raises(UsageError, match="grid has 1 inputs, add needs 2"):
        compose(["nalu"], ["add"], ["figure1_integers"])


def test_a_law_may_stand_where_the_file_has_intervals_and_intervals_where_it_has_a_law():
    law = "range.positive.interpolation={law: normal, location: 1, scale: 2, intervals: [[-3, 3]]}"
    (cell,) = compose(["nalu"], ["mul"], ["positive"], overrides=[law]).cells
    assert cell.specification.problem.interpolation[0].law == "normal"
    back = "range.exponential_0p8.interpolation=[[1,2]]"
    (cell,) = compose(["nalu"], ["mul"], ["exponential_0p8"], overrides=[back]).cells
    assert str(cell.specification.problem.interpolation[0]) == "[1, 2]"


def test_a_mapping_on_the_command_line_is_the_same_as_its_values_one_by_one():
    one = compose(["nac"], ["add"], overrides=["model.nac.recipe={learning_rate: 0.5}", "protocol.learning_rate=0.1"])
    other = compose(["nac"], ["add"], overrides=["model.nac.recipe.learning_rate=0.5", "protocol.learning_rate=0.1"])
    assert one.cells == other.cells != []
    assert {cell.specification.model.recipe.learning_rate for cell in one.cells} == {0.5}


def test_a_plus_before_a_group_means_nothing_from_python_either():
    request = compose(["nac"], ["mul"], overrides=["+range=positive"])
    assert [cell.range for cell in request.cells] == ["positive"]
    cells = compose(overrides=["+model=nac", "+task=add", "+range=positive"]).cells
    assert [cell.names[:3] for cell in cells] == [("nac", "add", "positive")]
    with pytest.raises(UsageError, match="a group is chosen by its name, for example protocol=smoke"):
        compose(["nac"], ["mul"], overrides=["+protocol/madsen2020_simple=quick"])


def test_the_command_line_wins_over_what_a_protocol_has_for_one_model():
    names = {"models": ["nru"], "tasks": ["div"], "ranges": ["positive"], "protocol": "mistry2022_single_module/paper"}
    rate = lambda *overrides: compose(**names, overrides=overrides).cells[0].specification.model.recipe.learning_rate
    assert (rate(), rate("protocol.learning_rate=0.5")) == (1.0, 0.5)
    assert rate("protocol.learning_rate=0.5", "++protocol.models.nru.recipe.learning_rate=0.25") == 0.25
    assert rate("protocol.learning_rate=0.5", "model.nru.recipe.learning_rate=0.125") == 0.125
    assert rate("protocol.learning_rate=0.5", "++protocol.models.nru.recipe.clip_norm=1") == 0.5
    (cell,) = compose(["monomials"], ["mul"], ["positive"], overrides=["protocol.batch=8"]).cells
    asked = compose(["nalu", "monomials"], ["mul"], ["positive"], overrides=["protocol.hidden=[2]"]).cells
    assert asked[1].specification.hidden == cell.specification.hidden
