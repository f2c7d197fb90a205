"use strict";

// Figures whose colours tell variants apart. Each function draws a chart into a host element; `looks` maps variants to
// the number of their colour, of which 0 is the baseline's. Others are grey.

const COLOURS = 7;

const colour = (look) => (look === undefined ? "var(--rest)" : `var(--series-${look < COLOURS ? look : 1 + (look - 1) % (COLOURS - 1)})`);
const stroke = (look) => ({ stroke: colour(look), "stroke-dasharray": look >= COLOURS ? "5 3" : "none" });
const interval = (low, high) => (low === null || low === undefined ? "" : ` [${short(low)}, ${short(high)}]`);

// Variants in colour last, so that they lie above the others.
const behind = (looks, key) => (a, b) => looks.has(key(a)) - looks.has(key(b));

// Lines with bands; `dots` marks each point; `place` words the position of a series' k-th point.
function drawProfile(host, chart, { labels, looks, names, baseline, title, zero = false, dots = false, tick = String, place }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const { share } = chart;
  const stressed = chart.series.filter((one) => looks.has(one.variant));
  const xs = [...new Set(chart.series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const x = linear(xs, area.left, area.right, { pad: dots ? 0.05 : 0 });
  if (dots) x.ticks = xs.map((value) => [value, tick(value)]);
  const bounds = stressed.flatMap((one) => [...(one.low ?? []), ...(one.high ?? [])]);
  const y = linear([...chart.series.flatMap((one) => one.mean), ...bounds], area.bottom, area.top, { zero, share });
  frame(picture, x, y, chart.xLabel, chart.yLabel);
  const points = (one, values) => one.x.map((value, k) => [x(value), values[k]]).filter((point) => point[1] !== null)
    .map(([across, value]) => [across, y(value)]);
  const marks = [];
  for (const one of [...chart.series].sort(behind(looks, ({ variant }) => variant))) {
    const { variant } = one;
    const look = looks.get(variant);
    const series = svg("g", { class: "series", "data-variant": variant });
    root.append(series);
    const width = look === undefined ? 0.8 : variant === baseline ? 2.6 : 2;
    if (look !== undefined && one.low) {
      const band = [...points(one, one.high), ...points(one, one.low).reverse()];
      series.append(svg("path", { d: `${path(band)}Z`, fill: colour(look), opacity: 0.13, class: "band" }));
    }
    series.append(svg("path", { d: path(points(one, one.mean)), fill: "none", ...stroke(look), "stroke-width": width }));
    if (look === undefined) continue;
    one.x.forEach((value, k) => {
      if (one.mean[k] === null) return;
      const at = { x: x(value), y: y(one.mean[k]) };
      const where = place ? place(one, k) : `${chart.xLabel} ${value}`;
      marks.push({ ...at, variant, text: `${labels.get(variant)}\n${where}: ${short(one.mean[k])}${interval(one.low?.[k], one.high?.[k])}` });
      if (dots || one.x.length === 1) series.append(svg("circle", { cx: at.x, cy: at.y, r: 3.5, fill: colour(look) }));
    });
  }
  legend(host, root, entriesOf(chart.series.map(({ variant }) => variant), { names, looks }));
  reader(host, picture, marks);
}

function drawResponse(host, chart, { axis, metric, title }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const x = settings(chart.levels, area.left, area.right);
  const all = [...chart.points.flat(), ...chart.low, ...chart.high, ...chart.mean];
  const y = linear(all, area.bottom, area.top, { share: chart.share });
  frame(picture, x, y, axis, metric);
  const marks = [];
  chart.levels.forEach((level, k) => {
    for (const value of chart.points[k].length > 1 ? chart.points[k] : []) {
      root.append(svg("circle", { cx: x(level) + 10, cy: y(value), r: 3, fill: "var(--point)" }));
      marks.push({ x: x(level) + 10, y: y(value), text: `${axis} ${level}\none seed: ${short(value)}` });
    }
    if (chart.mean[k] === null) return;
    if (chart.low[k] !== null) {
      const [low, high] = [y(chart.low[k]), y(chart.high[k])];
      root.append(svg("line", { x1: x(level), x2: x(level), y1: low, y2: high, stroke: "var(--accent)", "stroke-width": 2.5 }));
    }
    root.append(svg("circle", { cx: x(level), cy: y(chart.mean[k]), r: 5.5, fill: "var(--accent)" }));
    const text = `${axis} ${level}\nmean ${short(chart.mean[k])}${interval(chart.low[k], chart.high[k])}, n = ${chart.n[k]}`;
    marks.push({ x: x(level), y: y(chart.mean[k]), text });
  });
  reader(host, picture, marks);
}

function drawFront(host, chart, { labels, looks, names, metric, title }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const known = chart.variant.map((_, k) => k).filter((k) => chart.x[k] !== null && chart.y[k] !== null);
  const x = linear(known.map((k) => chart.x[k]), area.left, area.right);
  const y = linear(known.map((k) => chart.y[k]), area.bottom, area.top, { share: chart.share });
  frame(picture, x, y, chart.xLabel, metric);
  const place = (k) => [x(chart.x[k]), y(chart.y[k])];
  const edge = known.filter((k) => chart.front[k]).sort((a, b) => chart.x[a] - chart.x[b]);
  root.append(svg("path", { d: path(edge.map(place)), fill: "none", stroke: "var(--soft)", "stroke-dasharray": "2 3" }));
  const marks = [...known].sort(behind(looks, (k) => chart.variant[k])).map((k) => {
    const variant = chart.variant[k];
    const [cx, cy] = place(k);
    const fill = colour(looks.get(variant));
    const ring = chart.front[k] ? { stroke: "var(--soft)", "stroke-width": 1.5, "stroke-dasharray": "2 2" } : {};
    const dot = svg("circle", { cx, cy, r: looks.has(variant) ? 5.5 : 4, fill });
    const rings = chart.front[k] ? [svg("circle", { cx, cy, r: 9, fill: "none", ...ring })] : [];
    root.append(svg("g", { class: "series", "data-variant": variant }, dot, ...rings));
    const text = `${labels.get(variant)}\n${metric} ${short(chart.y[k])}, ${chart.xLabel} ${short(chart.x[k])}`;
    return { x: cx, y: cy, variant, text: chart.front[k] ? `${text}\non the front` : text };
  });
  legend(host, root, entriesOf(known.map((k) => chart.variant[k]), { names, looks }));
  reader(host, picture, marks);
}
