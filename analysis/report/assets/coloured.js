"use strict";

// Figures in which colour is the metric: heat maps and parallel coordinates.

const SHADES = 13;
const BAR = 12;  // width of a colour bar, px
const TURN = 55;  // degrees of turned names
const LEAST = 64;  // distance of two axes, px
const FAN = 0.6;  // share of the height of a level over which its lines are spread

// Number of the shade of a value between `low` and `high`.
const shade = (value, low, high) => (high > low ? Math.round(((value - low) / (high - low)) * (SHADES - 1)) : SHADES - 1);

// The shades from low to high, bottom to top.
function colourBar(root, x, top, bottom) {
  const tall = (bottom - top) / SHADES;
  for (let k = 0; k < SHADES; k += 1) {
    root.append(svg("rect", { x, y: bottom - (k + 1) * tall, width: BAR, height: tall + 0.5, fill: `var(--map-${k})` }));
  }
}

function drawMap(host, chart, { metric, title }) {
  const row = Math.min(Math.max((HEIGHT - 60) / chart.down.length, 34), 84);
  const picture = canvas(host, title, { height: 60 + row * chart.down.length, names: chart.down, right: 76 });
  const { root, area } = picture;
  const [low, high] = minmax(chart.cells.map((cell) => cell[2]).filter((value) => value !== null));
  const wide = (area.right - area.left) / chart.across.length;
  const tall = (area.bottom - area.top) / chart.down.length;
  const centre = (names, step, from) => Object.assign((index) => from + step * (index + 0.5), { ticks: names.map((text, index) => [index, text]) });
  const x = centre(chart.across, wide, area.left);
  const y = centre(chart.down, tall, area.top);
  frame(picture, x, y, chart.cols, chart.rows);
  const marks = [];
  for (const [down, across, mean, sd, n] of chart.cells) {
    const name = `${chart.rows} ${chart.down[down]}, ${chart.cols} ${chart.across[across]}`;
    const spread = sd === null ? "" : ` ± ${short(sd)}`;
    marks.push({ x: x(across), y: y(down), text: `${name}\n${metric} ${short(mean)}${spread}, n = ${n}` });
    if (mean === null) continue;
    const k = shade(mean, low, high);
    const cell = { x: x(across) - wide / 2, y: y(down) - tall / 2, width: wide - 1, height: tall - 1, fill: `var(--map-${k})` };
    root.append(svg("rect", cell));
    const place = { x: x(across), y: y(down) + 4, "text-anchor": "middle", style: `fill: var(--on-map-${k})` };
    if (wide > 48) root.append(svg("text", place, short(mean)));
  }
  if (high > low) {
    colourBar(root, area.right + 12, area.top, area.bottom);
    for (const [value, at] of [[high, area.top + 10], [low, area.bottom]]) {
      root.append(svg("text", { x: area.right + 12 + BAR + 4, y: at }, value.toPrecision(3)));
    }
  }
  reader(host, picture, marks);
}

// Place of each variant on the axis of a setting: every level is a stretch, within which variants lie in the order of
// their means, so that lines through the same level do not hide each other.
function spreadOut(values, known, from, to) {
  const levels = [...new Set([...known].sort((a, b) => a - b).map((k) => values[k]))];  // in the plan's order
  if (levels.every((value) => typeof value === "number")) levels.sort((a, b) => a - b);
  const stretch = (to - from) / levels.length;
  const centre = (level) => from + stretch * (levels.indexOf(level) + 0.5);
  const places = new Map();
  for (const level of levels) {
    const inside = known.filter((k) => values[k] === level);
    inside.forEach((k, rank) => {
      const share = inside.length > 1 ? rank / (inside.length - 1) - 0.5 : 0;
      places.set(k, centre(level) + stretch * FAN * share);
    });
  }
  const stretches = levels.map((level) => [centre(level) - stretch * FAN / 2, centre(level) + stretch * FAN / 2]);
  return { place: (k) => places.get(k), ticks: levels.map((level) => [centre(level), String(level)]), stretches };
}

function drawParallel(host, chart, { labels, looks, metric, title }) {
  const least = 70 + LEAST * chart.axes.length;
  const gap = (Math.max(host.clientWidth, least) - 70) / chart.axes.length;
  const names = chart.axes.map(({ name }) => name);
  const longest = Math.max(...names.map((name) => name.length)) * LETTER;
  const turned = longest > gap - 8;
  const room = turned ? Math.min(longest, 160) * Math.sin((TURN * Math.PI) / 180) : 0;
  const picture = canvas(host, title, { height: HEIGHT + room, least });
  const { root, area } = picture;
  area.bottom -= room;
  const known = chart.mean.map((_, k) => k).filter((k) => chart.mean[k] !== null).sort((a, b) => chart.mean[a] - chart.mean[b]);
  const [low, high] = minmax(known.map((k) => chart.mean[k]));
  const value = linear(known.map((k) => chart.mean[k]), area.bottom, area.top, { pad: 0 });
  const columns = chart.axes.map(({ values }) => spreadOut(values, known, area.bottom, area.top));
  columns.push({ place: (k) => value(chart.mean[k]), ticks: value.ticks.map(([tick, text]) => [value(tick), text]) });
  const xs = columns.map((_, column) => 8 + gap * column);
  const lines = known.map((k) => {
    const points = columns.map(({ place }, column) => [xs[column], place(k)]);
    const chosen = looks.has(chart.variant[k]);
    const line = { d: path(points), fill: "none", stroke: `var(--map-${shade(chart.mean[k], low, high)})`, "stroke-width": chosen ? 2.6 : 1.2 };
    root.append(svg("g", { class: "series", "data-variant": chart.variant[k] }, svg("path", { ...line, opacity: chosen ? 1 : 0.75 })));
    const text = `${labels.get(chart.variant[k])}\n${metric} ${short(chart.mean[k])}`;
    return { x: points.at(-1)[0], y: points.at(-1)[1], points, text, variant: chart.variant[k] };
  });
  columns.forEach((column, index) => drawColumn(picture, column, xs[index], gap, index === names.length));
  names.forEach((name, index) => {
    const at = { x: xs[index], y: area.bottom + 20, "text-anchor": turned ? "start" : index ? "middle" : "start" };
    const turn = { transform: `rotate(${TURN} ${xs[index]} ${area.bottom + 16})` };
    root.append(fitted(name, turned ? 160 : gap, turned ? { ...at, ...turn } : at));
  });
  const beside = gap - (names.at(-1).length / 2 + metric.length) * LETTER + 62 > 0;  // there is room beside the last name
  const below = turned || beside ? 20 : 38;
  root.append(svg("text", { x: picture.width - 2, y: area.bottom + below, "text-anchor": "end" }, metric));
  reader(host, picture, lines, { nearest: nearestLine, order: (a, b) => b.y - a.y });
}

// An axis with its ticks; the metric's is a colour bar: the legend of the lines.
function drawColumn({ root, area }, { ticks, stretches }, x, gap, last) {
  if (last) colourBar(root, x, area.top, area.bottom);
  else for (const [y1, y2] of stretches) root.append(svg("line", { x1: x, x2: x, y1, y2, class: "frame", "stroke-width": 3 }));
  let free = Infinity;
  for (const [y, text] of [...ticks].sort((a, b) => b[0] - a[0])) {
    if (y > free || y > area.bottom + 1 || y < area.top - 1) continue;
    free = y - 14;
    if (last) {
      root.append(svg("text", { x: x + BAR + 4, y: y + 4 }, text));
      continue;
    }
    const width = Math.min(text.length * LETTER + 6, gap - 12);
    root.append(svg("rect", { x: x + 4, y: y - 9, width, height: 18, rx: 3, class: "plate" }));
    root.append(fitted(text, gap - 18, { x: x + 7, y: y + 4, class: "level" }));
  }
}

// Index of the line that passes nearest above or below a place.
function nearestLine(lines, x, y) {
  const distances = lines.map(({ points }) => {
    const next = points.findIndex(([across]) => across >= x);
    if (next <= 0) return Math.abs((next ? points.at(-1) : points[0])[1] - y);
    const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]];
    return Math.abs(y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) - y);
  });
  return distances.indexOf(Math.min(...distances));
}
