// The pages of a service: which model and which view an address names.

import { Refusal } from "./concerns.js";
import { el } from "./dom.js";
import { askForKey, hasKey } from "./key.js";
import { makePicker } from "./models.js";
import { drawPage } from "./page.js";
import { at, isAt } from "./root.js";
import { call, sourceOf } from "./service.js";

const main = document.querySelector("main");
const header = document.querySelector("header");
const WAIT_MS = 1000;

function navigate(chosen, view, state) {
  const to = (name) => at(`?${new URLSearchParams({ model: chosen, ...(name === "predict" ? {} : { view: name }) })}`);
  const link = (href, text, here) => el("a", { href, "aria-current": here ? "page" : null }, text);
  const tabs = chosen
    ? [
        ["predict", "Predict"],
        ["versions", "Versions"],
        ["card", "Card"],
        ["drift", "Drift"],
        ["performance", "Performance"],
        ["report", "Report"],
      ]
    : [];
  const links = tabs
    .filter(([name]) => name !== "report" || state?.card.files["report.html"])
    .filter(([name]) => !["drift", "performance"].includes(name) || state?.card.drift)
    .map(([name, text]) => link(to(name), text, name === view));
  const nav = el("nav", { "aria-label": "Pages" }, ...links, link(at("docs"), "API docs", view === "docs"));
  // The case goes along.
  nav.addEventListener("click", (event) => {
    if (event.target.href && view !== "docs") event.target.hash = location.hash;
  });
  header.querySelector("nav")?.remove();
  header.append(nav);
}

function offer(models, chosen, view) {
  header.querySelector(".picker")?.remove();
  if (models.length) header.querySelector(".brand").after(makePicker(models, chosen, view));
}

function wait() {
  main.className = "narrow";
  const command = "evenkeel fit examples/penguins.csv --target species --name penguins";
  main.replaceChildren(
    el("h1", {}, "No model yet"),
    el("p", {}, "This service answers as soon as one is published:"),
    el("pre", {}, el("code", {}, command)),
  );
  const look = async () => {
    const { models } = await call("v1/models").catch(() => ({ models: [] }));
    if (models.length) location.reload();
    else setTimeout(look, WAIT_MS);
  };
  setTimeout(look, WAIT_MS);
}

// Several models, and none of them is the default one.
function choose(models) {
  main.className = "narrow";
  const link = ({ name }) => el("li", {}, el("a", { href: at(`?${new URLSearchParams({ model: name })}`) }, name));
  main.replaceChildren(el("h1", {}, "Choose a model"), el("ul", {}, ...models.map(link)));
}

function missing(sentence) {
  main.className = "narrow";
  main.replaceChildren(
    el("h1", {}, "Not here"),
    el("p", { class: "message" }, sentence),
    el("p", {}, el("a", { href: at("") }, "What is served")),
  );
}

// Where a card's JSON and its report are.
function addresses({ name, version, card }) {
  const report = card.files["report.html"]
    ? at(`?${new URLSearchParams({ model: name, version, view: "report" })}`)
    : null;
  return { json: at(`v1/models/${name}/versions/${version}`), report };
}

async function show() {
  const query = new URLSearchParams(location.search);
  const view = isAt("docs") ? "docs" : (query.get("view") ?? "predict");
  const list = call("v1/models");
  // Where an address names the model, its page does not wait for the list of all.
  list.catch(() => {});
  const chosen = query.get("model") ?? (await list).default;
  list.then(({ models }) => offer(models, chosen, view)).catch(() => {});
  const read = (version) =>
    call(`v1/models/${encodeURIComponent(chosen)}${version ? `/versions/${encodeURIComponent(version)}` : ""}`);
  if (!chosen || view === "docs") {
    navigate(chosen, view, chosen ? await read(null).catch(() => null) : null);
    if (view === "docs") return (await import("./docs.js")).drawDocs(main);
    const { models } = await list;
    return models.length ? choose(models) : wait();
  }
  let state;
  try {
    state = await read(query.get("version"));
  } catch (error) {
    navigate(chosen, view, null);
    throw error;
  }
  navigate(chosen, view, state);
  document.title = `${chosen} · Evenkeel`;
  if (view === "versions") return (await import("./versions.js")).drawVersions(main, state, (await list).models);
  if (view === "card") return (await import("./card.js")).drawCard(main, { ...state, ...addresses(state) });
  if (view === "drift") return (await import("./drift.js")).drawDrift(main, state);
  if (view === "performance") return (await import("./performance.js")).drawPerformance(main, state);
  if (view === "report") return (await import("./report.js")).drawReport(main, state);
  const source = sourceOf(state, query.has("version"));
  if (query.has("beside")) source.beside = sourceOf(await read(query.get("beside")), true);
  return drawPage(main, source);
}

async function start() {
  try {
    await show();
  } catch (error) {
    if (error.status === 401 || error.status === 403) return askForKey(main, hasKey() ? error.message : "", start);
    missing(error.message);
    if (!(error instanceof Refusal)) throw error;
  }
}

start();
