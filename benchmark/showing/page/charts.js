"use strict";
// From numbers to Vega-Lite's specifications. Names are data here, never expressions or markup.

const LEAST = 1e-7,
  MOST = 1e3; // float32 resolves no more, and beyond a thousandfold nobody needs to tell apart
const DARKEST = 1e-5; // share of the largest target at which the operand plane's scale begins
const OURS = ["#1f6fb4", "#86b7f5"],
  THEIRS = ["#d1500b", "#f59a62"]; // in the light and in the dark
const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A relative error as percent, or as a multiple of the target from ten times on. */
function share(error) {
  if (Number.isNaN(error)) return "–";
  if (error === Infinity) return "∞";
  if (error >= 9.995) {
    if (error >= 999.5e12)
      return "× 10" + [...String(Math.round(Math.log10(error)))].map(digit => POWERS[digit]).join("");
    const [size, word] = [
      [1e12, " trillion"],
      [1e9, " billion"],
      [1e6, " million"],
      [1e4, " thousand"],
      [1, ""],
    ].find(([least]) => error >= least);
    const unit = size === 1e4 ? 1e3 : size;
    return "× " + Number((error / unit).toPrecision(2)).toLocaleString("en") + word;
  }
  const percent = 100 * error;
  if (percent > 0 && percent < 0.95e-4) return "< 0.0001%";
  if (percent >= 9.95) return `${Math.round(percent)}%`;
  if (percent >= 0.95) return `${Number(percent.toFixed(1))}%`;
  return `${Number(percent.toPrecision(1))}%`;
}

/** What stands beside a median: of how many networks, which it leaves out, the number is not finite. */
function besides(lost) {
  return lost > 0 ? ` (${lost}∞)` : "";
}

/** How far below the top of a logarithmic axis an error lies; beyond its ends it lies on them. */
function heightOf(error, least, most, height) {
  return height * (1 - Math.log(Math.min(Math.max(error, least), most) / least) / Math.log(most / least));
}

/** A number as it stands on an axis or in a sentence: four digits, with a true minus. */
function written(value) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace(/-/g, "−");
}

/** The page's colours and letters for Vega. */
function theme() {
  const of = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [ink, quiet, line] = ["--ink", "--quiet", "--line"].map(of);
  const axis = {
    labelColor: quiet,
    titleColor: quiet,
    domainColor: line,
    tickColor: line,
    gridColor: line,
    gridOpacity: 0.5,
    titleFontWeight: "normal",
    labelFontSize: 11,
    titleFontSize: 12,
    labelFlush: false,
    aria: false,
  };
  return {
    ink,
    quiet,
    shade: of("--shade"),
    config: {
      background: null,
      font: "system-ui, sans-serif",
      axis,
      view: {stroke: null},
      mark: {aria: false},
      text: {fill: ink},
      title: {color: ink, anchor: "start", fontSize: 13, offset: 6, aria: false},
      legend: {
        labelColor: quiet,
        titleColor: quiet,
        titleFontWeight: "normal",
        orient: "top",
        titleLimit: 600,
        aria: false,
      },
    },
  };
}

const PLAIN = "abs(datum.value) >= 1e6 ? format(datum.value, '~e') : format(datum.value, ',.4~r')";
const quantitative = (field, more = {}) => ({field, type: "quantitative", ...more});
const rows = values => ({data: {values}});
const ERRORS = {
  scale: {type: "log", domain: [LEAST, MOST], clamp: true},
  axis: {
    title: "relative error",
    values: [1e-6, 1e-4, 1e-2, 1, 100],
    minExtent: 52,
    labelExpr: "datum.value >= 10 ? '× ' + datum.value : format(datum.value, '~%')",
  },
};

/** Colour, dash and shape of each line, by its number. */
function styles(lines) {
  const scale = range => ({
    scale: {domain: lines.map((_, number) => number), range},
    legend: null,
    type: "nominal",
    field: "line",
  });
  return {
    color: scale(lines.map(line => line.color)),
    shape: scale(lines.map(line => line.shape)),
    strokeDash: scale(lines.map(line => (line.dash.length ? line.dash : [1, 0]))),
  };
}

/** Names at the right ends of lines, pushed apart where they would stand on each other. */
function names(lines, at, width, height, space, style) {
  const gap = 15,
    labels = lines
      .map((line, number) => ({line: number, text: line.text, y: at(line.end)}))
      .filter(label => Number.isFinite(label.y))
      .sort((a, b) => a.y - b.y);
  labels.forEach((label, i) => {
    if (i) label.y = Math.max(label.y, labels[i - 1].y + gap);
  });
  let floor = height;
  for (const label of [...labels].reverse()) {
    label.y = Math.min(label.y, floor);
    floor = label.y - gap;
  }
  return {
    ...rows(labels),
    mark: {
      type: "text",
      align: "left",
      baseline: "middle",
      fontWeight: 600,
      fontSize: space < 140 ? 10 : 11,
      limit: space,
    },
    encoding: {
      text: {field: "text"},
      x: {value: width + 6},
      y: quantitative("y", {scale: null, axis: null}),
      color: style.color,
    },
  };
}

/** What charts with the names of their lines to the right share: the lines' styles, the frame, and the names' layer. */
function framed(lines, width, height, look, at) {
  const space = width < 520 ? 136 : 180,
    inner = width - 62 - space,
    style = styles(lines);
  return {
    style,
    frame: {...look.base, width: inner, height, padding: 4},
    named: names(lines, at, inner, height, space - 8, style),
  };
}

/** How far the response chart reaches, by the names of its signals: the slider moves them and draws nothing anew. */
function reach(window, panels) {
  const right = panels[0].truth.filter(point => within(point.x, window)).map(point => point.y);
  const low = Math.min(...right),
    high = Math.max(...right),
    room = 0.35 * (high - low) || 1;
  return {left: window[0], right: window[1], bottom: low - room, top: high + room};
}

/** A panel a model: the right answer, the median answer and those of a few networks. */
function responseChart({panels, ends, trained, operand, width, look}) {
  const columns = Math.min(panels.length, width < 520 ? 2 : 3),
    gap = 22,
    left = 56;
  const each = Math.floor((width - left - gap * (columns - 1) - 8) / columns),
    height = Math.round(Math.min(each * 0.8, 210));
  const limits = (low, high) => ({domainMin: {expr: low}, domainMax: {expr: high}, nice: false, zero: false});
  return {
    ...look.base,
    params: Object.entries(ends).map(([name, value]) => ({name, value})),
    columns,
    spacing: {column: gap, row: 18},
    concat: panels.map((panel, place) => {
      const x = quantitative("x", {
        scale: limits("left", "right"),
        axis: {title: operand, tickCount: 5, grid: false, labelExpr: PLAIN},
      });
      const y = quantitative("y", {
        scale: limits("bottom", "top"),
        axis: {
          title: null,
          tickCount: 4,
          labelExpr: PLAIN,
          minExtent: place % columns ? 0 : 46,
          labels: place % columns === 0,
          ticks: false,
        },
      });
      const line = (values, mark, more = {}) => ({
        ...rows(values),
        mark: {type: "line", clip: true, ...mark},
        encoding: {x, y, ...more},
      });
      return {
        width: each,
        height,
        title: {text: panel.text, color: panel.color, limit: each},
        layer: [
          {
            ...rows([{low: trained[0], high: trained[1]}]),
            mark: {type: "rect", clip: true, color: look.shade},
            encoding: {x: {...x, field: "low"}, x2: {field: "high"}},
          },
          {
            ...rows([{x: trained[0]}]),
            mark: {type: "text", fontSize: 10, align: "left", dx: 2, baseline: "top", fill: look.quiet},
            encoding: {x, y: {value: 3}, text: {value: "trained here"}},
          },
          line(
            panel.seeds,
            {strokeWidth: 0.8, opacity: 0.6, color: panel.color},
            {detail: {field: "seed", type: "nominal"}},
          ),
          line(panel.median, {strokeWidth: 2.4, color: panel.color}),
          line(panel.truth, {strokeDash: [5, 4], strokeWidth: 1.4, color: look.ink}),
          {
            ...rows(panel.median),
            mark: {type: "point", opacity: 0, size: 90, clip: true, tooltip: true},
            encoding: {
              x,
              y,
              tooltip: [
                quantitative("x", {title: operand}),
                {field: "right", title: "right answer"},
                {field: "told", title: "median answer"},
              ],
            },
          },
        ],
      };
    }),
  };
}

/** The relative error of each model against the distance from the training range, or the input. */
function distanceChart({lines, others, window, trained, title, width, look}) {
  const height = width < 520 ? 280 : 340;
  const {style, frame, named} = framed(lines, width, height, look, error => heightOf(error, LEAST, MOST, height));
  const x = quantitative("x", {scale: {domain: window, nice: false}, axis: {title, grid: false}}),
    y = quantitative("y", ERRORS);
  const every = Math.max(1, Math.ceil(Math.max(...lines.map(line => line.points.length)) / 9));
  const points = lines.flatMap((line, number) =>
    line.points.map((point, i) => ({line: number, ...point, marked: i % every === 0})),
  );
  return {
    ...frame,
    layer: [
      {
        ...rows([{low: trained[0], high: trained[1]}]),
        mark: {type: "rect", clip: true, color: look.shade},
        encoding: {x: {...x, field: "low"}, x2: {field: "high"}},
      },
      {...rows([{y: 0.01}]), mark: {type: "rule", strokeDash: [2, 3], color: look.ink}, encoding: {y}},
      {
        ...rows(others),
        mark: {type: "line", clip: true, strokeWidth: 1, color: look.quiet, opacity: 0.35},
        encoding: {x, y, detail: {field: "line", type: "nominal"}},
      },
      {
        ...rows(points),
        mark: {type: "area", clip: true, opacity: 0.13},
        encoding: {x, y: {...y, field: "low"}, y2: {field: "high"}, color: style.color},
      },
      {
        ...rows(points),
        mark: {type: "line", clip: true, strokeWidth: 2},
        encoding: {x, y, color: style.color, strokeDash: style.strokeDash},
      },
      {
        ...rows(points.filter(point => point.marked)),
        mark: {type: "point", clip: true, filled: true, size: 55, opacity: 1},
        encoding: {x, y, color: style.color, shape: style.shape},
      },
      {
        ...rows(points),
        mark: {type: "point", opacity: 0, size: 120, clip: true, tooltip: true},
        encoding: {
          x,
          y,
          tooltip: [{field: "text", title: "model"}, quantitative("x", {title}), {field: "told", title: "error"}],
        },
      },
      named,
    ],
  };
}

/** The error over the operand plane, a panel a model. */
function planeChart({panels, extent, width, look}) {
  const columns = Math.min(panels.length, width < 520 ? 2 : 3),
    each = Math.min(260, Math.floor((width - 44 - 16 * (columns - 1)) / columns) - 4);
  const at = (field, left, title) =>
    quantitative(field, {
      scale: {domain: extent, nice: false},
      axis: {
        title: left ? title : null,
        labels: left,
        ticks: false,
        values: [extent[0] / 2, 0, extent[1] / 2],
        grid: false,
        domain: false,
      },
    });
  return {
    ...look.base,
    columns,
    spacing: {column: 16, row: 14},
    concat: panels.map((panel, place) => {
      const x = at("a", place >= panels.length - columns, "a"),
        y = at("b", place % columns === 0, "b");
      const box = (values, mark) => ({
        ...rows(values),
        mark: {type: "rect", fillOpacity: 0, clip: true, ...mark},
        encoding: {x, x2: {field: "a2"}, y, y2: {field: "b2"}},
      });
      return {
        width: each,
        height: each,
        title: {text: panel.text, color: panel.color, limit: each},
        layer: [
          {
            ...rows(panel.points),
            mark: {type: "rect", tooltip: true, stroke: null},
            encoding: {
              x,
              x2: {field: "a2"},
              y,
              y2: {field: "b2"},
              color: quantitative("error", {
                scale: {type: "log", domain: [DARKEST, 1], clamp: true, scheme: "cividis"},
                legend: {
                  title: "error, as a share of the largest target",
                  format: "~%",
                  gradientLength: Math.min(260, width - 60),
                  values: [1e-5, 1e-3, 0.1, 1],
                },
              }),
              tooltip: [
                quantitative("middleA", {title: "a"}),
                quantitative("middleB", {title: "b"}),
                {field: "told", title: "error"},
                {field: "relative", title: "of the target"},
              ],
            },
          },
          box(panel.judged, {stroke: "white", strokeWidth: 3}),
          box(panel.judged, {stroke: "black", strokeWidth: 1.2, strokeDash: [4, 3]}),
          box(panel.trained, {stroke: "white", strokeWidth: 4}),
          box(panel.trained, {stroke: "black", strokeWidth: 1.6}),
        ],
      };
    }),
  };
}

/** Errors inside (dashed) and outside (solid) by training step. */
function curveChart({lines, threshold, width, look}) {
  const height = 300;
  const seen = lines
    .flatMap(line => line.points)
    .map(point => point.y)
    .filter(y => y > 0 && Number.isFinite(y));
  const start = Math.max(...lines.map(line => line.start).filter(Number.isFinite), 1e-12);
  const least = Math.max(Math.min(...seen, threshold || Infinity) / 2, 1e-16),
    most = Math.max(Math.min(Math.max(...seen, 0) * 2, start * 1e3), least * 10);
  const x = quantitative("x", {axis: {title: "training step", grid: false, tickCount: width < 520 ? 2 : 5}, scale: {nice: false}});
  const y = quantitative("y", {
    scale: {type: "log", domain: [least, most], nice: false, clamp: true},
    axis: {title: "mean squared error", tickCount: 5, format: "~e", minExtent: 52},
  });
  const points = lines.flatMap((line, number) => line.points.map(point => ({line: number, ...point})));
  const {style, frame, named} = framed(lines, width, height, look, error => heightOf(error, least, most, height));
  return {
    ...frame,
    layer: [
      ...(threshold
        ? [{...rows([{y: threshold}]), mark: {type: "rule", strokeDash: [2, 3], color: look.ink}, encoding: {y}}]
        : []),
      {
        ...rows(points),
        mark: {type: "line", clip: true, strokeWidth: 1.8},
        encoding: {
          x,
          y,
          color: style.color,
          strokeDash: {
            field: "side",
            type: "nominal",
            legend: null,
            scale: {
              domain: ["inside", "outside"],
              range: [
                [4, 3],
                [1, 0],
              ],
            },
          },
        },
      },
      {
        ...rows(points),
        mark: {type: "point", opacity: 0, size: 80, clip: true, tooltip: true},
        encoding: {
          x,
          y,
          tooltip: [
            {field: "text", title: "model"},
            {field: "side", title: "range"},
            quantitative("x", {title: "step"}),
            quantitative("y", {title: "error", format: ".3~g"}),
          ],
        },
      },
      named,
    ],
  };
}

/** The share of the networks that solve their task, by training step. */
function learnedChart({lines, width, look}) {
  const height = 240;
  const {style, frame, named} = framed(lines, width, height, look, share => height * (1 - share));
  const x = quantitative("x", {axis: {title: "training step", grid: false, tickCount: width < 520 ? 2 : 5}, scale: {nice: false}});
  const y = quantitative("y", {
    scale: {domain: [0, 1]},
    axis: {title: "share that solves it", format: "%", tickCount: 5, minExtent: 52},
  });
  const points = lines.flatMap((line, number) => line.points.map(point => ({line: number, ...point})));
  return {
    ...frame,
    layer: [
      {
        ...rows(points),
        mark: {type: "line", interpolate: "step-after", strokeWidth: 2},
        encoding: {x, y, color: style.color, strokeDash: style.strokeDash},
      },
      {
        ...rows(points),
        mark: {type: "point", opacity: 0, size: 80, tooltip: true},
        encoding: {
          x,
          y,
          tooltip: [
            {field: "text", title: "model"},
            quantitative("x", {title: "by step"}),
            {field: "told", title: "solved"},
          ],
        },
      },
      named,
    ],
  };
}

/** Our numbers beside published ones, each with its interval. */
function agreementChart({values, order, percent, width, look, dark}) {
  const intervals = values.filter(value => Number.isFinite(value.low));
  const shown = values.flatMap(value => [value.value, value.low, value.high]).filter(Number.isFinite);
  const most = Math.max(...shown),
    above = shown.filter(value => value > 0),
    least = Math.max(Math.min(...above), most / 1e18);
  const spread = Math.min(...shown) >= 0 && most > 1e3 * least;
  const scale = percent ? {domain: [0, 1]} : spread ? {type: "log", domain: [least, most]} : {zero: false};
  if (spread && !percent) // what is less, or 0, lies at the end of the axis
    for (const value of values) for (const end of ["value", "low", "high"]) value[end] = Math.max(value[end], least);
  const x = quantitative("value", {
    scale,
    axis: {title: null, tickCount: 5, ...(percent ? {format: "%"} : {labelExpr: PLAIN})},
  });
  const space = Math.min(190, width * 0.36);
  const y = {
    field: "text",
    type: "nominal",
    sort: order,
    axis: {
      title: null,
      labelLimit: space,
      minExtent: space,
      ticks: false,
      domain: false,
      grid: true,
      labelColor: look.ink,
    },
  };
  const who = {field: "who", type: "nominal", scale: {domain: ["ours", "published"]}, legend: {title: null}};
  const color = {...who, scale: {...who.scale, range: [OURS[+dark], THEIRS[+dark]]}};
  return {
    ...look.base,
    width: width - space - 30,
    height: {step: 26},
    layer: [
      ...(intervals.length
        ? [
            {
              ...rows(intervals),
              mark: {type: "rule", strokeWidth: 6, opacity: 0.28},
              encoding: {y, x: {...x, field: "low"}, x2: {field: "high"}, color},
            },
          ]
        : []),
      {
        ...rows(values),
        mark: {type: "line", color: look.quiet, strokeWidth: 1},
        encoding: {y, x, detail: {field: "text"}},
      },
      {
        ...rows(values),
        mark: {type: "point", filled: true, size: 90, opacity: 1, tooltip: true},
        encoding: {
          y,
          x,
          color,
          shape: {...who, scale: {...who.scale, range: ["circle", "diamond"]}},
          tooltip: [
            {field: "text", title: "of"},
            {field: "who", title: "whose"},
            {field: "told", title: "value"},
            {field: "verdict", title: "verdict"},
          ],
        },
      },
    ],
  };
}
