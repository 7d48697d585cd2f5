// The models to choose from, in the header: a list, and a box to search it where it is long.

import { el } from "./dom.js";
import { at } from "./root.js";

const MANY = 8;

export function makePicker(models, chosen, view) {
  if (models.length === 1) return el("span", { class: "picker" }, models[0].name);
  const query = (name) =>
    at(`?${new URLSearchParams({ model: name, ...(["versions", "card", "report"].includes(view) ? { view } : {}) })}`);
  const items = models.map((one) =>
    el(
      "li",
      {},
      el(
        "a",
        { href: query(one.name), "aria-current": one.name === chosen ? "true" : null },
        one.name,
        el("small", {}, ` version ${one.version}`),
      ),
    ),
  );
  const none = el("p", { class: "aside", hidden: true }, "No model is called so.");
  const narrow = () => {
    const wanted = input.value.trim().toLowerCase();
    items.forEach((item, at) => (item.hidden = !models[at].name.includes(wanted)));
    none.hidden = items.some((item) => !item.hidden);
  };
  const input = el("input", {
    type: "search",
    placeholder: `Find one of ${models.length} models`,
    "aria-label": "Find a model",
    oninput: narrow,
  });
  input.addEventListener("keydown", (event) => {
    const first = items.find((item) => !item.hidden);
    if (event.key === "Enter" && first) first.firstChild.click();
  });
  const picker = el(
    "details",
    { class: "picker" },
    el("summary", { "aria-label": chosen ? `Model: ${chosen}. Choose another` : null }, chosen ?? "Models"),
    el("div", { class: "menu" }, models.length > MANY ? input : null, el("ul", {}, ...items), none),
  );
  picker.addEventListener("toggle", () => picker.open && models.length > MANY && input.focus());
  picker.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    picker.open = false;
    picker.firstChild.focus();
  });
  document.addEventListener("click", (event) => picker.contains(event.target) || (picker.open = false));
  return picker;
}
