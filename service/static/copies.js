// The same question elsewhere: a link, and commands for a shell, Python, JavaScript and the Open Inference Protocol.

import { announcer, el } from "./dom.js";
import { inShell } from "./samples.js";
import { daysOf } from "./values.js";

function curl(url, body, keyed) {
  const key = keyed ? ` \\\n  -H "X-API-Key: $EVENKEEL_API_KEY"` : "";
  return `curl ${inShell(url)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${inShell(body)}`;
}

function entries(record, entry) {
  return Object.entries(record)
    .map(([name, value]) => `        ${entry(name, value)},\n`)
    .join("");
}

function python(url, record, keyed) {
  const key = keyed ? `, "X-API-Key": os.environ["EVENKEEL_API_KEY"]` : "";
  const literal = (value) => (value === null ? "None" : JSON.stringify(value));
  return `import json
${keyed ? "import os\n" : ""}import urllib.request

body = {
    "instance": {
${entries(record, (name, value) => `${JSON.stringify(name)}: ${literal(value)}`)}    }
}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    json.dumps(body).encode(),
    {"Content-Type": "application/json"${key}},
)
with urllib.request.urlopen(request) as response:
    print(json.load(response)["prediction"])
`;
}

function javascript(url, record, keyed) {
  const key = keyed ? `, "X-API-Key": process.env.EVENKEEL_API_KEY` : "";
  // In a literal, __proto__ would be the object's prototype; in brackets it is a name as any other.
  const spelled = (name) => (name === "__proto__" ? '["__proto__"]' : JSON.stringify(name));
  return `const body = {
    instance: {
${entries(record, (name, value) => `${spelled(name)}: ${JSON.stringify(value)}`)}    },
};
const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${key} },
  body: JSON.stringify(body),
});
console.log((await response.json()).prediction);
`;
}

function tensors(card, record) {
  const parts = [
    ["numeric", "FP32", card.features.filter((one) => one.kind !== "categorical")],
    ["categorical", "BYTES", card.features.filter((one) => one.kind === "categorical")],
  ];
  const value = (feature) =>
    feature.kind === "date" && record[feature.name] !== null ? daysOf(record[feature.name]) : record[feature.name];
  const inputs = parts.filter(([, , features]) => features.length);
  return {
    inputs: inputs.map(([name, datatype, features]) => ({
      name,
      datatype,
      shape: [1, features.length],
      data: features.map(value),
    })),
  };
}

// The texts by name. `endpoints` are the addresses of the model: {predict, infer, keyed}.
function commandsOf(card, record, { predict, infer, keyed }) {
  return {
    curl: curl(predict, JSON.stringify({ instance: record }), keyed),
    Python: python(predict, record, keyed),
    JavaScript: javascript(predict, record, keyed),
    V2: curl(infer, JSON.stringify(tensors(card, record)), keyed),
  };
}

// Whether a text could be copied.
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https, browsers lend the clipboard to a selection only.
    const area = el("textarea", { value: text, "aria-hidden": "true", class: "unseen" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// A row of buttons that copy, and the text of the one pressed last. `link` gives the page's address, and `endpoints`
// are those of `commandsOf`; either may be null.
export function makeCopies(card, { link, endpoints }) {
  const speaker = announcer();
  const shown = el("pre", { hidden: true, tabindex: "0", "aria-label": "What was copied" }, el("code"));
  let record = null;
  let open = null;
  const texts = () => (endpoints && record ? commandsOf(card, record, endpoints) : {});
  const press = async (name, button) => {
    const text = name === "link" ? link() : texts()[name];
    if (!text) return;
    open = name === "link" ? null : name;
    refresh();
    const done = await copied(text);
    const before = button.textContent;
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    speaker.say(done ? "copied" : "the browser did not copy it; it is shown below");
    setTimeout(() => (button.textContent = before), 1200);
  };
  const button = (name, text) => {
    const made = el("button", { type: "button", class: "quiet", "data-copy": name }, text);
    made.addEventListener("click", () => press(name, made));
    return made;
  };
  const names = [
    ...(link ? [["link", "Copy link"]] : []),
    ...(endpoints ? ["curl", "Python", "JavaScript", "V2"].map((name) => [name, name]) : []),
  ];
  const refresh = () => {
    shown.hidden = open === null || !record;
    if (!shown.hidden) shown.firstChild.textContent = texts()[open];
  };
  const update = (now) => {
    record = now;
    refresh();
  };
  const element = el(
    "section",
    { class: "copies", "aria-label": "Take it elsewhere", hidden: !names.length },
    el("p", {}, ...names.map(([name, text]) => button(name, text))),
    shown,
    speaker.element,
  );
  return { element, update };
}
