// Ask the model on every change, and show its answer as bars.
"use strict";

const main = document.querySelector("main");
const model = main.dataset.model;
const path = `/v1/models/${model}:predict`;
const fields = [...document.querySelectorAll("[data-feature]")];
const answer = document.querySelector(".answer");
const message = document.querySelector(".message");

// A probability of 0.9997 is not certainty, nor is 0.0003 impossible.
function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share < 0.001 && share > 0) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

// A number is read as those of the table were.
function numberOf(text, { decimal, thousands, unit }) {
  const digits = text.replace(unit, "").trim().replaceAll(thousands, "").replace(decimal, ".");
  return digits === "" ? NaN : Number(digits);
}

function valueOf(field) {
  if (field.value.trim() === "") return null;
  return field.dataset.kind === "numeric" ? numberOf(field.value, field.dataset) : field.value;
}

function readInstance() {
  return Object.fromEntries(fields.map((field) => [field.dataset.feature, valueOf(field)]));
}

function showAnswer({ label, probability, probabilities }) {
  document.querySelector(".label").textContent = label;
  document.querySelector(".probability").textContent = percent(probability);
  const ranking = Object.keys(probabilities).sort((one, other) => probabilities[other] - probabilities[one]);
  for (const bar of document.querySelectorAll(".bars li")) {
    // A few bars stay in place, so that the eye can follow them; of many, the likeliest must be in sight.
    bar.style.order = ranking.length > 8 ? ranking.indexOf(bar.dataset.class) : 0;
    const share = probabilities[bar.dataset.class];
    bar.classList.toggle("first", bar.dataset.class === label);
    bar.querySelector(".fill").style.width = `${100 * share}%`;
    bar.querySelector(".share").textContent = percent(share);
  }
}

function showRefusal(text, broken) {
  message.textContent = text;
  answer.classList.toggle("stale", text !== "");
  for (const field of fields) field.toggleAttribute("aria-invalid", broken.includes(field.dataset.feature));
}

function showCommand(body) {
  const quoted = body.replaceAll("'", "'\\''");
  const key = hasKey() ? ` \\\n  -H "X-API-Key: $EVENKEEL_API_KEY"` : "";
  document.querySelector(".curl").textContent =
    `curl ${location.origin}${path} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${quoted}'`;
}

let latest = 0;

async function ask() {
  const number = ++latest;
  const instance = readInstance();
  // JSON knows no NaN: it would become null, which means missing and not "no number".
  const notNumbers = Object.keys(instance).filter((name) => Number.isNaN(instance[name]));
  if (notNumbers.length) return showRefusal(`${notNumbers.join(", ")}: not a number`, notNumbers);
  const body = JSON.stringify({ instance });
  showCommand(body);
  try {
    const response = await fetch(path, { method: "POST", headers: withKey({ "Content-Type": "application/json" }), body });
    const document_ = await response.json();
    if (number !== latest) return;
    if (!response.ok) return showRefusal(document_.error, document_.details.map((detail) => detail.feature));
    showRefusal("", []);
    showAnswer(document_.prediction);
  } catch {
    if (number === latest) showRefusal("the service does not answer", []);
  }
}

async function waitForModel() {
  const response = await fetch("/v2/health/ready").catch(() => null);
  if (response?.ok) location.reload();
  else setTimeout(waitForModel, 1000);
}

if (main.hasAttribute("data-waiting")) waitForModel();
else {
  for (const field of fields) field.addEventListener("input", ask);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  ask();
}
