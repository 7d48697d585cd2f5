// The API key that was typed in: kept for this tab only, sent with every request of a page, shown nowhere.

import { el } from "./dom.js";

export function hasKey() {
  return sessionStorage.getItem("key") !== null;
}

export function withKey(headers = {}) {
  return hasKey() ? { ...headers, "X-API-Key": sessionStorage.getItem("key") } : headers;
}

// Ask for a key in the page's place; `found` goes on once the service knows the one that was typed in.
export function askForKey(main, sentence, found) {
  sessionStorage.removeItem("key");
  // Without a name, no browser ever puts it into an address.
  const input = el("input", {
    id: "key",
    type: "password",
    required: true,
    pattern: "[A-Za-z0-9._~+\\/=\\-]{32,256}",
    title: "32 to 256 letters, digits and -._~+/=",
  });
  const message = el("p", { class: "message", role: "status" }, sentence);
  const form = el(
    "form",
    { class: "panel key", autocomplete: "off" },
    el("h1", {}, "This service asks for an API key"),
    el("label", { for: "key", class: "name" }, "Key"),
    input,
    el("button", {}, "Continue"),
    message,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("key", input.value);
    found();
  });
  main.className = "narrow";
  main.replaceChildren(form);
  input.focus();
}

// Where a key is used already: a box to put another in its place, or to forget it.
export function makeKeyBox(changed) {
  const input = el("input", { type: "password", placeholder: "Another API key", "aria-label": "API key" });
  const put = (event) => {
    event.preventDefault();
    if (input.value) sessionStorage.setItem("key", input.value);
    input.value = "";
    changed();
  };
  const forget = () => {
    sessionStorage.removeItem("key");
    changed();
  };
  const told = "Requests of this page send the API key that was typed in. Examples name it EVENKEEL_API_KEY.";
  return el(
    "form",
    { class: "keybox", autocomplete: "off", onsubmit: put },
    el("p", {}, told),
    input,
    el("button", {}, "Use"),
    el("button", { type: "button", class: "quiet", onclick: forget }, "Forget"),
  );
}
