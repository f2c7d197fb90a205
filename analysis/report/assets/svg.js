"use strict";

// Drawing: scales, axes, and a reader that shows the value nearest to the pointer or to the arrow keys.

const HEIGHT = 320;
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

function linear(values, from, to, { zero = false, pad = 0.05 } = {}) {
  const known = values.filter((value) => value !== null);
  let low = Math.min(...(zero ? [0] : []), ...minmax(known));
  let high = Math.max(...minmax(known));
  if (low === high) { low -= Math.abs(low) * 0.05 || 1; high += Math.abs(high) * 0.05 || 1; }
  const extra = (high - low) * pad;
  if (!zero) low -= extra;
  high += extra;
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

// An SVG with its plot area; `names` are the labels to the left, for which the margin makes room.
function canvas(host, title, { height = HEIGHT, names = [] } = {}) {
  const width = Math.max(host.clientWidth, 240);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title, tabindex: 0 });
  host.replaceChildren(root);
  const longest = Math.max(0, ...names.map((name) => name.length));
  const left = Math.min(Math.max(MARGIN.left, 34 + 6.6 * longest), width / 2);
  const area = { left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
  return { root, area, width, height };
}

// Axes with ticks and labels; tick labels that would overlap are left out.
function frame({ root, area }, x, y, xLabel, yLabel) {
  let free = -Infinity;
  for (const [value, text] of [...x.ticks].sort((a, b) => x(a[0]) - x(b[0]))) {
    const place = x(value);
    const half = text.length * 3.4;
    if (place < area.left - 1 || place > area.right + 1 || place - half < free) continue;
    free = place + half + 6;
    root.append(svg("text", { x: place, y: area.bottom + 16, "text-anchor": "middle" }, text));
  }
  for (const [value, text] of y.ticks) {
    const place = y(value);
    if (place > area.bottom + 1 || place < area.top - 1) continue;
    root.append(svg("line", { x1: area.left, x2: area.right, y1: place, y2: place, class: "gridline" }));
    root.append(svg("text", { x: area.left - 6, y: place + 4, "text-anchor": "end" }, text));
  }
  root.append(svg("line", { x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom, class: "frame" }));
  root.append(svg("text", { x: (area.left + area.right) / 2, y: area.bottom + 36, "text-anchor": "middle" }, xLabel));
  const middle = (area.top + area.bottom) / 2;
  root.append(svg("text", { x: 13, y: middle, transform: `rotate(-90 13 ${middle})`, "text-anchor": "middle" }, yLabel));
}

function path(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// Shows the text of one of `marks` ({x, y, text}): the one nearest to the pointer, or the next by the arrow keys.
function reader(host, { root }, marks) {
  if (!marks.length) return;
  const tip = html("div", { class: "tip", role: "status", hidden: "" });
  const ring = svg("circle", { r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2, visibility: "hidden" });
  root.append(ring);
  host.append(tip);
  const ordered = [...marks].sort((a, b) => a.x - b.x || a.y - b.y);
  let current = -1;
  const show = (index) => {
    current = index;
    const { x, y, text } = ordered[index];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
    tip.hidden = false;
    tip.textContent = text;
    const left = Math.min(Math.max(x - tip.offsetWidth / 2, 0), host.clientWidth - tip.offsetWidth);
    tip.style.left = `${left}px`;
    tip.style.top = `${y > tip.offsetHeight + 14 ? y - tip.offsetHeight - 12 : y + 14}px`;
  };
  const hide = () => { tip.hidden = true; ring.setAttribute("visibility", "hidden"); };
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [nearest, least] = [-1, Infinity];
    ordered.forEach((mark, index) => {
      const distance = (mark.x - x) ** 2 + (mark.y - y) ** 2;
      if (distance < least) [nearest, least] = [index, distance];
    });
    show(nearest);
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show((current + step + ordered.length) % ordered.length);
  });
}
