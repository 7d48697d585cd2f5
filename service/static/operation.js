// One operation of the description: what it takes, a request to send, the same in three languages, and its answers.

import { copied } from "./copies.js";
import { announcer, el } from "./dom.js";
import { hasKey, withKey } from "./key.js";
import { samplesOf } from "./samples.js";
import { drawSchema, resolve } from "./schema.js";

const MOST_LINES = 24;
const JSON_TYPE = "application/json";
// The language of all examples is the one that was chosen last.
let language = "curl";

function media(part, description) {
  return resolve(part, description).content ?? {};
}

// The parameters of an operation, with a field for each that stands in the path.
function makeParameters(operation, description, changed) {
  const parameters = (operation.parameters ?? []).map((one) => resolve(one, description));
  const fields = new Map();
  const lines = parameters.map((one) => {
    const value = one.in === "path" ? String(one.example ?? "") : "";
    const field = el("input", { value, "aria-label": one.name, oninput: changed, spellcheck: "false" });
    fields.set(one, field);
    return el("label", { class: "parameter" }, el("code", {}, one.name), field, el("small", {}, one.description));
  });
  return {
    element: lines.length ? el("section", {}, el("h4", {}, "Parameters"), ...lines) : null,
    path: (template) =>
      parameters
        .filter((one) => one.in === "path")
        .reduce(
          (path, one) => path.replace(`{${one.name}}`, encodeURIComponent(fields.get(one).value).replaceAll("%3A", ":")),
          template,
        ),
    headers: () =>
      Object.fromEntries(
        parameters
          .filter((one) => one.in === "header" && fields.get(one).value)
          .map((one) => [one.name, fields.get(one).value]),
      ),
  };
}

async function send(method, url, headers, body, reply) {
  reply.hidden = false;
  try {
    const sent = withKey(body === undefined ? headers : { ...headers, "Content-Type": JSON_TYPE });
    const response = await fetch(url, { method, body, headers: sent });
    const text = await response.text();
    const json = response.headers.get("Content-Type") === JSON_TYPE;
    reply.textContent = `${response.status}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
  } catch {
    reply.textContent = "the service does not answer";
  }
}

// Tabs of examples; `request` gives what `samplesOf` takes, or null where the body is not JSON.
function makeSamples(request) {
  const speaker = announcer();
  const code = el("code");
  const tabs = ["curl", "Python", "JavaScript"].map((name) =>
    el("button", { type: "button", class: "quiet", "data-sample": name, onclick: () => show(name) }, name),
  );
  const copy = el("button", { type: "button", class: "quiet copy" }, "Copy");
  copy.addEventListener("click", async () =>
    speaker.say((await copied(code.textContent)) ? "copied" : "the browser did not copy it"),
  );
  const show = (name = language) => {
    language = name;
    tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab.dataset.sample === name)));
    const asked = request();
    code.textContent = asked ? samplesOf(asked)[name] : "the request body is not JSON";
  };
  const element = el(
    "section",
    { class: "samples", "aria-label": "Example" },
    el("p", { class: "tabs" }, ...tabs, copy),
    el("pre", { tabindex: "0", "aria-label": "Example" }, code),
    speaker.element,
  );
  return { element, show };
}

function answersOf(operation, description) {
  const answers = Object.entries(operation.responses).map(([status, part]) => {
    const told = resolve(part, description).description;
    const schema = media(part, description)[JSON_TYPE]?.schema;
    const head = [el("code", { class: "status" }, status), " ", told];
    if (!schema) return el("p", {}, ...head);
    const made = el("details", { open: status === "200" }, el("summary", {}, ...head));
    const fill = () => made.childElementCount === 1 && made.append(drawSchema(schema, description));
    if (status === "200") fill();
    made.addEventListener("toggle", fill);
    return made;
  });
  return el("section", { class: "answers" }, el("h4", {}, "Answers"), ...answers);
}

// Made by whoever opens it: of forty models there are hundreds of operations.
function filled({ path, method, operation, description, base }) {
  const content = media(operation.requestBody, description)[JSON_TYPE];
  const label = `Request body of ${method} ${path}`;
  const body = el("textarea", { spellcheck: "false", "aria-label": label, oninput: () => samples.show() });
  if (content) {
    body.value = JSON.stringify(content.example ?? {}, null, 2);
    body.rows = Math.min(body.value.split("\n").length, MOST_LINES);
  }
  const parameters = makeParameters(operation, description, () => samples.show());
  const url = () => base + parameters.path(path);
  const json = JSON_TYPE in media(operation.responses["200"], description);
  const request = () => {
    try {
      const keyed = hasKey() && operation.security?.length !== 0;
      const sent = content ? JSON.parse(body.value) : undefined;
      return { method, url: url(), headers: parameters.headers(), body: sent, json, keyed };
    } catch {
      return null;
    }
  };
  const samples = makeSamples(request);
  const reply = el("pre", { class: "reply", hidden: true, tabindex: "0", "aria-label": "Reply" });
  const press = () => send(method, url(), parameters.headers(), content ? body.value : undefined, reply);
  samples.show();
  return {
    samples,
    element: el(
      "div",
      { class: "operation" },
      el(
        "div",
        { class: "try" },
        content && el("h4", {}, "Try it"),
        content && body,
        el("button", { type: "button", onclick: press, "aria-label": `Send ${method} ${path}` }, "Send"),
        reply,
        samples.element,
      ),
      el(
        "div",
        { class: "told" },
        operation.description && el("p", {}, operation.description),
        parameters.element,
        content && el("section", {}, el("h4", {}, "Request"), drawSchema(content.schema, description)),
        answersOf(operation, description),
      ),
    ),
  };
}

export function makeOperation(given) {
  const { path, method, operation } = given;
  const made = el(
    "details",
    { class: "one" },
    el(
      "summary",
      {},
      el("span", { class: `method ${method.toLowerCase()}` }, method),
      el("code", { class: "path" }, path),
      el("span", { class: "summary" }, operation.summary),
    ),
  );
  let inner = null;
  made.addEventListener("toggle", () => {
    if (!made.open) return;
    if (inner) return inner.samples.show();
    inner = filled(given);
    made.append(inner.element);
  });
  return made;
}
