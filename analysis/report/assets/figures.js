"use strict";

// The figures: each function draws a chart into a host element. `looks` maps highlighted variants to colour numbers.

const COLOURS = 7;
const MAP = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];

const colour = (look) => `var(--series-${look % COLOURS})`;
const dashes = (look) => (look < COLOURS ? "none" : "5 3");

// Colour (cividis) of a number in [0, 1], and whether it is dark.
function shade(share) {
  const place = Math.round(share * (MAP.length - 1));
  return { fill: MAP[place], dark: place < MAP.length / 2 };
}

function drawProfile(host, chart, { labels, looks, title, zero = false, dots = false }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const stressed = chart.series.filter((one) => looks.has(one.variant));
  const xs = [...new Set(chart.series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const x = dots ? Object.assign(linear(xs, area.left, area.right), { ticks: xs.map((value) => [value, String(value)]) })
    : linear(xs, area.left, area.right, { pad: 0 });
  const bounds = stressed.flatMap((one) => [...(one.low ?? []), ...(one.high ?? [])]);
  const y = linear([...chart.series.flatMap((one) => one.mean), ...bounds], area.bottom, area.top, { zero });
  frame(picture, x, y, chart.xLabel, chart.yLabel);
  const points = (one, values) => one.x.map((place, k) => [x(place), values[k]]).filter((point) => point[1] !== null)
    .map(([place, value]) => [place, y(value)]);
  for (const one of chart.series) {
    if (looks.has(one.variant)) continue;
    root.append(svg("path", { d: path(points(one, one.mean)), fill: "none", stroke: "var(--rest)", "stroke-width": 0.8 }));
  }
  const marks = [];
  for (const one of stressed) {
    const look = looks.get(one.variant);
    if (one.low) {
      const band = [...points(one, one.high), ...points(one, one.low).reverse()];
      root.append(svg("path", { d: `${path(band)}Z`, fill: colour(look), opacity: 0.18 }));
    }
    const line = { d: path(points(one, one.mean)), fill: "none", stroke: colour(look), "stroke-width": 2 };
    root.append(svg("path", { ...line, "stroke-dasharray": dashes(look) }));
    one.x.forEach((place, k) => {
      if (one.mean[k] === null) return;
      const interval = one.low && one.low[k] !== null ? ` [${short(one.low[k])}, ${short(one.high[k])}]` : "";
      const text = `${labels.get(one.variant)}\n${chart.xLabel} ${place}: ${short(one.mean[k])}${interval}`;
      marks.push({ x: x(place), y: y(one.mean[k]), text });
      if (dots || one.x.length === 1) root.append(svg("circle", { cx: x(place), cy: y(one.mean[k]), r: 3.5, fill: colour(look) }));
    });
  }
  reader(host, picture, marks);
}

function drawResponse(host, chart, { axis, metric, title }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const x = settings(chart.levels, area.left, area.right);
  const all = [...chart.points.flat(), ...chart.low, ...chart.high, ...chart.mean];
  const y = linear(all, area.bottom, area.top);
  frame(picture, x, y, axis, metric);
  const marks = [];
  chart.levels.forEach((level, k) => {
    for (const value of chart.points[k].length > 1 ? chart.points[k] : []) {
      root.append(svg("circle", { cx: x(level) + 9, cy: y(value), r: 2.5, fill: "var(--point)" }));
      marks.push({ x: x(level) + 9, y: y(value), text: `${axis} ${level}\none seed: ${short(value)}` });
    }
    if (chart.mean[k] === null) return;
    if (chart.low[k] !== null) {
      const [low, high] = [y(chart.low[k]), y(chart.high[k])];
      root.append(svg("line", { x1: x(level), x2: x(level), y1: low, y2: high, stroke: colour(0), "stroke-width": 2 }));
    }
    root.append(svg("circle", { cx: x(level), cy: y(chart.mean[k]), r: 5, fill: colour(0) }));
    const interval = chart.low[k] === null ? "" : ` [${short(chart.low[k])}, ${short(chart.high[k])}]`;
    const text = `${axis} ${level}\nmean ${short(chart.mean[k])}${interval}, n = ${chart.n[k]}`;
    marks.push({ x: x(level), y: y(chart.mean[k]), text });
  });
  reader(host, picture, marks);
}

function drawMap(host, chart, { metric, title }) {
  const picture = canvas(host, title, { height: 70 + 34 * chart.down.length, names: chart.down });
  const { root, area } = picture;
  const [low, high] = minmax(chart.cells.map((cell) => cell[2]).filter((value) => value !== null));
  const wide = (area.right - area.left) / chart.across.length;
  const tall = (area.bottom - area.top) / chart.down.length;
  const centre = (count, step, from) => {
    const scale = (index) => from + step * (index + 0.5);
    scale.ticks = count.map((text, index) => [index, text]);
    return scale;
  };
  const x = centre(chart.across, wide, area.left);
  const y = centre(chart.down, tall, area.top);
  frame(picture, x, y, chart.cols, chart.rows);
  const marks = [];
  for (const [row, col, mean, sd, n] of chart.cells) {
    const name = `${chart.rows} ${chart.down[row]}, ${chart.cols} ${chart.across[col]}`;
    const spread = sd === null ? "" : ` ± ${short(sd)}`;
    marks.push({ x: x(col), y: y(row), text: `${name}\n${metric} ${short(mean)}${spread}, n = ${n}` });
    if (mean === null) continue;
    const { fill, dark } = shade(high > low ? (mean - low) / (high - low) : 1);
    root.append(svg("rect", { x: x(col) - wide / 2, y: y(row) - tall / 2, width: wide - 1, height: tall - 1, fill }));
    const place = { x: x(col), y: y(row) + 4, "text-anchor": "middle", class: dark ? "on-dark" : "on-light" };
    if (wide > 50) root.append(svg("text", place, short(mean)));
  }
  reader(host, picture, marks);
}

function drawFront(host, chart, { labels, looks, metric, title }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const known = chart.variant.map((_, k) => k).filter((k) => chart.x[k] !== null && chart.y[k] !== null);
  const x = linear(known.map((k) => chart.x[k]), area.left, area.right);
  const y = linear(known.map((k) => chart.y[k]), area.bottom, area.top);
  frame(picture, x, y, chart.xLabel, metric);
  const place = (k) => [x(chart.x[k]), y(chart.y[k])];
  const edge = known.filter((k) => chart.front[k]).sort((a, b) => chart.x[a] - chart.x[b]);
  root.append(svg("path", { d: path(edge.map(place)), fill: "none", stroke: "var(--soft)", "stroke-dasharray": "2 3" }));
  const marks = known.map((k) => {
    const [cx, cy] = place(k);
    const look = looks.get(chart.variant[k]);
    const fill = look === undefined ? "var(--rest)" : colour(look);
    const ring = chart.front[k] ? { stroke: "var(--ink)", "stroke-width": 1.5 } : {};
    root.append(svg("circle", { cx, cy, r: chart.front[k] ? 6 : 4, fill, ...ring }));
    const text = `${labels.get(chart.variant[k])}\n${metric} ${short(chart.y[k])}, ${chart.xLabel} ${short(chart.x[k])}`;
    return { x: cx, y: cy, text: chart.front[k] ? `${text}\non the front` : text };
  });
  reader(host, picture, marks);
}

function drawParallel(host, chart, { labels, metric, title }) {
  const picture = canvas(host, title);
  const { root, area } = picture;
  const right = area.right - 40;
  const known = chart.mean.map((_, k) => k).filter((k) => chart.mean[k] !== null).sort((a, b) => chart.mean[a] - chart.mean[b]);
  const [low, high] = minmax(known.map((k) => chart.mean[k]));
  const columns = [...chart.axes, { name: metric, values: chart.mean }];
  const places = columns.map((_, k) => area.left + ((right - area.left) * k) / (columns.length - 1));
  const heights = columns.map(({ values }, k) => {
    if (k === chart.axes.length) return linear(values, area.bottom, area.top);
    const levels = [...new Set(values)];
    if (levels.every((value) => typeof value === "number")) levels.sort((a, b) => a - b);
    const scale = (value) => area.bottom - ((area.bottom - area.top) * levels.indexOf(value)) / Math.max(levels.length - 1, 1);
    return Object.assign(scale, { ticks: levels.map((level) => [level, String(level)]) });
  });
  const marks = [];
  for (const k of known) {
    const points = columns.map(({ values }, column) => [places[column], heights[column](values[k])]);
    const share = high > low ? (chart.mean[k] - low) / (high - low) : 1;
    const stroke = `color-mix(in oklab, var(--accent) ${Math.round(100 * share)}%, var(--rest))`;
    root.append(svg("path", { d: path(points), fill: "none", stroke, "stroke-width": 1 + share }));
    const [x, y] = points.at(-1);
    marks.push({ x, y, text: `${labels.get(chart.variant[k])}\n${metric} ${short(chart.mean[k])}` });
  }
  columns.forEach(({ name }, column) => {
    const [x, anchor] = [places[column], column ? (column === columns.length - 1 ? "end" : "middle") : "start"];
    root.append(svg("line", { x1: x, x2: x, y1: area.top, y2: area.bottom, class: "frame" }));
    root.append(svg("text", { x: column === columns.length - 1 ? x + 40 : x, y: area.bottom + 30, "text-anchor": anchor }, name));
    let free = Infinity;
    for (const [value, text] of [...heights[column].ticks].sort((a, b) => heights[column](b[0]) - heights[column](a[0]))) {
      const y = heights[column](value);
      if (y > free || y > area.bottom + 1 || y < area.top - 1) continue;
      free = y - 14;
      const style = { x: x + 5, y: y + 4, "paint-order": "stroke", stroke: "var(--paper)", "stroke-width": 4 };
      root.append(svg("text", style, text));
    }
  });
  reader(host, picture, marks);
}
