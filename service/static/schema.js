// A JSON schema as something to read: each member with its type, whether it must be there, and what it is.

import { el } from "./dom.js";

// So deep members are shown only once somebody asks for them, and so deep none are.
const FOLDED = 3;
const DEEPEST = 8;

// What a reference of the description leads to, with what stands beside it.
export function resolve(part, description) {
  if (!part?.$ref) return part ?? {};
  const { $ref, ...beside } = part;
  const found = $ref
    .split("/")
    .slice(1)
    .reduce((place, key) => place[key], description);
  return { ...found, ...beside };
}

function nameOf(schema) {
  return schema?.$ref?.split("/").at(-1) ?? "";
}

// Of a schema, its type in a word or few.
function kind(given, description) {
  const schema = resolve(given, description);
  const name = nameOf(given);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((one) => kind(one, description)).join(" | ");
  if (schema.type === "array") {
    if (schema.prefixItems) return `${name || "list"} of ${schema.prefixItems.length}`;
    return schema.items ? `list of ${kind(schema.items, description)}` : "list";
  }
  if (schema.type === "object" || schema.properties || schema.allOf) return name || "object";
  return [schema.type ?? "any"].flat().join(" | ");
}

// The members of an object, of the elements of a list, or of each of several choices: [name, schema, required].
function members(schema, description) {
  if (schema.allOf) return schema.allOf.flatMap((part) => members(resolve(part, description), description));
  const required = new Set(schema.required ?? []);
  const found = Object.entries(schema.properties ?? {}).map(([name, part]) => [name, part, required.has(name)]);
  if (typeof schema.additionalProperties === "object") found.push(["each name", schema.additionalProperties, false]);
  if (schema.prefixItems) return schema.prefixItems.map((part, index) => [String(index), part, true]);
  return found;
}

// What there is to see below a line: a list of members, or of choices.
function inside(given, description, depth) {
  if (depth > DEEPEST) return null;
  const schema = resolve(given, description);
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    const parts = choices.filter((one) => members(resolve(one, description), description).length || one.$ref);
    if (!parts.length) return null;
    // Whoever reads the first of them seldom needs the others.
    const items = parts.map((one, index) => line("", one, false, description, depth + 1, index > 0));
    return el("ul", { class: "choices" }, ...items);
  }
  if (schema.type === "array" && schema.items && !schema.prefixItems) return inside(schema.items, description, depth);
  const lines = members(schema, description).map(([name, part, required]) =>
    line(name, part, required, description, depth + 1),
  );
  return lines.length ? el("ul", {}, ...lines) : null;
}

function line(name, given, required, description, depth, folded = depth > FOLDED) {
  const schema = resolve(given, description);
  const head = [
    name && el("code", {}, name),
    el("span", { class: "kind" }, kind(given, description)),
    required && el("span", { class: "needed" }, "required"),
    schema.description && el("small", {}, schema.description),
  ].filter(Boolean);
  const deeper = () => inside(given, description, depth);
  if (folded && (members(schema, description).length || schema.anyOf || schema.oneOf)) {
    const made = el("details", {}, el("summary", {}, ...head));
    made.addEventListener("toggle", () => made.childElementCount === 1 && made.append(deeper() ?? ""), { once: true });
    return el("li", {}, made);
  }
  return el("li", {}, ...head, deeper());
}

export function drawSchema(given, description) {
  const name = nameOf(given);
  const shown = el("div", { class: "schema" });
  if (name) shown.append(el("p", { class: "kind" }, name));
  shown.append(inside(given, description, 0) ?? el("span", { class: "kind" }, kind(given, description)));
  return shown;
}
