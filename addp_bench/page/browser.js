// Samples: one cell, or two side by side with what flipped between them first.

const LISTED = 200;  // flips named beneath the pictures

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function browser(place) {
  const data = JSON.parse(document.getElementById(place.dataset.from).textContent);
  const { metric, samples, cells } = data;
  const pictured = cells.filter((cell) => cell.shown.some((one) => one.answer));
  const state = { a: Math.max(0, cells.indexOf(pictured[0])), b: -1 };
  const said = (k) => `${cells[k].name}, seed ${cells[k].seed}`;
  const number = (score) => (score === null ? "–" : metric.unit === "points" ? score.toFixed(1) : String(score));
  const points = (score) => (score === null ? "no score" : `${metric.label} ${number(score)}${metric.unit === "points" ? "" : ` ${metric.unit}`}`);
  const right = (score) => (score === null || metric.right === null ? null : score >= metric.right);

  // ------------------------------------------------------------- pictures

  // enlarged, what has few pixels shows them; what has many is smoothed
  function picture(src, alt, kind = "") {
    return el("img", { class: kind, src, alt, onload: ({ target }) => target.classList.toggle("few", target.naturalWidth < 128) });
  }

  function layer(shown, alt, photo) {
    if (!shown) return null;
    if (shown.kind === "text") return el("span", { class: "said" }, shown.text);
    if (shown.kind === "picture") return picture(shown.src, alt);
    return el("span", { class: "stack" }, picture(photo, "", "under"), picture(shown.src, alt, "mask"));
  }

  function panel(title, content, score) {
    if (!content && score === undefined) return null;
    const verdict = right(score === undefined ? null : score);
    const words = score === undefined ? [] : [" ", el("span", { class: verdict === null ? "" : verdict ? "right" : "wrong" },
      `${points(score)}${verdict === null ? "" : verdict ? " ✓" : " ✗"}`)];
    return el("div", { class: content ? "panel" : "panel bare" }, content || null, el("small", {}, title, ...words));
  }

  function answers(sample, i, k, letter) {
    const one = cells[k].shown[i];
    const mine = letter ? `${letter}: ` : "";
    const answer = layer(one.answer, `${mine}answer, ${points(one.score)}`, sample.photo);
    if (answer && answer.className === "stack" && sample.truth.kind === "mask")
      answer.append(picture(sample.truth.edge, "", "edge"));
    return [
      one.drawing ? panel(`${mine}drawn`, picture(one.drawing, `${mine}what the model drew`)) : null,
      panel(`${mine}answer`, answer, one.score),
    ];
  }

  function panels(i) {
    const sample = samples[i];
    const made = el("div", { class: "panels" },
      sample.photo ? panel("photograph", picture(sample.photo, "photograph")) : null,
      panel("truth", layer(sample.truth, "truth", sample.photo)),
      ...answers(sample, i, state.a, state.b < 0 ? "" : "A"),
      ...(state.b < 0 ? [] : answers(sample, i, state.b, "B")));
    made.style.setProperty("--count", Math.max(4, made.children.length));
    return made;
  }

  // ---------------------------------------------------------------- order

  function flip(x, y) {
    const [a, b] = [right(x), right(y)];
    return a === null || b === null || a === b ? "" : b ? "B alone is right" : "A alone is right";
  }

  function order() {
    const indices = samples.map((_, i) => i);
    if (state.b < 0) return indices;
    const of = (i) => [cells[state.a].shown[i].score, cells[state.b].shown[i].score];
    const gap = (i) => Math.abs(of(i)[0] - of(i)[1]);
    return indices.sort((i, j) => Boolean(flip(...of(j))) - Boolean(flip(...of(i))) || gap(j) - gap(i));
  }

  // ---------------------------------------------------------- one, enlarged

  let open = 0;
  const inside = el("div", { class: "enlarged" });
  const named = el("h4", { id: `${place.dataset.from}-sample`, tabindex: "-1" });
  const dialog = el("dialog", { "aria-labelledby": named.id, onkeydown: (event) => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  } },
    el("div", { class: "bar" }, named,
      el("button", { type: "button", onclick: () => step(-1) }, "Previous"),
      el("button", { type: "button", onclick: () => step(1) }, "Next"),
      el("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    inside);

  function title(sample) {
    return sample.text ? `“${sample.text}”` : sample.id;
  }

  function enlarge(at) {
    open = at;
    const i = order()[at];
    named.textContent = title(samples[i]);
    inside.replaceChildren(panels(i), el("p", { class: "sub" }, facts(samples[i])), ...whose().map((line) => el("p", {}, line)));
    if (!dialog.open) dialog.showModal();
    named.focus();
  }

  function step(by) {
    enlarge((open + by + samples.length) % samples.length);
  }

  function whose() {
    return state.b < 0 ? [said(state.a)] : [`A: ${said(state.a)}`, `B: ${said(state.b)}`];
  }

  function facts(sample) {
    return [sample.group, sample.note, sample.id].filter(Boolean).join(" · ");
  }

  // ---------------------------------------------------------------- words

  function verdict() {
    if (state.b < 0) return "";
    if (state.a === state.b) return "A and B are the same cell.";
    if (metric.right === null) return "Samples on which A and B differ most stand first.";
    if (!data.all) return "Samples that flipped stand first. Too many samples were judged to count their flips here.";
    const [a, b] = [data.all.scores[state.a], data.all.scores[state.b]];
    const count = (which) => a.filter((x, i) => flip(x, b[i]) === which).length;
    return `Of all ${a.length} samples, B alone is right (${metric.label} at least ${metric.bar}) on ${count("B alone is right")}, `
      + `A alone on ${count("A alone is right")}. Flips stand first. These are counts, not a test.`;
  }

  function flips() {
    if (state.b < 0 || !data.all || metric.right === null) return null;
    const [a, b] = [data.all.scores[state.a], data.all.scores[state.b]];
    const found = data.all.ids.map((_, i) => i).filter((i) => flip(a[i], b[i]))
      .sort((i, j) => Math.abs(a[j] - b[j]) - Math.abs(a[i] - b[i]));
    if (!found.length) return null;
    const head = (text) => el("th", { scope: "col" }, text);
    const cell = (score) => el("td", {}, number(score));
    return el("details", { class: "flips" },
      el("summary", {}, found.length > LISTED ? `The ${LISTED} widest of ${found.length} flips` : `All ${found.length} flips by id`),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Flips by id" },
        el("table", {}, el("caption", { class: "unseen" }, "Samples that one of the two cells alone answers"),
          el("thead", {}, el("tr", {}, head("sample"), head(`A: ${metric.label}`), head(`B: ${metric.label}`), head(""))),
          el("tbody", {}, ...found.slice(0, LISTED).map((i) => el("tr", {},
            el("th", { scope: "row" }, data.all.ids[i]), cell(a[i]), cell(b[i]), el("td", {}, flip(a[i], b[i]))))))));
  }

  function reasons() {
    const why = [...new Set([state.a, state.b].filter((k) => k >= 0).map((k) => cells[k].why).filter(Boolean))];
    if (!samples.length) return "The page was made with no samples (--samples 0): scores alone.";
    return why.length ? `No pictures, scores alone: ${why.join("; ")}` : "";
  }

  // ------------------------------------------------------------- the whole

  const cards = el("div", { class: "cards" });
  const words = el("p", { class: "verdict", "aria-live": "polite" });
  const note = el("p", { class: "note" });
  const printed = el("p", { class: "printed" });  // where the choosers are not
  const list = el("div");

  function show() {
    place.classList.toggle("two", state.b >= 0);
    words.textContent = verdict();
    printed.textContent = whose().join("; ");
    note.textContent = reasons();
    note.hidden = !note.textContent;
    const found = order();
    cards.replaceChildren(...found.map((i, at) => {
      const sample = samples[i];
      const changed = state.b < 0 ? "" : flip(cells[state.a].shown[i].score, cells[state.b].shown[i].score);
      return el("article", { class: changed ? "card flipped" : "card" },
        el("h4", {}, el("button", { type: "button", "data-open": true, onclick: () => enlarge(at) }, title(sample))),
        el("p", { class: "sub" }, changed ? el("b", {}, changed, " · ") : null, facts(sample)),
        panels(i));
    }));
    list.replaceChildren(...[flips()].filter(Boolean));
  }

  function chooser(label, key, none) {
    const select = el("select", { "data-cell": key, onchange: () => { state[key] = Number(select.value); show(); } },
      none ? el("option", { value: -1 }, none) : null,
      ...cells.map((cell, k) => el("option", { value: k }, `${said(k)} (${cell.id.slice(0, 6)})${cell.why && samples.length ? " no pictures" : ""}`)));
    select.value = state[key];
    return el("label", {}, label, " ", select);
  }

  function toggle(label, hides) {
    const box = el("input", { type: "checkbox", checked: true, "data-toggle": hides,
      onchange: () => place.classList.toggle(`no-${hides}`, !box.checked) });
    return el("label", { class: "check" }, box, " ", label);
  }

  const masked = samples.some((sample, i) => sample.truth?.kind === "mask" || cells.some((c) => c.shown[i].answer?.kind === "mask"));
  place.append(el("div", { class: "controls" },
    chooser("Cell", "a", null), cells.length > 1 ? chooser("beside", "b", "no other") : null,
    ...(masked ? [toggle("masks", "mask"), toggle("outline of the truth", "edge"), toggle("photograph beneath", "under")] : [])),
    printed, words, note, cards, list, dialog);
  show();
}
