// openapi.json as a page: its operations by model and protocol, and a search.

import { el, named } from "./dom.js";
import { makeKeyBox, withKey } from "./key.js";
import { makeOperation } from "./operation.js";
import { at } from "./root.js";

const PROTOCOLS = [
  ["HTTP", (path) => !/^\/(v2|invocations|ping|health|version)(\/|$)/.test(path)],
  ["Open Inference Protocol V2", (path) => /^\/v2(\/|$)/.test(path)],
  ["MLflow and SageMaker", (path) => /^\/(invocations|ping|health|version)$/.test(path)],
];

async function read() {
  const response = await fetch(at("openapi.json"), { headers: withKey() });
  const description = await response.json();
  if (!response.ok) throw Object.assign(new Error(description.error), { status: response.status });
  // A server's address is told from where the description lies.
  return { description, base: new URL(description.servers[0].url, response.url).href.replace(/\/$/, "") };
}

// The operations of a tag, by protocol; each knows by what words it is found.
function makeGroup(tag, operations, number) {
  const parts = PROTOCOLS.map(([protocol, of]) => {
    const own = operations.filter(({ path }) => of(path));
    own.forEach((one) => {
      one.element = makeOperation(one);
      one.words = `${one.element.textContent} ${tag.name} ${protocol}`.toLowerCase();
    });
    return own.length ? el("section", {}, el("h3", {}, protocol), ...own.map((one) => one.element)) : null;
  });
  return el(
    "section",
    { class: "group", id: `group-${number}` },
    el("h2", {}, named(tag.name)),
    el("p", { class: "aside" }, tag.description),
    ...parts,
  );
}

function makeFinder(operations, groups, links) {
  const count = el("p", { class: "aside", role: "status" });
  const finder = el("input", { type: "search", placeholder: "Find an operation", "aria-label": "Find an operation" });
  const find = () => {
    const words = finder.value.trim().toLowerCase().split(/\s+/);
    operations.forEach((one) => (one.element.hidden = !words.every((word) => one.words.includes(word))));
    groups.forEach((group, index) => {
      for (const section of group.querySelectorAll("section:has(> .one)"))
        section.hidden = !section.querySelector(".one:not([hidden])");
      links[index].hidden = group.hidden = !group.querySelector(".one:not([hidden])");
    });
    const found = operations.filter((one) => !one.element.hidden).length;
    count.textContent = `${found === operations.length ? "" : `${found} of `}${operations.length} operations`;
  };
  finder.addEventListener("input", find);
  find();
  return [finder, count];
}

export async function drawDocs(main) {
  main.className = "docs";
  document.title = "HTTP interface · Evenkeel";
  const { description, base } = await read();
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation,
      description,
      base,
    })),
  );
  const groups = description.tags.map((tag, number) =>
    makeGroup(
      tag,
      operations.filter(({ operation }) => operation.tags[0] === tag.name),
      number,
    ),
  );
  const links = description.tags.map((tag, number) => el("a", { href: `#group-${number}` }, named(tag.name)));
  const finder = makeFinder(operations, groups, links);
  main.replaceChildren(
    el(
      "div",
      { class: "title" },
      el("h1", {}, "HTTP interface"),
      el(
        "p",
        {},
        "Every operation, with its schema and an example to send. Make a client from ",
        el("a", { href: at("openapi.json") }, "openapi.json"),
        ".",
      ),
    ),
    el(
      "div",
      { class: "contents" },
      ...finder,
      el("nav", { "aria-label": "Models and the service" }, ...links),
      description.components.securitySchemes && makeKeyBox(() => location.reload()),
    ),
    el("div", { class: "operations" }, ...groups),
  );
}
