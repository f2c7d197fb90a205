"use strict";

// Drawing: scales and axes.

const HEIGHT = 320;
const LETTER = 6.6;  // mean width of a character, px
const MARGIN = { top: 12, right: 16, bottom: 44, left: 64 };

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// A number to four digits, as short as possible: "0.9300", "12", "6.87e+6".
function short(value) {
  if (value === null) return "none";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

// A round number in as few digits as possible: "0.4", "6.5e6".
function rounded(value) {
  const trimmed = Number(value.toPrecision(10));
  const size = Math.abs(trimmed);
  return trimmed !== 0 && (size >= 1e5 || size < 1e-3) ? trimmed.toExponential().replace("e+", "e") : String(trimmed);
}

// Round numbers that cover [low, high] in about `count` steps.
function ticks(low, high, count = 7) {
  if (low === high) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k += 1) found.push(Number((k * step).toPrecision(12)));
  return found;
}

// A scale over `values`; with `share` it does not leave [0, 1].
function linear(values, from, to, { zero = false, pad = 0.05, share = false } = {}) {
  const known = values.filter((value) => value !== null);
  let low = Math.min(...(zero ? [0] : []), ...minmax(known));
  let high = Math.max(...minmax(known));
  if (low === high) { low -= Math.abs(low) * 0.05 || 1; high += Math.abs(high) * 0.05 || 1; }
  const extra = (high - low) * pad;
  if (!zero) low -= extra;
  high += extra;
  if (share) [low, high] = [Math.max(low, 0), Math.min(high, 1)];
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  scale.ticks = ticks(low, high).map((value) => [value, rounded(value)]);
  return scale;
}

// Scale of a setting: logarithmic if numbers span most of a decade; a tick for each number if there are few.
function settings(values, from, to) {
  const numeric = values.every((value) => typeof value === "number");
  if (!numeric) {
    const step = (to - from) / values.length;
    const band = (index) => from + step * (index + 0.5);
    const scale = (value) => band(values.indexOf(value));
    scale.ticks = values.map((value) => [value, String(value)]);
    return scale;
  }
  const [low, high] = minmax(values);
  const logarithmic = low > 0 && high / low >= 8;
  const inner = linear(logarithmic ? values.map(Math.log) : values, from, to);
  const scale = (value) => inner(logarithmic ? Math.log(value) : value);
  scale.ticks = values.length <= 10 ? values.map((value) => [value, String(value)]) : inner.ticks.map(([value, text]) =>
    logarithmic ? [Math.exp(value), short(Math.exp(value))] : [value, text]);
  return scale;
}

function minmax(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

// An SVG with its plot area; `names` are the labels to the left, for which the margin makes room. A host narrower than
// `least` px scrolls.
function canvas(host, title, { height = HEIGHT, names = [], right = MARGIN.right, least = 240 } = {}) {
  const width = Math.max(host.clientWidth, least);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title, tabindex: 0 });
  if (width > host.clientWidth) root.style.width = `${width}px`;
  host.replaceChildren(root);
  const longest = Math.max(0, ...names.map((name) => name.length));
  const left = Math.min(Math.max(MARGIN.left, 34 + LETTER * longest), width / 2);
  const area = { left, right: width - right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  return { root, area, width, height };
}

// `text` cut to about `width` px; what is cut has the whole text as its tooltip.
function fitted(text, width, attributes) {
  const most = Math.max(Math.floor(width / LETTER), 2);
  if (text.length <= most) return svg("text", attributes, text);
  return svg("text", attributes, `${text.slice(0, most - 1)}…`, svg("title", {}, text));
}

// Axes with ticks and labels; tick labels that would overlap are left out.
function frame({ root, area, width }, x, y, xLabel, yLabel) {
  let free = -Infinity;
  for (const [value, text] of [...x.ticks].sort((a, b) => x(a[0]) - x(b[0]))) {
    const place = x(value);
    const half = text.length * LETTER / 2;
    if (place < area.left - 1 || place > area.right + 1 || place - half < free) continue;
    free = place + half + 6;
    root.append(svg("text", { x: place, y: area.bottom + 16, "text-anchor": "middle" }, text));
  }
  for (const [value, text] of y.ticks) {
    const place = y(value);
    if (place > area.bottom + 1 || place < area.top - 1) continue;
    root.append(svg("line", { x1: area.left, x2: area.right, y1: place, y2: place, class: "gridline" }));
    root.append(fitted(text, area.left - 26, { x: area.left - 6, y: place + 4, "text-anchor": "end" }));
  }
  root.append(svg("line", { x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom, class: "frame" }));
  const half = Math.min(xLabel.length * LETTER, width) / 2;
  const centred = { x: Math.min((area.left + area.right) / 2, width - half), y: area.bottom + 36, "text-anchor": "middle" };
  root.append(fitted(xLabel, width, centred));
  const middle = (area.top + area.bottom) / 2;
  const turned = { x: 13, y: middle, transform: `rotate(-90 13 ${middle})`, "text-anchor": "middle" };
  root.append(fitted(yLabel, area.bottom - area.top + 40, turned));
}

function path(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}
