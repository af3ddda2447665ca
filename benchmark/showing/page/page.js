"use strict";
// What is chosen, and what of it is shown. Whatever comes from a table reaches the page as text.

const MOST_MODELS = 6; // lines that can be told apart
const FAVOURITES = ["mlp_tanh", "mlp_relu", "nac", "nac_mul", "nalu", "nmu"]; // chosen where no link says otherwise
const FEW_ROWS = 100;
const KEYS = ["task", "range", "setting"];
// What a spreadsheet would take for a formula gets an apostrophe, as in the tables themselves.
const FORMULA = /^'*[=+\-@\t\r]/;

const $ = id => document.getElementById(id);
const index = JSON.parse($("index").textContent);
const state = {
  experiment: 0,
  task: 0,
  range: 0,
  setting: 0,
  models: [],
  out: 1,
  operand: "a",
  what: "",
  find: "",
  whole: false,
  sort: "",
  down: false,
};
let result,
  link = "",
  whats = [],
  longer = false,
  turns = 0,
  frame = 0;

// ---- data

const number = value => (value === null ? NaN : Number(value));

/** Numbers instead of what JSON has for them, in every column of an object. */
function decoded(columns) {
  if (!columns) return null;
  return Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [
      name,
      Array.isArray(values) ? values.map(number) : decoded(values),
    ]),
  );
}

/** A result, unpacked. */
const load = (() => {
  const kept = new Map();
  return place => {
    if (!kept.has(place)) kept.set(place, unpack(place));
    return kept.get(place);
  };
})();

async function unpack(place) {
  const bytes = Uint8Array.from(atob($(`data-${place}`).textContent), character => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const found = await new Response(stream).json();
  const texts = new Set([
    "trained",
    "judged",
    "representable",
    "why",
    "regions",
    "hulls",
    "verdicts",
    "command",
    "note",
  ]);
  for (const [name, values] of Object.entries(found.cells))
    if (!texts.has(name)) found.cells[name] = values.map(number);
  found.count = found.cells.model.length;
  found.at = new Map(
    found.cells.model.map((model, cell) => [[model, ...KEYS.map(key => found.cells[key][cell])].join(), cell]),
  );
  return found;
}

/** The place of a model's cell in what is chosen; undefined where there is none. */
const cellOf = model => result.at.get([model, ...KEYS.map(key => state[key])].join());
const modelsHere = () => result.models.map((_, model) => model).filter(model => cellOf(model) !== undefined);
const of = (table, cell) => (result[table]?.[cell] ? decoded(result[table][cell]) : null);
const named = {
  experiment: () => index.map(one => one.name),
  task: () => result.tasks.map(one => one[0]),
  range: () => result.ranges.map(one => one[0]),
  setting: () => result.settings.map(one => `${one[0]} ${one[1]}`.trim()),
};

/** Make the choice one that has results: what was chosen last stays, the rest comes as near as there is. */
function settle(last) {
  const weight = key => (key === last ? 8 : {task: 4, range: 2, setting: 1}[key]);
  const fit = cell => KEYS.reduce((sum, key) => sum + weight(key) * (result.cells[key][cell] === state[key]), 0);
  let best = 0;
  for (let cell = 1; cell < result.count; cell++) if (fit(cell) > fit(best)) best = cell;
  for (const key of KEYS) state[key] = result.cells[key][best];
  const here = modelsHere();
  state.models = state.models.filter(model => here.includes(model)).slice(0, MOST_MODELS);
  if (!state.models.length) {
    const known = here.filter(model => FAVOURITES.includes(result.models[model].name));
    state.models = [...new Set([...known, ...here])].slice(
      0,
      known.length > 1 ? Math.max(4, known.length) : MOST_MODELS,
    );
    state.models.sort((a, b) => a - b);
  }
}

// ---- links

/** What is chosen, for the address bar. */
function written_link() {
  const parts = new URLSearchParams();
  parts.set("experiment", named.experiment()[state.experiment]);
  for (const key of KEYS) if (named[key]().length > 1) parts.set(key, named[key]()[state[key]]);
  for (const model of state.models) parts.append("model", result.models[model].name);
  if (state.out !== 1) parts.set("out", state.out);
  for (const name of ["what", "find", "sort"]) if (state[name]) parts.set(name, state[name]);
  if (state.operand !== "a") parts.set("operand", state.operand);
  for (const name of ["whole", "down"]) if (state[name]) parts.set(name, "yes");
  return `#${parts}`;
}

/** Choose what a link says; sentences about what it names that is not here. */
async function follow(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, "")),
    missing = [];
  const place = (kind, names, name) => {
    const found = name === null ? 0 : names.indexOf(name);
    if (found < 0) missing.push(`The link names the ${kind} ${name}, which is not here.`);
    return Math.max(0, found);
  };
  state.experiment = place("experiment", named.experiment(), parts.get("experiment"));
  result = await load(state.experiment);
  const kinds = {task: "operation", range: "range", setting: "protocol"};
  for (const key of KEYS) state[key] = place(kinds[key], named[key](), parts.get(key));
  if (!parts.has("task")) state.task = Math.max(0, named.task().indexOf("mul"));
  const models = result.models.map(model => model.name);
  state.models = parts
    .getAll("model")
    .filter(name => models.includes(name) || !missing.push(`The link names the model ${name}, which is not here.`))
    .map(name => models.indexOf(name));
  const out = Number(parts.get("out") ?? 1);
  state.out = out >= 0 && out <= 1 ? out : 1;
  for (const name of ["what", "find", "sort"]) state[name] = parts.get(name) ?? "";
  state.operand = parts.get("operand") ?? "a";
  for (const name of ["whole", "down"]) state[name] = parts.get(name) === "yes";
  return missing;
}

// ---- controls

function element(name, text = "", more = {}) {
  return Object.assign(document.createElement(name), {textContent: text}, more);
}

function options(select, texts, chosen, about = []) {
  select.replaceChildren(...texts.map((text, place) => new Option(text, place, place === chosen, place === chosen)));
  select.title = about[chosen] ?? "";
  select.disabled = texts.length < 2;
}

/** A stroke in a model's colour, dash and shape. */
function swatch(model) {
  const at = name => document.createElementNS("http://www.w3.org/2000/svg", name),
    svg = at("svg"),
    line = at("path"),
    mark = at("path");
  const shapes = {
    circle: "M-1,0a1,1 0 1,0 2,0a1,1 0 1,0 -2,0",
    square: "M-.9,-.9H.9V.9H-.9Z",
    diamond: "M0,-1.1L1,0L0,1.1L-1,0Z",
    cross: "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
    "triangle-up": "M0,-1L1,.8H-1Z",
    "triangle-down": "M0,1L1,-.8H-1Z",
    "triangle-left": "M-1,0L.8,-1V1Z",
    "triangle-right": "M1,0L-.8,-1V1Z",
  };
  svg.setAttribute("viewBox", "0 0 32 12");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", "M0,6H32");
  line.setAttribute("stroke-width", "2");
  line.setAttribute("stroke-dasharray", model.dash.join(" "));
  mark.setAttribute("d", shapes[model.shape] ?? model.shape);
  mark.setAttribute("transform", "translate(16 6) scale(4.5)");
  for (const part of [line, mark]) part.setAttribute(part === line ? "stroke" : "fill", hue(model));
  svg.append(line, mark);
  return svg;
}

const night = matchMedia("(prefers-color-scheme: dark)");
const hue = model => (night.matches ? model.dark : model.color);

function drawControls() {
  options(
    $("experiment"),
    index.map(one => one.name),
    state.experiment,
    index.map(one => one.about),
  );
  options(
    $("task"),
    result.tasks.map(one => one[1]),
    state.task,
  );
  options(
    $("range"),
    result.ranges.map(one => one[1]),
    state.range,
    result.ranges.map(one => one[0]),
  );
  options(
    $("setting"),
    result.settings.map(one => one[2]),
    state.setting,
  );
  const here = modelsHere();
  $("chosen").textContent =
    `${state.models.map(model => result.models[model].label).join(", ")} (${state.models.length} of ${here.length})`;
  const families = Map.groupBy
    ? Map.groupBy(here, model => result.models[model].family)
    : here.reduce(
        (all, model) => all.set(result.models[model].family, [...(all.get(result.models[model].family) ?? []), model]),
        new Map(),
      );
  const focused = document.activeElement?.dataset?.model;
  $("models").replaceChildren(
    ...[...families].map(([family, members]) => {
      const group = element("fieldset");
      group.append(
        element("legend", family),
        ...members.map(model => {
          const label = element("label"),
            box = element("input", "", {type: "checkbox", checked: state.models.includes(model)});
          box.dataset.model = model;
          box.disabled = !box.checked && state.models.length >= MOST_MODELS;
          label.append(box, swatch(result.models[model]), result.models[model].label);
          return label;
        }),
      );
      return group;
    }),
    element("p", `At most ${MOST_MODELS} at once: lines of more cannot be told apart. The table below has all.`, {
      className: "caption",
    }),
  );
  if (focused) document.querySelector(`[data-model="${focused}"]`)?.focus();
}

// ---- the finding

/** A part of a whole; only what is all or none is called so. */
function percent(part, whole) {
  if (part === 0 || part === whole) return part ? "all" : "none";
  const share = Math.round((100 * part) / whole);
  return share === 0 ? "under 1%" : share === 100 ? "over 99%" : `${share}%`;
}

const listed = names => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

/** What was found on what is chosen, counted over the models that are. */
function finding() {
  const cells = state.models.map(cellOf),
    c = result.cells,
    first = cells[0];
  const task = result.tasks[state.task][1].replace(/^a$/, "y = a"),
    many = cells.reduce((sum, cell) => sum + c.seeds[cell], 0);
  const trained = c.trained[first],
    judged = c.judged[first],
    same = trained === judged;
  const names = state.models.map(model => result.models[model].label),
    [name, title] = result.ranges[state.range];
  const which = title.endsWith(`(${name})`) ? ` (${name})` : ""; // where the intervals alone do not say
  const learned = trained ? `${task}, learned ${same ? "and judged " : ""}on ${trained}${which}` : task;
  if (!c.within_extrapolation) {
    const told = state.models
      .map(model => [result.models[model].label, c.success_rate[cellOf(model)]])
      .filter(one => one[1] === one[1]);
    return [
      `${learned}: ${told.length ? listed(told.map(([name, rate]) => `${name} is solved in ${Math.round(100 * rate)}%`)) : "no success rates here"}.`,
      "",
    ];
  }
  const inside = cells.reduce((sum, cell) => sum + c.within_interpolation[cell], 0);
  const outside = cells.reduce((sum, cell) => sum + c.within_extrapolation[cell], 0);
  const groups = {all: [], some: [], none: []};
  for (const [i, cell] of cells.entries()) {
    const right = c.within_extrapolation[cell],
      seeds = c.seeds[cell];
    groups[right === seeds ? "all" : right ? "some" : "none"].push(
      right && right < seeds ? `${names[i]} (${right} of ${seeds})` : names[i],
    );
  }
  const told = [
    groups.all.length && `${listed(groups.all)}: every network`,
    groups.some.length && `${listed(groups.some)}`,
    groups.none.length && `${listed(groups.none)}: none`,
  ]
    .filter(Boolean)
    .join("; ");
  const cannot = state.models.filter((_, i) => c.representable[cells[i]] === "no");
  const why = cannot.length
    ? ` No weights of ${listed(cannot.map(model => result.models[model].label))} compute it there.`
    : "";
  const networks = `of ${many.toLocaleString("en")} networks come within 1% of the right answer`;
  return [
    same
      ? `${learned}: ${percent(outside, many)} ${networks}.`
      : `${learned}: ${percent(inside, many)} ${networks} there, ${outside && outside < inside ? "only " : ""}${percent(outside, many)} on ${judged}.`,
    `Within 1% on ${judged}: ${told}.${why} (Root mean square error over that of the target.)`,
  ];
}

// ---- charts

/** Draw a specification, or say why there is none. */
async function draw(id, spec, why, about) {
  const place = $(id);
  place.closest("section").classList.toggle("bare", !spec);
  if (!spec) {
    place.view?.finalize();
    place.view = null;
    place.replaceChildren(element("p", why, {className: "none"}));
    return;
  }
  const options = {
    renderer: "svg",
    actions: {export: true, source: false, compiled: false, editor: false},
    downloadFileName: `${index[state.experiment].name.replace(/\W+/g, "_")}_${id}`,
    tooltip: {theme: night.matches ? "dark" : "light"},
  };
  const old = place.view;
  const made = await vegaEmbed(place, {...spec, description: about}, options);
  old?.finalize();
  place.view = made;
}

/** What all charts share. */
function shared() {
  const look = theme();
  look.base = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    config: look.config,
    autosize: {type: "pad"},
  };
  return look;
}

const width = () => document.querySelector("main").clientWidth;
const style = model => ({...result.models[model], text: result.models[model].label, color: hue(result.models[model])});
/** From the training range to the slider's place on the way to the ends that were measured. */
const between = (trained, ends) => trained.map((edge, side) => edge + state.out * (ends[side] - edge));
const ends = values => [Math.min(...values), Math.max(...values)];
const within = (value, [low, high]) => value >= low - 1e-9 && value <= high + 1e-9;

/** Where a model's profile lies: whether its x is an input or a distance, the training range and the ends on that axis. */
function span(cell) {
  const c = result.cells,
    input = c.inputs[cell] === 1,
    profile = of("profile", cell);
  if (!profile) return null;
  const trained = input ? [c.middle[cell] - c.half_width[cell], c.middle[cell] + c.half_width[cell]] : [0, 1];
  const [low, high] = ends(profile.x);
  return {
    input,
    profile,
    trained,
    window: between(trained, [input ? Math.min(low, trained[0]) : 0, Math.max(high, trained[1])]),
  };
}

function drawReach() {
  const place = state.models.map(cellOf).map(span).find(Boolean),
    c = result.cells;
  $("far").hidden = !place && !result.responses;
  $("out").value = state.out;
  if (!place) return;
  const [low, high] = place.window;
  $("reach").textContent = place.input
    ? `inputs from ${written(low)} to ${written(high)}`
    : `up to ${written(high)} × the half-width of the training range from its middle` +
      (state.models.every(model => c.inputs[cellOf(model)] === 2) && Number.isFinite(c.middle[cellOf(state.models[0])])
        ? ` (operands up to ${written(c.middle[cellOf(state.models[0])] + high * c.half_width[cellOf(state.models[0])])})`
        : "");
  $("out").setAttribute("aria-valuetext", $("reach").textContent);
}

/** Why there is nothing of a cell; where both inputs are operands, it has several outputs. */
function absent(what, cell, otherwise) {
  const several = result.cells.inputs[cell] === 2 && result.cells.operands[cell] === 2;
  return `No ${what} here: ${several ? "these networks have several outputs, of which errors alone are kept" : otherwise}.`;
}

function drawResponses(look, old) {
  const cells = state.models.map(cellOf),
    answers = cells.map(cell => of("responses", cell));
  const first = answers.findIndex(Boolean),
    operands = first < 0 ? [] : Object.keys(answers[first]);
  $("operand-choice").hidden = operands.length < 2;
  if (first < 0) {
    return draw(
      "responses",
      null,
      result.responses
        ? absent("answers", cells[0], "the operands are sums of hidden inputs, none of which can be moved alone")
        : "These results hold no responses.csv, the table of the networks' answers; results of the current version have one.",
    );
  }
  if (!operands.includes(state.operand)) state.operand = operands[0];
  options($("operand"), operands, operands.indexOf(state.operand));
  const c = result.cells,
    cell = cells[first],
    own = answers[first][state.operand];
  const hull = c.hulls[cell]?.[state.operand === "b" ? 1 : 0] ?? [
    c.middle[cell] - c.half_width[cell],
    c.middle[cell] + c.half_width[cell],
  ];
  const [low, high] = ends(own.x),
    window = between(hull, [Math.min(low, hull[0]), Math.max(high, hull[1])]);
  const panels = state.models.flatMap((model, i) => {
    const table = answers[i]?.[state.operand];
    if (!table) return [];
    const line = (values, more = {}) =>
      table.x.map((x, at) => ({x, y: values[at], ...more})).filter(point => Number.isFinite(point.y));
    return [
      {
        ...style(model),
        truth: line(table.target),
        median: table.x
          .map((x, at) => ({x, y: table.median[at], right: written(table.target[at]), told: written(table.median[at])}))
          .filter(point => Number.isFinite(point.y)),
        seeds: Object.keys(table)
          .filter(name => name.startsWith("seed_"))
          .flatMap(seed => line(table[seed], {seed})),
      },
    ];
  });
  const limits = reach(window, panels);
  if (old) {
    for (const [name, value] of Object.entries(limits)) old.view.signal(name, value);
    return old.view.runAsync();
  }
  return draw(
    "responses",
    responseChart({panels, ends: limits, trained: hull, operand: state.operand, width: width(), look}),
    "",
    `Answers of ${listed(panels.map(panel => panel.text))} beside the right ones against operand ${state.operand}.`,
  );
}

function drawDistance(look) {
  const spans = new Map(
    modelsHere()
      .map(model => [model, span(cellOf(model))])
      .filter(one => one[1]),
  );
  const chosen = state.models.filter(model => spans.has(model));
  if (!chosen.length)
    return draw("distance", null, "These results hold no profile.csv, the table of the errors by distance.");
  const {input, window, trained} = spans.get(chosen[0]);
  const points = model => {
    const {profile} = spans.get(model),
      clip = error => Math.min(Math.max(error, LEAST), MOST);
    // Quartiles are of the absolute error: they are scaled as its median is to the relative one.
    return profile.x
      .map((x, i) => ({
        x,
        error: profile.relative[i],
        low: profile.low[i],
        high: profile.high[i],
        lost: profile.not_finite?.[i],
      }))
      .filter(point => within(point.x, window) && !Number.isNaN(point.error))
      .map(point => ({
        x: point.x,
        y: clip(point.error),
        low: clip(point.low),
        high: clip(point.high),
        text: result.models[model].label,
        told: share(point.error) + besides(point.lost),
      }));
  };
  const lines = chosen.map(model => {
    const own = points(model),
      last = own.at(-1);
    return {
      ...style(model),
      points: own,
      end: last ? last.y : NaN,
      text: last ? `${result.models[model].label} ${last.told}` : "",
    };
  });
  const others = [...spans.keys()]
    .filter(model => !chosen.includes(model))
    .flatMap(model => points(model).map(({x, y}) => ({line: model, x, y})));
  const title = input ? "input" : "distance from the middle of the training range, in its half-widths";
  $("distance-x").textContent = input
    ? "the input"
    : "the distance from the middle of the training range (1 is its edge)";
  return draw(
    "distance",
    distanceChart({
      lines,
      others,
      window,
      trained,
      title: input || width() > 520 ? title : "distance in half-widths",
      width: width(),
      look,
    }),
    "",
    `Relative error at the right edge: ${listed(lines.map(line => line.text).filter(Boolean))}.`,
  );
}

function drawPlane(look) {
  const cells = state.models.map(cellOf),
    planes = cells.map(cell => of("plane", cell));
  if (!planes.some(Boolean)) {
    return draw(
      "plane",
      null,
      result.plane
        ? absent("plane", cells[0], "it takes two operands that are inputs")
        : "These results hold no plane.csv, the table of the errors over both operands.",
    );
  }
  // The largest target of all models' planes, from error = relative · |target|.
  const top =
    Math.max(
      ...planes
        .filter(Boolean)
        .flatMap(plane => plane.error.map((error, i) => error / plane.relative[i]).filter(Number.isFinite)),
      0,
    ) || 1;
  const c = result.cells,
    at = planes.find(Boolean).a,
    steps = [...new Set(at)].sort((a, b) => a - b),
    half = (steps[1] - steps[0]) / 2;
  const extent = [steps[0] - half, steps.at(-1) + half];
  const clip = value => Math.min(Math.max(value, extent[0]), extent[1]);
  const panels = state.models.flatMap((model, i) =>
    planes[i]
      ? [
          {
            ...style(model),
            points: planes[i].a
              .map((a, point) => ({
                a: a - half,
                a2: a + half,
                b: planes[i].b[point] - half,
                b2: planes[i].b[point] + half,
                middleA: a,
                middleB: planes[i].b[point],
                error: Math.min(Math.max(planes[i].error[point] / top, DARKEST), 1),
                told: share(planes[i].error[point] / top) + besides(planes[i].not_finite?.[point]),
                relative: share(planes[i].relative[point]),
                is: planes[i].error[point],
              }))
              .filter(point => !Number.isNaN(point.is)),
            trained: (c.hulls[cells[i]] ? [c.hulls[cells[i]]] : []).map(([[a, a2], [b, b2]]) => ({a, a2, b, b2})),
            judged: c.regions[cells[i]].map(([a, b]) => ({
              a: clip(a[0]),
              a2: clip(a[1]),
              b: clip(b[0]),
              b2: clip(b[1]),
            })),
          },
        ]
      : [],
  );
  return draw(
    "plane",
    planeChart({panels, extent, width: width(), look}),
    "",
    `Errors of ${listed(panels.map(panel => panel.text))} over both operands.`,
  );
}

function drawCurves(look) {
  const cells = state.models.map(cellOf),
    found = cells.map(cell => of("curves", cell));
  $("curves-caption").textContent = result.curves
    ? "Mean squared error, median over the networks, by training step: dashed inside the training range, solid outside; " +
      "dotted: the threshold below which the operation counts as solved."
    : "Share of the networks that solve the operation, by the training step at which their error outside first falls " +
      "below the threshold. (The errors during training stay with whoever trained these results.)";
  if (!result.curves) return drawLearned(look, cells);
  if (!found.some(Boolean)) return draw("curves", null, "No errors during training here.");
  const lines = state.models.flatMap((model, i) => {
    if (!found[i]) return [];
    const {step, interpolation, extrapolation} = found[i],
      text = result.models[model].label;
    const side = (name, errors) =>
      step
        .map((x, at) => ({x, y: errors[at], side: name, text}))
        .filter(point => point.y > 0 && Number.isFinite(point.y));
    return [
      {
        ...style(model),
        start: extrapolation[0],
        end: extrapolation.findLast(error => error > 0 && Number.isFinite(error)) ?? NaN,
        points: [...side("inside", interpolation), ...side("outside", extrapolation)],
      },
    ];
  });
  const limits = cells.map(cell => result.cells.threshold[cell]).filter(Number.isFinite);
  return draw(
    "curves",
    curveChart({lines, threshold: limits.length ? Math.min(...limits) : 0, width: width(), look}),
    "",
    `Errors of ${listed(lines.map(line => line.text))} during training.`,
  );
}

/** When networks solve what they solve, where the errors during training are not there. */
function drawLearned(look, cells) {
  const c = result.cells;
  if (!result.learned) return draw("curves", null, "These results hold neither curves.csv.gz nor outcomes.csv.");
  if (!cells.some(cell => Number.isFinite(c.threshold[cell])))
    return draw("curves", null, "No threshold exists here below which the operation would count as solved.");
  const lines = state.models.flatMap((model, i) => {
    const table = of("learned", cells[i]);
    if (!table) return [];
    const seeds = c.seeds[cells[i]],
      text = result.models[model].label;
    const points = table.step.map((x, at) => ({
      x,
      y: table.solved[at] / seeds,
      text,
      told: `${table.solved[at]} of ${seeds}`,
    }));
    return [{...style(model), points, end: points.at(-1).y, steps: table.step.at(-1)}];
  });
  if (lines.every(line => line.end === 0)) {
    const steps = ends(lines.map(line => line.steps)).map(step => step.toLocaleString("en"));
    const told = steps[0] === steps[1] ? steps[0] : steps.join(" to ");
    return draw("curves", null, `None of these networks solves it in ${told} steps.`);
  }
  return draw(
    "curves",
    learnedChart({lines, width: width(), look}),
    "",
    `Share of the networks that solve it in the end: ${listed(lines.map(line => `${line.text} ${percent(line.end, 1)}`))}.`,
  );
}

function drawAgreement(look) {
  const a = result.agreement,
    section = $("agreement").closest("section");
  section.hidden = !a;
  if (!a) return null;
  const count = a.what.length,
    all = [...Array(count).keys()],
    setting = result.settings[state.setting];
  const counted = verdict => all.filter(i => verdict(a.verdict[i])).length,
    tested = counted(Boolean);
  const same = counted(verdict => verdict === "same"),
    open = counted(verdict => verdict === "inconclusive");
  $("agreed").textContent = tested
    ? `Of ${tested} published numbers in this experiment ${same} agree with ours, ${tested - same - open} differ, and ${open} leave it open (Boschloo's test, Holm-corrected, and a 95% interval within ±25 points).`
    : `${count} published numbers stand beside ours in this experiment.`;
  const ranges = named.range(),
    here = all.filter(
      i =>
        a.task[i] === named.task()[state.task] &&
        a.protocol[i] === setting[0] &&
        a.overrides[i] === setting[1] &&
        (a.range[i] === ranges[state.range] || !ranges.includes(a.range[i])),
    );
  whats = [...new Set(here.map(i => a.what[i]))];
  $("what-choice").hidden = whats.length < 2;
  if (!whats.length) return draw("agreement", null, "No published number is of this operation and range.");
  const what = whats.includes(state.what) ? state.what : whats[0];
  options(
    $("what"),
    whats.map(text => text.replace(/_/g, " ")),
    whats.indexOf(what),
  );
  const rate = what.startsWith("success_rate"),
    told = value => (rate ? `${Math.round(100 * value)}%` : written(value));
  const values = here
    .filter(i => a.what[i] === what)
    .flatMap(i => {
      const text = [a.label[i], a.of[i], ranges.includes(a.range[i]) ? "" : a.range[i]].filter(Boolean).join(", ");
      const side = (who, value, low, high, seeds) => ({
        text,
        who,
        value: number(value[i]),
        low: number(low[i]),
        high: number(high[i]),
        verdict: a.verdict[i] || "–",
        told:
          told(number(value[i])) +
          (number(low[i]) === number(low[i]) ? ` [${told(number(low[i]))}, ${told(number(high[i]))}]` : "") +
          (number(seeds[i]) === number(seeds[i]) ? `, ${number(seeds[i])} seeds` : ""),
      });
      return [
        side("ours", a.ours, a.low, a.high, a.seeds),
        side("published", a.published, a.published_low, a.published_high, a.published_seeds),
      ];
    })
    .filter(point => Number.isFinite(point.value));
  const origins = new Map(); // source -> how its numbers were had
  for (const i of here.filter(i => a.what[i] === what && a.source[i]))
    origins.set(a.source[i], (origins.get(a.source[i]) ?? new Set()).add(a.standing[i]));
  const shown_origins = [...origins].map(([source, how]) => `${source} (${[...how].filter(Boolean).join("; ")})`.replace(" ()", ""));
  $("source").textContent = shown_origins.length ? `Published: ${shown_origins.join("; ")}.` : "";
  return draw(
    "agreement",
    agreementChart({
      values,
      order: [...new Set(values.map(point => point.text))],
      percent: rate,
      width: width(),
      look,
      dark: night.matches,
    }),
    "",
    values.map(point => `${point.text}, ${point.who}: ${point.told}`).join("; "),
  );
}

// ---- the table

const rate = value => (value === value ? `${Number((100 * value).toFixed(1))}%` : "–");
const COLUMNS = [
  // heading, what it sorts by, how it is told, whether it is a number; exact columns for the CSV
  {
    name: "model",
    head: "Model",
    sort: cell => result.cells.model[cell],
    tell: cell => result.models[result.cells.model[cell]].label,
  },
  {
    name: "task",
    head: "Operation",
    sort: cell => result.cells.task[cell],
    tell: cell => result.tasks[result.cells.task[cell]][1],
  },
  {
    name: "range",
    head: "Trained → judged",
    sort: cell => result.cells.range[cell],
    tell: cell =>
      result.cells.trained[cell]
        ? `${result.cells.trained[cell]} → ${result.cells.judged[cell]}`
        : named.range()[result.cells.range[cell]],
  },
  {
    name: "setting",
    head: "Protocol",
    sort: cell => result.cells.setting[cell],
    tell: cell => result.settings[result.cells.setting[cell]][2],
  },
  {name: "seeds", head: "Networks", number: true, tell: cell => written(result.cells.seeds[cell])},
  {name: "success_rate", head: "Solved", number: true, tell: rate, interval: true},
  {name: "relative_interpolation", head: "Error inside", number: true, tell: share},
  {name: "relative_extrapolation", head: "Error outside", number: true, tell: share, interval: true},
  {name: "horizon", head: "Horizon", number: true, tell: value => (value === value ? written(value) : "–")},
  {
    name: "verdicts",
    head: "Verdicts",
    sort: cell => result.cells.verdicts?.[cell] ?? "",
    tell: cell => result.cells.verdicts?.[cell] ?? "",
  },
];
const valueOf = (column, cell) => result.cells[column.name]?.[cell] ?? NaN;
/** Those that are not one and the same in every row. */
const shownColumns = () =>
  COLUMNS.filter(({name}) => !KEYS.includes(name) || (state.whole && named[name]().length > 1));

/** A cell's text in a column, as the page writes it: [value, interval]. */
function texts(column, cell) {
  if (column.sort || column.name === "seeds") return [column.tell(cell), ""];
  const ends = column.interval ? ["_low", "_high"].map(end => result.cells[column.name + end]?.[cell] ?? NaN) : [NaN];
  const value = column.tell(valueOf(column, cell)),
    [low, high] = ends.map(end => column.tell(end));
  // An interval that rounds to its value says nothing in these digits.
  const interval = ends[0] !== ends[0] || (low === value && high === value) ? "" : ` [${low}, ${high}]`;
  return [value, interval + besides(result.cells[`${column.name}_not_finite`]?.[cell])];
}

/** The cells that the table shows, in its order. */
function tableCells() {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  let cells = [...Array(result.count).keys()];
  if (!state.whole) cells = cells.filter(cell => KEYS.every(key => result.cells[key][cell] === state[key]));
  if (words.length) {
    cells = cells.filter(cell => {
      const c = result.cells,
        model = result.models[c.model[cell]];
      const text = [
        model.name,
        model.label,
        model.family,
        ...result.tasks[c.task[cell]],
        ...result.ranges[c.range[cell]],
        ...result.settings[c.setting[cell]],
        c.verdicts?.[cell] ?? "",
      ]
        .join(" ")
        .toLowerCase();
      return words.every(word => text.includes(word));
    });
  }
  const column = COLUMNS.find(one => one.name === state.sort),
    key = column?.sort ?? (cell => valueOf(column, cell));
  const order = (a, b) => (a === b ? 0 : a !== a ? 1 : b !== b ? -1 : (a < b ? -1 : 1) * (state.down ? -1 : 1));
  return column ? cells.sort((a, b) => order(key(a), key(b))) : cells;
}

function drawTable() {
  const cells = tableCells(),
    columns = shownColumns(),
    shown = longer ? cells : cells.slice(0, FEW_ROWS);
  $("counted").textContent =
    `${cells.length.toLocaleString("en")} of ${result.count.toLocaleString("en")} rows` +
    (state.whole ? "" : ", those of the operation, range and protocol above");
  const head = element("tr");
  head.append(
    ...columns.map(column => {
      const th = element("th", "", {scope: "col"}),
        on = state.sort === column.name;
      if (on) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      const button = element("button", column.head + (on ? (state.down ? " ▼" : " ▲") : ""), {type: "button"});
      button.dataset.sort = column.name;
      th.append(button);
      return th;
    }),
    element("th", "Command", {scope: "col"}),
  );
  const body = element("tbody");
  body.append(
    ...shown.map(cell => {
      const row = element("tr");
      row.append(
        ...columns.map(column => {
          const [value, interval] = texts(column, cell),
            td = element("td", column.name === "model" ? "" : value, {className: column.number ? "number" : ""});
          if (column.name === "model") td.append(swatch(result.models[result.cells.model[cell]]), ` ${value}`);
          if (column.name === "success_rate" && result.cells.success_rate[cell] === 1) td.classList.add("solved");
          if (interval) td.append(element("small", interval));
          return td;
        }),
      );
      const td = element("td"),
        button = element("button", "Show", {type: "button"});
      button.dataset.cell = cell;
      button.setAttribute("aria-label", `Command for ${texts(COLUMNS[0], cell)[0]}, ${texts(COLUMNS[1], cell)[0]}`);
      td.append(button);
      row.append(td);
      return row;
    }),
  );
  const thead = element("thead");
  thead.append(head);
  const focused = document.activeElement?.dataset?.sort;
  $("table").replaceChildren(thead, body);
  if (focused) document.querySelector(`[data-sort="${focused}"]`)?.focus();
  $("more").hidden = shown.length === cells.length;
  $("more").textContent = `Show all ${cells.length.toLocaleString("en")} rows`;
}

/** The shown rows with every digit, under the columns' names in the results' own tables. */
function csv() {
  const c = result.cells,
    numbers = [
      "seeds",
      "success_rate",
      "success_rate_low",
      "success_rate_high",
      "relative_interpolation",
      "relative_interpolation_not_finite",
      "relative_extrapolation",
      "relative_extrapolation_low",
      "relative_extrapolation_high",
      "relative_extrapolation_not_finite",
      "horizon",
      "horizon_not_finite",
      "solved_at",
      "solved_at_low",
      "solved_at_high",
    ].filter(name => c[name]);
  const quoted = text => {
    const safe = FORMULA.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const exact = value => (value !== value ? "" : Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf");
  const lines = tableCells().map(cell =>
    [
      result.models[c.model[cell]].name,
      named.task()[c.task[cell]],
      named.range()[c.range[cell]],
      ...result.settings[c.setting[cell]].slice(0, 2),
      c.trained[cell],
      c.judged[cell],
    ]
      .map(quoted)
      .concat(
        numbers.map(name => exact(c[name][cell])),
        quoted(c.verdicts?.[cell] ?? ""),
      ),
  );
  const head = ["model", "task", "range", "protocol", "overrides", "trained", "judged", ...numbers, "verdicts"];
  return [head, ...lines].map(line => line.join(",")).join("\n") + "\n";
}

// ---- all together

/** Show what is chosen; the address bar keeps it. `parts`: only those that change. */
async function show(parts = ["controls", "charts", "table"]) {
  const turn = ++turns;
  if (parts.includes("controls")) {
    drawControls();
    [$("finding").textContent, $("detail").textContent] = finding();
    $("findings").textContent = result.findings.length ? `In all of this experiment: ${result.findings.join(" ")}` : "";
  }
  $("find").value = state.find;
  $("whole").checked = state.whole;
  if (parts.includes("table")) drawTable();
  if (parts.some(part => part !== "table")) {
    drawReach();
    const look = shared();
    const zoom = !parts.includes("charts");
    for (const chart of zoom
      ? [drawResponses, drawDistance]
      : [drawResponses, drawDistance, drawPlane, drawCurves, drawAgreement]) {
      await chart(look, zoom ? $("responses").view : null);
      if (turn !== turns) return; // something else was chosen meanwhile
    }
  }
  keep();
  document.documentElement.dataset.shown = turn;
}

function keep() {
  link = written_link();
  history.replaceState(null, "", link);
}

async function enter(hash) {
  $("told").textContent = (await follow(hash)).join(" ");
  settle();
  await show();
}

function failed(error) {
  $("finding").textContent = "This page cannot be shown here.";
  $("detail").textContent =
    typeof DecompressionStream === "undefined"
      ? "This browser is too old to unpack the results: any from 2023 on can."
      : String(error);
  console.error(error);
}
const safely =
  action =>
  (...given) =>
    Promise.resolve()
      .then(() => action(...given))
      .catch(failed);

$("experiment").addEventListener(
  "change",
  safely(async event => {
    state.experiment = Number(event.target.value);
    const before = Object.fromEntries(KEYS.map(key => [key, named[key]()[state[key]]])),
      models = state.models.map(model => result.models[model].name);
    result = await load(state.experiment);
    for (const key of KEYS) state[key] = Math.max(0, named[key]().indexOf(before[key]));
    state.models = result.models.map((_, model) => model).filter(model => models.includes(result.models[model].name));
    if (state.models.length < 2) state.models = [];
    longer = false;
    settle("task");
    await show();
  }),
);
for (const key of KEYS) {
  $(key).addEventListener(
    "change",
    safely(event => {
      state[key] = Number(event.target.value);
      settle(key);
      return show();
    }),
  );
}
$("models").addEventListener(
  "change",
  safely(event => {
    const model = Number(event.target.dataset.model);
    const models = event.target.checked
      ? [...state.models, model].sort((a, b) => a - b)
      : state.models.filter(one => one !== model);
    if (models.length) state.models = models;
    else $("told").textContent = "One model at least.";
    return show();
  }),
);
$("out").addEventListener("input", () => {
  state.out = Number($("out").value);
  drawReach();
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(safely(() => show(["slider"])));
});
$("operand").addEventListener(
  "change",
  safely(event => {
    state.operand = event.target.options[event.target.selectedIndex].text;
    return show(["charts"]);
  }),
);
$("what").addEventListener(
  "change",
  safely(event => {
    state.what = whats[Number(event.target.value)];
    return show();
  }),
);
$("find").addEventListener(
  "input",
  safely(() => {
    state.find = $("find").value;
    longer = false;
    return show(["table"]);
  }),
);
$("whole").addEventListener(
  "change",
  safely(() => {
    state.whole = $("whole").checked;
    longer = false;
    return show(["table"]);
  }),
);
$("more").addEventListener("click", () => {
  longer = true;
  drawTable();
});
$("table").addEventListener(
  "click",
  safely(event => {
    const {sort, cell} = event.target.dataset;
    if (sort) {
      // Up, down, as it was.
      if (state.sort !== sort) Object.assign(state, {sort, down: false});
      else if (!state.down) state.down = true;
      else Object.assign(state, {sort: "", down: false});
      return show(["table"]);
    }
    if (cell === undefined) return null;
    $("command-of").textContent = COLUMNS.slice(0, 4)
      .map(column => texts(column, Number(cell)).join(""))
      .join(" · ");
    $("command").textContent = result.cells.command[cell];
    $("note").textContent = result.cells.note[cell];
    $("copied").textContent = "";
    return $("reproduce").showModal();
  }),
);
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    $("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = "Selected: copy it with Ctrl-C or ⌘C.";
  }
});
$("close").addEventListener("click", () => $("reproduce").close());
$("save").addEventListener("click", () => {
  const address = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  element("a", "", {href: address, download: `${index[state.experiment].name.replace(/\W+/g, "_")}.csv`}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
});
$("choice").addEventListener("submit", event => event.preventDefault());
addEventListener(
  "hashchange",
  safely(() => (location.hash === link ? null : enter(location.hash))),
);
night.addEventListener(
  "change",
  safely(() => show()),
);
let wide = 0;
new ResizeObserver(() => {
  if (width() === wide || width() < 200) return;
  if (wide) safely(() => show(["charts"]))();
  wide = width();
}).observe(document.querySelector("main"));
safely(enter)(location.hash);
