// Show openapi.json: each operation with its schema, an example to send, and every answer that it may give.

import { el } from "./dom.js";
import { withKey } from "./key.js";

function element(tag, text, ...children) {
  return el(tag, {}, text, ...children);
}

function resolve(schema, description) {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref
    .split("/")
    .slice(1)
    .reduce((part, key) => part[key], description);
}

function kind(schema) {
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  return [schema.type ?? "any"].flat().join(" or ");
}

// A schema as nested lists; what lies deeper than anyone reads is left out.
function outline(given, description, depth = 0) {
  const schema = resolve(given, description);
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    const parts = choices.map((choice) => element("li", "", outline(choice, description, depth + 1)));
    return element("div", "one of", element("ul", "", ...parts));
  }
  const line = element("div", "", element("span", kind(schema)));
  if (schema.description) line.append(element("small", ` ${schema.description}`));
  if (depth > 5) return line;
  const fields = Object.entries(schema.properties ?? {});
  for (const [index, item] of (schema.prefixItems ?? []).entries()) fields.push([`[${index}]`, item]);
  if (schema.items?.type || schema.items?.$ref || schema.items?.anyOf) fields.push(["each", schema.items]);
  const items = fields.map(([name, part]) =>
    element("li", "", element("code", name), outline(part, description, depth + 1)),
  );
  if (items.length) line.append(element("ul", "", ...items));
  return line;
}

async function send(method, path, body, reply) {
  reply.hidden = false;
  try {
    const headers = withKey(body === null ? {} : { "Content-Type": "application/json" });
    const options = body === null ? { method, headers } : { method, body, headers };
    const response = await fetch(path, options);
    const text = await response.text();
    const json = response.headers.get("Content-Type") === "application/json";
    reply.textContent = `${response.status}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
  } catch {
    reply.textContent = "the service does not answer";
  }
}

// Opened by whoever wants to see it: of forty models there are hundreds of operations.
function filled(path, method, operation, description) {
  const parts = [];
  if (operation.description) parts.push(element("p", operation.description));
  const request = operation.requestBody?.content?.["application/json"]?.schema;
  const body = el("textarea", { spellcheck: "false", "aria-label": `Request body of ${method} ${path}` });
  if (request) {
    body.value = JSON.stringify(request.examples?.[0] ?? {}, null, 2);
    parts.push(
      el(
        "section",
        { class: "request" },
        element("h2", "Request"),
        el("div", { class: "schema" }, outline(request, description)),
        body,
      ),
    );
  }
  const reply = el("pre", { class: "reply", hidden: true, tabindex: "0", "aria-label": "Reply" });
  const press = () => send(method, path, request ? body.value : null, reply);
  parts.push(el("button", { type: "button", onclick: press, "aria-label": `Send ${method} ${path}` }, "Send"), reply);
  const answers = Object.entries(operation.responses).flatMap(([status, answer]) => [
    element("dt", status),
    element("dd", answer.description),
  ]);
  parts.push(el("section", {}, element("h2", "Answers"), el("dl", { class: "answers" }, ...answers)));
  return parts;
}

function operationOf(path, method, operation, description) {
  const summary = el(
    "summary",
    {},
    el("span", { class: "method" }, method),
    " ",
    el("code", { class: "path" }, path),
    " ",
    el("span", { class: "summary" }, operation.summary),
  );
  const made = el("details", {}, summary);
  made.addEventListener(
    "toggle",
    () => made.childElementCount === 1 && made.append(...filled(path, method, operation, description)),
  );
  return made;
}

export async function drawDocs(main) {
  main.className = "docs";
  document.title = "HTTP interface · Evenkeel";
  const response = await fetch("/openapi.json", { headers: withKey() });
  const description = await response.json();
  if (!response.ok) throw Object.assign(new Error(description.error), { status: response.status });
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      operationOf(path, method.toUpperCase(), operation, description),
    ),
  );
  const finder = el("input", { type: "search", placeholder: "Find an operation", "aria-label": "Find an operation" });
  finder.addEventListener("input", () =>
    operations.forEach(
      (one) => (one.hidden = !one.firstChild.textContent.toLowerCase().includes(finder.value.trim().toLowerCase())),
    ),
  );
  main.replaceChildren(
    el(
      "div",
      { class: "title" },
      el("h1", {}, "HTTP interface"),
      el(
        "p",
        {},
        "Every operation, with its schema and an example to send. ",
        el("a", { href: "/openapi.json" }, "openapi.json"),
      ),
    ),
    finder,
    el("div", { class: "operations" }, ...operations),
  );
}
