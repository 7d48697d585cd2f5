// What is served: the versions of a model with what each is there for, and all models.

import { el, named } from "./dom.js";
import { at } from "./root.js";
import { call } from "./service.js";

const MANY = 8;

const STATES = {
  serving: "serves",
  canary: "canary",
  shadow: "shadow",
  loaded: "may be asked by number",
  refused: "refused",
  failed: "tried again",
};

function address(parts) {
  return at(`?${new URLSearchParams(parts)}`);
}

function when(text) {
  return new Date(text).toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZone: "UTC",
  });
}

function figures(metrics) {
  const test = metrics?.test;
  return test ? [`${(100 * test.accuracy).toFixed(1)} %`, test.log_loss.toFixed(4)] : ["–", "–"];
}

function versionRow(name, one, state) {
  const query = { model: name, version: one.version };
  const role = one.state === "canary" ? `canary, ${(100 * one.share).toFixed(0)} % of requests` : STATES[one.state];
  const links = state
    ? [
        ["Ask", {}],
        ["Card", { view: "card" }],
        ...(state.card.files["report.html"] ? [["Report", { view: "report" }]] : []),
      ]
    : [];
  return el(
    "tr",
    { class: one.state },
    el("th", { scope: "row" }, String(one.version)),
    el(
      "td",
      { class: "text" },
      el("span", { class: `state ${one.state}` }, role),
      one.reason ? el("p", { class: "reason" }, one.reason) : null,
    ),
    el("td", {}, state ? when(state.card.provenance.created) : "–"),
    ...figures(state?.metrics).map((text) => el("td", {}, text)),
    el(
      "td",
      { class: "links" },
      ...links.map(([text, more]) =>
        el("a", { href: address({ ...query, ...more }), "aria-label": `${text}, version ${one.version}` }, text),
      ),
    ),
  );
}

function besides(name, versions) {
  if (versions.length < 2) return null;
  const choice = (id, text, chosen) => {
    const options = versions.map((version) => el("option", { value: String(version) }, `version ${version}`));
    options[chosen].selected = true;
    return [el("label", { for: id, class: "name" }, text), el("select", { id }, ...options)];
  };
  const form = el(
    "form",
    { class: "besides" },
    ...choice("first", "Ask", 0),
    ...choice("second", "beside", 1),
    el("button", {}, "Side by side"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [version, beside] = ["first", "second"].map((id) => form.querySelector(`#${id}`).value);
    location.href = address({ model: name, version, beside }) + location.hash;
  });
  return form;
}

function everything(models, name) {
  if (models.length < 2) return null;
  const rows = models.map((one) =>
    el(
      "tr",
      { class: one.name === name ? "first" : null },
      el("th", { scope: "row" }, el("a", { href: address({ model: one.name }) }, one.name)),
      el("td", {}, String(one.version)),
      el("td", {}, String(one.features.length)),
      el("td", {}, String(one.classes.length)),
      ...figures(one.metrics).map((text) => el("td", {}, text)),
      el(
        "td",
        {},
        el(
          "a",
          { href: address({ model: one.name, view: "versions" }) },
          String(one.lifecycle.length),
          el("span", { class: "unseen" }, ` versions of ${one.name}`),
        ),
      ),
    ),
  );
  const input = el("input", { type: "search", placeholder: "Find a model", "aria-label": "Find a model in the list" });
  input.addEventListener("input", () =>
    rows.forEach((row, at) => (row.hidden = !models[at].name.includes(input.value.trim().toLowerCase()))),
  );
  const head = ["model", "serves", "features", "classes", "accuracy", "log-loss", "versions"].map((text) =>
    el("th", { scope: "col" }, text),
  );
  return el(
    "section",
    { class: "panel" },
    el("h2", {}, `All ${models.length} models`),
    models.length > MANY ? input : null,
    el(
      "div",
      { class: "wide", tabindex: "0", role: "group", "aria-label": "All models" },
      el("table", { class: "figures" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
    ),
  );
}

export async function drawVersions(main, state, models) {
  const { name, lifecycle, versions } = state;
  const read = (version) => call(`v1/models/${name}/versions/${version}`).catch(() => null);
  const states = new Map(await Promise.all(versions.map(async (version) => [version, await read(version)])));
  const head = ["version", "is", "trained, UTC", "accuracy", "log-loss"].map((text) =>
    el("th", { scope: "col", class: text === "is" ? "text" : null }, text),
  );
  head.push(el("th", { scope: "col" }, el("span", { class: "unseen" }, "pages")));
  const rows = lifecycle.map((one) => versionRow(name, one, states.get(one.version)));
  main.className = "card-page";
  main.replaceChildren(
    el(
      "div",
      { class: "title" },
      el("h1", {}, named(name)),
      el(
        "p",
        {},
        "The versions that this service knows, and what each is there for. Accuracy and log-loss are of the test rows.",
      ),
    ),
    el(
      "section",
      { class: "panel" },
      el(
        "div",
        { class: "wide", tabindex: "0", role: "group", "aria-label": "Versions" },
        el("table", { class: "figures versions" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)),
      ),
      besides(name, versions),
    ),
    ...[everything(models, name)].filter(Boolean),
  );
}
