// Show openapi.json: each operation with its schema, an example to send, and every answer that it may give.
"use strict";

const main = document.querySelector("main");
const template = document.querySelector("#operation");

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function resolve(schema, description) {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref.split("/").slice(1).reduce((part, key) => part[key], description);
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
  const items = fields.map(([name, part]) => element("li", "", element("code", name), outline(part, description, depth + 1)));
  if (items.length) line.append(element("ul", "", ...items));
  return line;
}

async function send(method, path, body, reply) {
  reply.hidden = false;
  try {
    const options = body === null ? { method } : { method, body, headers: { "Content-Type": "application/json" } };
    const response = await fetch(path, options);
    const text = await response.text();
    const json = response.headers.get("Content-Type") === "application/json";
    reply.textContent = `${response.status}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
  } catch {
    reply.textContent = "the service does not answer";
  }
}

function show(path, method, operation, description) {
  const made = template.content.cloneNode(true);
  const find = (selector) => made.querySelector(selector);
  find(".method").textContent = method.toUpperCase();
  find(".path").textContent = path;
  find(".summary").textContent = operation.summary;
  find(".description").textContent = operation.description ?? "";
  const request = operation.requestBody?.content?.["application/json"]?.schema;
  const body = find("textarea");
  const reply = find(".reply");
  if (request) {
    find(".schema").append(outline(request, description));
    body.value = JSON.stringify(request.examples?.[0] ?? {}, null, 2);
  } else find(".request").remove();
  find("button").addEventListener("click", () => send(method.toUpperCase(), path, request ? body.value : null, reply));
  for (const [status, answer] of Object.entries(operation.responses)) {
    find(".answers").append(element("dt", status), element("dd", answer.description));
  }
  main.append(made);
}

async function load() {
  try {
    const description = await (await fetch("/openapi.json")).json();
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) show(path, method, operation, description);
    }
  } catch {
    document.querySelector(".message").textContent = "the service does not answer";
  }
}

load();
