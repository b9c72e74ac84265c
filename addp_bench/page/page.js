"use strict";
// Theme, tables and plots. Text from data enters the page as text alone: nothing here writes HTML.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const narrow = matchMedia("(max-width: 640px)");

// ---------------------------------------------------------------- theme

const remembered = {
  get() { try { return localStorage.getItem("addp-bench-theme"); } catch { return null; } },  // some browsers keep nothing for files
  set(value) { try { localStorage.setItem("addp-bench-theme", value); } catch { /* it holds until the page is left */ } },
};

function paint(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

paint(remembered.get());
document.documentElement.classList.add("scripted");

function themes() {
  const now = document.documentElement.dataset.theme || "auto";
  for (const choice of all('input[name="theme"]')) {
    choice.checked = choice.value === now;
    choice.addEventListener("change", () => { paint(choice.value); remembered.set(choice.value); });
  }
}

// ---------------------------------------------------------------- a table

function board(set) {
  const table = set.querySelector(".board");
  const heads = all("thead th", table);
  const tiers = all("tbody", table);
  const rows = all("tbody tr[data-row]", table);
  const home = rows.map((row) => row.parentNode);
  const flat = table.appendChild(document.createElement("tbody"));
  const find = set.querySelector("[data-find]:not(tr)");
  const selects = all("[data-axis]", set);

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const keep = words.every((word) => row.dataset.find.includes(word))
        && selects.every((s) => !s.value || row.getAttribute("data-a" + s.dataset.axis) === s.value);
      shown += keep;
      row.hidden = !keep;
      for (const drawn of all(`.plots [data-row="${row.dataset.row}"], .legend [data-row="${row.dataset.row}"]`, set))
        drawn.toggleAttribute("hidden", !keep);
    }
    for (const tier of tiers) tier.hidden = !all("tr[data-row]", tier).some((row) => !row.hidden);
    set.querySelector("[data-count]").textContent =
      shown === rows.length ? `${shown} row${shown === 1 ? "" : "s"}` : `${shown} of ${rows.length} rows`;
  }

  function sort(column, direction) {
    heads.forEach((head, k) => head.setAttribute("aria-sort", k === column ? direction : "none"));
    const byRank = column === 0 && direction === "ascending";  // the order of the tiers
    const number = heads[column].classList.contains("number");
    const key = (row) => {
      const said = row.children[column].dataset.sort;
      return said === undefined ? null : number ? Number(said) : said;
    };
    const sign = direction === "ascending" ? 1 : -1;
    const order = byRank ? rows : [...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);  // what has no value stands last either way
      return sign * (number ? x - y : x.localeCompare(y, "en", { numeric: true }));
    });
    order.forEach((row) => (byRank ? home[rows.indexOf(row)] : flat).append(row));
    filter();
  }

  heads.forEach((head, k) => head.firstChild.addEventListener("click", (event) => {
    const first = event.currentTarget.dataset.first;
    const other = first === "ascending" ? "descending" : "ascending";
    sort(k, head.getAttribute("aria-sort") === first ? other : first);
  }));

  const boxes = all("[data-column]", set);
  function show(box) {
    const k = Number(box.dataset.column);
    for (const cell of [heads[k], ...rows.map((row) => row.children[k])]) cell.hidden = !box.checked;
  }
  function columns() {
    for (const head of heads) head.hidden = false;
    for (const box of boxes) {
      box.checked = heads[box.dataset.column].dataset[narrow.matches ? "narrow" : "wide"] === "1";
      show(box);
    }
  }
  boxes.forEach((box) => box.addEventListener("change", () => show(box)));
  narrow.addEventListener("change", columns);
  columns();

  find.addEventListener("input", filter);
  selects.forEach((select) => select.addEventListener("change", filter));
  set.querySelector("[data-reset]").addEventListener("click", () => {
    find.value = "";
    for (const select of selects) select.value = "";
    sort(0, "ascending");
    columns();
  });
  for (const menu of all("[data-open-wide]", set)) menu.open = !narrow.matches;
}

// ---------------------------------------------------------------- the emphasised row

function plots(set) {
  const buttons = all("[data-emphasise]", set);
  for (const button of buttons) button.addEventListener("click", () => {
    const row = button.dataset.emphasise;
    const on = button.getAttribute("aria-pressed") !== "true";  // pressed again: none
    for (const b of buttons) b.setAttribute("aria-pressed", String(on && b.dataset.emphasise === row));
    for (const drawn of all(".plots [data-row]", set)) {
      drawn.classList.toggle("on", on && drawn.dataset.row === row);
      if (on && drawn.dataset.row === row && !drawn.matches("figure, .mass")) drawn.parentNode.append(drawn);  // above the others
    }
  });
}

document.addEventListener("DOMContentLoaded", () => {
  themes();
  for (const set of all(".set")) {
    board(set);
    plots(set);
  }
  for (const place of all(".browser")) browser(place);
});
