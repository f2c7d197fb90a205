"use strict";

// Tables: sorting, filtering, choice of columns, copying.

// Sort key of a cell: the number that it starts with, or else its text.
function sortKey(text) {
  const number = text.match(/^[<[\s]*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/i);
  return number ? Number(number[1]) : text.toLowerCase();
}

// Numbers before texts in either direction; ties keep their order.
function compareKeys(left, right, sign) {
  if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
  if (left === right) return 0;
  return (left < right ? -1 : 1) * sign;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector(".sort")?.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[column].textContent), row]);
      rows.sort((a, b) => compareKeys(a[0], b[0], sign));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// Shows the rows that contain every word of the query.
function filterable(table, input, status) {
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join("\n");
      row.hidden = !words.every((word) => text.includes(word));
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} variants`;
  };
  input.addEventListener("input", apply);
  apply();
}

// A menu of columns. Until a column is chosen by hand, dispensable ones are hidden as far as the table is too wide, the
// last first, and cells are closer to each other if that is not enough; `note` names what is hidden.
function choosable(table, menu, note) {
  const heads = [...table.tHead.rows[0].cells];
  const boxes = new Map();
  const show = (column, shown) => {
    for (const row of table.rows) row.cells[column].hidden = !shown;
    boxes.get(column).checked = shown;
  };
  let byHand = false;
  heads.forEach((head, column) => {
    if (!head.querySelector(".sort")) return;
    const box = html("input", { type: "checkbox", checked: "" });
    boxes.set(column, box);
    box.addEventListener("change", () => {
      byHand = true;
      note.textContent = "";
      show(column, box.checked);
    });
    menu.append(html("label", {}, box, ` ${head.textContent}`));
  });
  const dispensable = [...boxes.keys()].filter((column) => "dispensable" in heads[column].dataset);
  const fit = () => {
    if (byHand) return;
    const left = [...dispensable];
    const hidden = [];
    const wide = () => table.offsetWidth > table.parentElement.clientWidth;
    table.classList.remove("dense");
    left.forEach((column) => show(column, true));
    while (left.length && wide()) {
      hidden.unshift(left.pop());
      show(hidden[0], false);
    }
    table.classList.toggle("dense", wide());
    const names = hidden.map((column) => heads[column].textContent).join(", ");
    note.textContent = names && `Not shown for lack of width: ${names}. To show them: Columns.`;
  };
  let width = -1;
  new ResizeObserver(() => {
    if (table.parentElement.clientWidth === width) return;
    width = table.parentElement.clientWidth;
    requestAnimationFrame(fit);
  }).observe(table.parentElement);
}

// Marks a box whose content continues to the right.
function hinting(box) {
  const mark = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  box.addEventListener("scroll", mark, { passive: true });
  const watch = new ResizeObserver(mark);
  watch.observe(box);
  watch.observe(box.firstElementChild);
}

// The visible rows and columns, headings first, as [row][column] of texts, and which columns are numeric.
function inView(table) {
  const columns = [...table.tHead.rows[0].cells].map((head, column) => ({ head, column }))
    .filter(({ head }) => !head.hidden && head.querySelector(".sort"));
  const rows = [...table.rows].filter((row) => !row.hidden);
  const cells = rows.map((row) => columns.map(({ column }) => row.cells[column].textContent.trim()));
  return { cells, numeric: columns.map(({ head }) => head.classList.contains("number")) };
}

function asMarkdown({ cells, numeric }) {
  const row = (texts) => `| ${texts.join(" | ")} |`;
  const escaped = cells.map((texts) => texts.map((text) => text.replace(/[\\`*_[\]<>|~&$]/g, "\\$&")));
  const rule = row(numeric.map((one) => (one ? "---:" : ":---")));
  return [row(escaped[0]), rule, ...escaped.slice(1).map(row)].join("\n");
}

const LATEX = {
  "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}", "<": "\\textless{}",
  ">": "\\textgreater{}", "|": "\\textbar{}", "±": "$\\pm$",
};

function asLatex({ cells, numeric }) {
  const sign = (one) => LATEX[one] ?? (/[&%$#_{}]/.test(one) ? `\\${one}` : one);
  const inside = (text) => text.split(/(?<![\w.])-(?=\d)/)
    .map((part) => [...part].map(sign).join("").replace(/-(?=-)/g, "-{}")).join("$-$");
  const row = (texts) => `${/^[[*]/.test(texts[0]) ? "{}" : ""}${texts.map(inside).join(" & ")} \\\\`;
  const columns = numeric.map((one) => (one ? "r" : "l")).join("");
  const body = cells.slice(1).map(row);
  return [`\\begin{tabular}{${columns}}`, "\\toprule", row(cells[0]), "\\midrule", ...body, "\\bottomrule", "\\end{tabular}"].join("\n");
}

// A page opened from a file can lack the clipboard API; it then copies through a text area.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (refused) {
      if (refused.name !== "NotAllowedError") throw refused;
    }
  }
  const area = html("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
