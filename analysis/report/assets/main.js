"use strict";

// Connects tables and figures: variants ticked in the table are in colour in the figures.

{
  const data = JSON.parse(document.getElementById("data").textContent);
  const labels = new Map(data.variants.map(({ id, label }) => [id, label]));
  const names = new Map(data.variants.map(({ id, short }) => [id, short]));
  const looks = new Map(data.stressed.map((id, look) => [id, look]));
  const table = document.getElementById("variants");
  const { baseline, charts, metric } = data;

  // The colour for a variant: 0 for the baseline only.
  const unused = (variant) => {
    if (variant === baseline) return 0;
    const used = new Set(looks.values());
    let look = 1;
    while (used.has(look)) look += 1;
    return look;
  };

  const figures = [];

  // A figure with a select for each of `choices` ({label, options}); `draw(host, chosen)` returns a remark or nothing.
  const figure = (id, choices, draw) => {
    const root = document.getElementById(id);
    if (!root) return;
    const host = root.querySelector(".chart");
    const remark = root.querySelector(".remark");
    const selects = choices.map(({ label, options }) => {
      const select = html("select", {}, ...options.map(([value, text]) => html("option", { value }, text)));
      if (options.length > 1) root.querySelector(".choices").append(html("label", {}, `${label} `, select));
      return select;
    });
    const title = root.querySelector("figcaption").textContent;
    const redraw = () => {
      remark.textContent = draw(host, title, ...selects.map((select) => select.value)) ?? "";
      remark.hidden = !remark.textContent;
    };
    selects.forEach((select) => select.addEventListener("change", redraw));
    figures.push({ host, redraw, width: 0 });
  };

  const named = (object) => Object.keys(object ?? {}).map((name) => [name, name]);
  const refused = (host, problem) => { host.replaceChildren(); return problem; };

  figure("curves", [{ label: "Metric", options: named(charts.curves) }], (host, title, name) =>
    drawProfile(host, charts.curves[name], { labels, looks, names, baseline, title }));
  figure("responses", [{ label: "Setting", options: named(charts.responses) }], (host, title, axis) => {
    const chart = charts.responses[axis];
    if (chart.problem) return refused(host, chart.problem);
    drawResponse(host, chart, { axis, metric, title });
    return chart.note;
  });
  const pairs = (charts.maps ?? []).map(({ rows, cols }, place) => [place, `${rows} × ${cols}`]);
  figure("maps", [{ label: "Settings", options: pairs }], (host, title, place) => {
    const chart = charts.maps[place];
    return chart.problem ? refused(host, chart.problem) : drawMap(host, chart, { metric, title });
  });
  const tick = (layer) => String(layer + 1);  // rate/layer_00 is layer 1
  const place = ({ x }, k) => `spiking layer ${tick(x[k])} of ${x.length}`;
  figure("layers", [], (host, title) =>
    drawProfile(host, charts.layers, { labels, looks, names, baseline, title, zero: true, dots: true, tick, place }));
  figure("steps", [], (host, title) => drawProfile(host, charts.steps, { labels, looks, names, baseline, title, dots: true }));
  figure("growth", [{ label: "Metric", options: named(charts.growth) }], (host, title, name) => {
    const lines = charts.growth[name].series.map(({ variant }) => variant);  // not variants, but what they share
    const texts = new Map(lines.map((line) => [line, line]));
    const own = new Map(lines.slice(0, COLOURS).map((line, look) => [line, look]));
    drawProfile(host, charts.growth[name], { labels: texts, looks: own, names: texts, title, dots: true });
  });
  figure("fronts", [{ label: "Cost", options: named(charts.fronts) }], (host, title, cost) =>
    drawFront(host, charts.fronts[cost], { labels, looks, names, metric, title }));
  figure("parallel", [], (host, title) => drawParallel(host, charts.parallel, { labels, looks, metric, title }));

  const mark = (row) => {
    const look = looks.get(row.dataset.variant);
    row.querySelector("input").checked = look !== undefined;
    if (look === undefined) {
      delete row.dataset.look;
      row.style.removeProperty("--mark");
    } else {
      row.dataset.look = look;
      row.style.setProperty("--mark", colour(look));
    }
  };
  for (const row of table.tBodies[0].rows) {
    mark(row);
    row.querySelector("input").addEventListener("change", (event) => {
      if (event.target.checked) looks.set(row.dataset.variant, unused(row.dataset.variant));
      else looks.delete(row.dataset.variant);
      mark(row);
      figures.forEach(({ redraw }) => redraw());
    });
  }

  document.querySelectorAll("table").forEach(sortable);
  filterable(table, document.getElementById("filter"), document.getElementById("shown"));
  choosable(table, document.getElementById("columns"), document.getElementById("left-out"));
  document.querySelectorAll(".scroll").forEach(hinting);
  const copied = document.getElementById("copied");
  for (const [id, write] of [["copy-markdown", asMarkdown], ["copy-latex", asLatex]]) {
    document.getElementById(id).addEventListener("click", async () => {
      copied.textContent = (await copy(write(inView(table)))) ? "copied" : "the browser refused to copy";
    });
  }

  // Draw at the available width, and again when it changes.
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const one = figures.find(({ host }) => host === target);
      if (one.width === target.clientWidth) continue;
      one.width = target.clientWidth;
      requestAnimationFrame(one.redraw);  // drawing changes sizes, which must not happen inside the observer
    }
  });
  figures.forEach(({ host }) => watch.observe(host));
}
