// A request as it is written in a shell, in Python and in JavaScript: {method, url, headers, body, json, keyed},
// where `body` is what is sent, already read, or undefined, and `json` says whether the answer is JSON. No key is ever
// written.

// A text in single quotes for a shell.
export function inShell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl({ method, url, headers, body, keyed }) {
  const parts = [`curl ${inShell(url)}`];
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${inShell(`${name}: ${value}`)}`);
  if (keyed) parts.push(`-H "X-API-Key: $EVENKEEL_API_KEY"`);
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${inShell(JSON.stringify(body))}`);
  else if (method !== "GET") parts.push(`-X ${method}`);
  return `${parts.join(" \\\n  ")}\n`;
}

// A value as Python writes it.
function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const lines = Array.isArray(value)
    ? value.map((one) => literal(one, deeper))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!lines.length) return open + close;
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return open + lines.join(", ") + close;
  return `${open}\n${lines.map((one) => `${deeper}${one},\n`).join("")}${indent}${close}`;
}

// The headers as both languages write them; the key comes from the environment.
function written({ headers, body, keyed }, key) {
  return [
    ...Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`),
    ...(body === undefined ? [] : ['"Content-Type": "application/json"']),
    ...(keyed ? [`"X-API-Key": ${key}`] : []),
  ].join(", ");
}

function python(request) {
  const { method, url, body, json, keyed } = request;
  const headers = written(request, 'os.environ["EVENKEEL_API_KEY"]');
  const parts = [
    JSON.stringify(url),
    ...(body === undefined ? [] : ["data=json.dumps(body).encode()"]),
    ...(headers.length ? [`headers={${headers}}`] : []),
    ...(body === undefined && method !== "GET" ? [`method="${method}"`] : []),
  ];
  return `${json || body !== undefined ? "import json\n" : ""}${keyed ? "import os\n" : ""}import urllib.request

${body === undefined ? "" : `body = ${literal(body)}\n`}request = urllib.request.Request(
${parts.map((one) => `    ${one},\n`).join("")})
with urllib.request.urlopen(request) as response:
    print(${json ? "json.load(response)" : "response.read().decode()"})
`;
}

function javascript(request) {
  const { method, url, body, json } = request;
  const headers = written(request, "process.env.EVENKEEL_API_KEY");
  // In a literal, __proto__ would be the object's prototype; in brackets it is a name as any other.
  const spelled =
    body === undefined ? "" : JSON.stringify(body, null, 2).replaceAll(/^(\s*)"__proto__":/gm, '$1["__proto__"]:');
  const options = [
    ...(method === "GET" ? [] : [`method: "${method}"`]),
    ...(headers.length ? [`headers: { ${headers} }`] : []),
    ...(body === undefined ? [] : ["body: JSON.stringify(body)"]),
  ];
  const second = options.length ? `, {\n${options.map((one) => `  ${one},\n`).join("")}}` : "";
  return `${spelled && `const body = ${spelled};\n`}const response = await fetch(${JSON.stringify(url)}${second});
console.log(await response.${json ? "json" : "text"}());
`;
}

export function samplesOf(request) {
  return { curl: curl(request), Python: python(request), JavaScript: javascript(request) };
}
