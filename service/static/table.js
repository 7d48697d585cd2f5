// A table of many rows: dropped as a file, scored, sorted, filtered, and taken away as a file.

import { readersOf } from "./csv.js";
import { announcer, el, later, named, unbroken } from "./dom.js";
import { remarkOf, scoreFile, written } from "./scoring.js";
import { counted, percent } from "./values.js";

const SHOWN = 100;
const MOST_COLUMNS = 40;

const ORDERS = {
  line: (row) => row.line,
  label: (row) => row.label ?? "",
  probability: (row) => row.probability ?? -1,
  remark: (row) => remarkOf(row),
};

function sorted(rows, by, down) {
  const order = ORDERS[by] ?? ((row) => row.cells[by] ?? "");
  const numbers = rows.every((row) => /^-?[0-9]*[.,]?[0-9]*$/.test(String(order(row)).trim()));
  const key = (row) => (numbers ? Number(String(order(row)).replace(",", ".")) : order(row));
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  if (down) keyed.reverse();
  return keyed.map(([, row]) => row);
}

// `open(record)` puts a row into the form.
export function makeTable(card, source, open) {
  const input = el("input", { type: "file", id: "rows", accept: ".csv,.tsv,.txt,text/csv", class: "unseen" });
  const drop = el(
    "label",
    { class: "drop", for: "rows" },
    el("strong", {}, "Many rows?"),
    " Drop a CSV file here, or choose one. It is scored in batches and stored nowhere.",
  );
  const place = el("div", { class: "scored" });
  const message = el("p", { class: "message", role: "alert" });
  const element = el("section", { class: "table", "aria-label": "Many rows" }, input, drop, message, place);
  let running = null;

  const take = async (file) => {
    running?.abort();
    running = new AbortController();
    const mine = running;
    message.textContent = "";
    const view = makeView(card, open, () => mine.abort());
    place.replaceChildren(view.element);
    place.scrollIntoView({ block: "nearest" });
    try {
      await scoreFile(file, source, (scored, { done }) => mine === running && view.show(scored, done), mine.signal);
    } catch (error) {
      if (mine !== running) return;
      if (error.name === "AbortError") view.stop();
      else {
        message.textContent = `${file.name}: ${error.message}`;
        if (!view.began()) place.replaceChildren();
      }
    }
  };
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
  // A file that misses the place is not to take the page's.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.toggle("over", true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  return element;
}

function makeView(card, open, stop) {
  const state = { by: "line", down: false, label: "", odd: false, find: "", most: SHOWN, scored: null, done: false };
  const speaker = announcer();
  const summary = el("p", { class: "summary-line" });
  const shares = el("div", { class: "stack", "aria-hidden": "true" });
  const progress = el("span", { class: "progress" });
  const cancel = el("button", { type: "button", class: "quiet", onclick: stop }, "Stop");
  const save = el("button", { type: "button", hidden: true }, "Download as CSV");
  const labels = el(
    "select",
    { "aria-label": "Show rows of", onchange: () => set({ label: labels.value }) },
    el("option", { value: "" }, "every label"),
    ...card.classes.map((one, at) => el("option", { value: String(at) }, one === one.trim() ? one : `“${one}”`)),
    el("option", { value: "none" }, "not answered"),
  );
  const odd = el("input", { type: "checkbox", id: "odd", onchange: () => set({ odd: odd.checked }) });
  const find = el("input", {
    type: "search",
    placeholder: "Find in the cells",
    "aria-label": "Find in the cells",
    oninput: later(120, () => set({ find: find.value })),
  });
  const tools = el(
    "div",
    { class: "tools" },
    labels,
    el("span", {}, odd, " ", el("label", { for: "odd" }, "only with remarks")),
    find,
    save,
    cancel,
  );
  const head = el("tr");
  const body = el("tbody");
  const more = el("button", { type: "button", class: "quiet", onclick: () => set({ most: state.most + SHOWN }) });
  const left = el("p", { class: "aside" });
  const wide = el(
    "div",
    { class: "wide", tabindex: "0", role: "group", "aria-label": "Scored rows" },
    el("table", { class: "figures rows" }, el("thead", {}, head), body),
  );
  const element = el("div", { class: "panel" }, summary, progress, shares, tools, wide, left, more, speaker.element);

  const set = (changes) => {
    Object.assign(state, changes.most ? changes : { ...changes, most: SHOWN });
    draw();
  };
  const wanted = (row) => {
    if (state.label === "none" && row.label !== null) return false;
    if (state.label !== "" && state.label !== "none" && row.label !== card.classes[Number(state.label)]) return false;
    if (state.odd && !remarkOf(row)) return false;
    return !state.find || row.cells.some((cell) => cell.toLowerCase().includes(state.find.toLowerCase()));
  };
  const heading = (by, text) => {
    const here = state.by === by;
    const press = () => set({ by, down: here ? !state.down : by === "probability" });
    return el(
      "th",
      {
        scope: "col",
        class: by === "probability" ? null : "text",
        "aria-sort": here ? (state.down ? "descending" : "ascending") : null,
      },
      el(
        "button",
        { type: "button", class: "sort", onclick: press },
        named(text),
        here ? (state.down ? " ↓" : " ↑") : "",
      ),
    );
  };
  const draw = () => {
    const { scored } = state;
    const found = sorted(scored.rows.filter(wanted), state.by, state.down);
    const columns = scored.columns.slice(0, MOST_COLUMNS);
    head.replaceChildren(
      heading("line", "line"),
      heading("label", "label"),
      heading("probability", "probability"),
      heading("remark", "remarks"),
      ...columns.map((name, at) => heading(at, name)),
    );
    body.replaceChildren(
      ...found.slice(0, state.most).map((row) => {
        const number = row.fault
          ? String(row.line)
          : el(
              "button",
              {
                type: "button",
                class: "sort",
                "aria-label": `Line ${row.line}: put it into the form`,
                title: "Put it into the form",
                onclick: () =>
                  open(
                    Object.fromEntries(
                      readersOf(state.scored.columns, card).map(({ name, place, read }) => [
                        name,
                        read(row.cells[place]),
                      ]),
                    ),
                  ),
              },
              String(row.line),
            );
        return el(
          "tr",
          { class: row.fault ? "unanswered" : null },
          el("th", { scope: "row" }, number),
          el("td", { class: "text" }, row.label === null ? "–" : named(row.label)),
          el("td", {}, row.probability === null ? "" : percent(row.probability)),
          el(
            "td",
            { class: "text remark-cell", title: row.warnings.map((one) => one.message).join("; ") },
            named(remarkOf(row)),
          ),
          ...columns.map((_, at) => el("td", { class: "text" }, named(unbroken(row.cells[at] ?? "")))),
        );
      }),
    );
    more.hidden = found.length <= state.most;
    more.textContent = `${SHOWN} more of ${found.length.toLocaleString("en")}`;
    left.textContent =
      scored.columns.length > MOST_COLUMNS
        ? `The first ${MOST_COLUMNS} of ${scored.columns.length} columns; the file that you download has all of them.`
        : "";
  };
  const describe = () => {
    const { scored, done } = state;
    const counts = card.classes.map((label) => [label, scored.rows.filter((row) => row.label === label).length]);
    const faults = scored.rows.filter((row) => row.fault);
    const remarks = scored.rows.filter((row) => !row.fault && row.warnings.length);
    const lines = faults
      .slice(0, 3)
      .map((row) => `line ${row.line} ${row.fault}`)
      .join("; ");
    const parts = [
      `${counted(scored.rows.length, "row")} of ${scored.name}`,
      `${scored.encoding}, separated by ${{ "\t": "tabs" }[scored.delimiter] ?? scored.delimiter}`,
    ];
    if (remarks.length) parts.push(`${remarks.length} with warnings`);
    if (faults.length) parts.push(`${faults.length} not answered (${lines}${faults.length > 3 ? " …" : ""})`);
    const agreement = agreementOf(scored, card);
    if (done && agreement) parts.push(agreement);
    summary.textContent = `${parts.join(" · ")}.`;
    const all = Math.max(1, scored.rows.length - faults.length);
    shares.replaceChildren(
      ...counts
        .filter(([, count]) => count)
        .map(([label, count], at) =>
          el(
            "span",
            {
              class: "part",
              "data-colour": card.classes.length <= 6 ? String(card.classes.indexOf(label)) : at % 2 ? "5" : "0",
              title: `${label}: ${count}`,
              style: { width: `${(100 * count) / all}%` },
            },
            count / all > 0.07 ? `${label} ${count}` : "",
          ),
        ),
    );
    progress.textContent = done ? "" : `${scored.rows.length.toLocaleString("en")} rows so far …`;
    if (done) speaker.say(summary.textContent);
  };
  const show = (scored, done) => {
    const first = state.scored === null;
    Object.assign(state, { scored, done });
    describe();
    if (first || done || scored.rows.length <= 2 * SHOWN) draw();
    if (done) finish();
  };
  const finish = () => {
    cancel.hidden = true;
    save.hidden = false;
    progress.textContent = "";
  };
  save.addEventListener("click", () => {
    const blob = new Blob(written(state.scored, card), { type: "text/csv;charset=utf-8" });
    const link = el("a", {
      href: URL.createObjectURL(blob),
      download: `${state.scored.name.replace(/\.[^.]*$/, "")}.scored.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  const halt = () => {
    if (!state.scored) return;
    summary.textContent += " Stopped.";
    state.scored.rows = state.scored.rows.filter((row) => row.fault || row.label !== null);
    draw();
    finish();
  };
  return { element, show, stop: halt, began: () => state.scored !== null };
}

// How often the answers are the target, where the file has that column.
function agreementOf({ columns, rows }, card) {
  const at = columns.indexOf(card.provenance.target.trim());
  if (at < 0) return null;
  const told = rows.filter((row) => row.label !== null && (row.cells[at] ?? "").trim() !== "");
  const right = told.filter((row) => row.cells[at] === row.label || row.cells[at].trim() === row.label.trim()).length;
  return told.length ? `${percent(right / told.length)} agree with its column ${card.provenance.target}` : null;
}
