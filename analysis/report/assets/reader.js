"use strict";

// Reading a chart: its legend, and the value nearest to the pointer or to the arrow keys.

// Fades the series of all variants but one; of none if `variant` is undefined.
function focus(root, variant) {
  for (const series of root.querySelectorAll(".series")) {
    series.classList.toggle("faded", variant !== undefined && series.dataset.variant !== variant);
  }
}

// A list below the chart; each of `entries` ({text, look, variant}) has the line or the dot of its series.
function legend(host, root, entries) {
  const list = html("ul", { class: "legend" });
  for (const { text, look, variant } of entries) {
    const line = { x1: 0, x2: 22, y1: 6, y2: 6, "stroke-width": 3, ...stroke(look) };
    const item = html("li", {}, svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, svg("line", line)), text);
    item.addEventListener("pointerenter", () => focus(root, variant));
    item.addEventListener("pointerleave", () => focus(root));
    list.append(item);
  }
  host.append(list);
}

// The entries of the variants in colour, and one for the others.
function entriesOf(variants, { names, looks }) {
  const known = variants.filter((variant) => looks.has(variant));
  const entries = known.map((variant) => ({ text: names.get(variant), look: looks.get(variant), variant }));
  const others = variants.length - known.length;
  return others ? [...entries, { text: `${others} other${others > 1 ? "s" : ""}` }] : entries;
}

// Index of the mark nearest to a place.
function nearestMark(marks, x, y) {
  const distances = marks.map((mark) => (mark.x - x) ** 2 + (mark.y - y) ** 2);
  return distances.indexOf(Math.min(...distances));
}

// Shows the text of one of `marks` ({x, y, text, variant}): the one nearest to the pointer, or the next by the arrow keys.
function reader(host, { root }, marks, { nearest = nearestMark, order = (a, b) => a.x - b.x || a.y - b.y } = {}) {
  if (!marks.length) return;
  const tip = html("div", { class: "tip", role: "status", hidden: "" });
  const ring = svg("circle", { r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2, visibility: "hidden" });
  root.append(ring);
  host.append(tip);
  const ordered = [...marks].sort(order);
  let current = -1;
  const show = (index) => {
    current = index;
    const { x, y, text, variant } = ordered[index];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    ring.setAttribute("visibility", "visible");
    focus(root, variant);
    tip.hidden = false;
    tip.textContent = text;
    const left = Math.min(Math.max(x - tip.offsetWidth / 2, 0), root.clientWidth - tip.offsetWidth);
    tip.style.left = `${left}px`;
    tip.style.top = `${y > tip.offsetHeight + 14 ? y - tip.offsetHeight - 12 : y + 14}px`;
  };
  const hide = () => {
    tip.hidden = true;
    ring.setAttribute("visibility", "hidden");
    focus(root);
  };
  root.addEventListener("pointermove", (event) => {
    const box = root.getBoundingClientRect();
    show(nearest(ordered, event.clientX - box.left, event.clientY - box.top));
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
