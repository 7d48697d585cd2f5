// A text field with a list of suggestions: type to narrow the list, arrows to walk it (the ARIA combobox pattern).

import { el, unbroken } from "./dom.js";

const MOST_SHOWN = 50;

// `texts` are what may be chosen; `onchoose` hears of each choice and each edit. The value is the chosen text exactly,
// also where a text field could not hold it, or else what was typed.
export function combobox(id, texts, onchoose, attributes = {}) {
  const list = el("ul", {
    id: `${id}-list`,
    class: "suggestions",
    role: "listbox",
    hidden: true,
    "aria-label": "Suggestions",
  });
  const input = el("input", {
    ...attributes,
    id,
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
  });
  const element = el("div", { class: "combobox" }, input, list);
  const plain = texts.map((text) => text.toLowerCase());
  let chosen = null;
  let active = -1;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const point = (index) => {
    const items = list.querySelectorAll("[role=option]");
    if (!items.length) return;
    items[active]?.setAttribute("aria-selected", "false");
    active = (index + items.length) % items.length;
    items[active].setAttribute("aria-selected", "true");
    items[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[active].id);
  };
  const choose = (text) => {
    write(text);
    close();
    onchoose();
  };
  const open = (typed) => {
    const wanted = typed.trim().toLowerCase();
    const found = texts.map((text, at) => [plain[at].indexOf(wanted), at]).filter(([where]) => where >= 0);
    // What begins so goes first, as what is meant.
    if (wanted) found.sort((one, other) => (one[0] !== 0) - (other[0] !== 0) || one[1] - other[1]);
    const items = found.slice(0, MOST_SHOWN).map(([, at], place) => {
      const option = el(
        "li",
        { id: `${id}-${place}`, role: "option", "aria-selected": "false", dir: "auto" },
        unbroken(texts[at]),
      );
      // Before the field loses the focus.
      option.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        choose(texts[at]);
      });
      option.chosen = texts[at];
      return option;
    });
    list.replaceChildren(...items);
    active = -1;
    list.hidden = items.length === 0;
    input.setAttribute("aria-expanded", String(items.length > 0));
    input.removeAttribute("aria-activedescendant");
  };
  const write = (text) => {
    chosen = text;
    input.value = text ?? "";
  };

  input.addEventListener("input", () => {
    chosen = null;
    open(input.value);
    onchoose();
  });
  input.addEventListener("click", () => list.hidden && open(""));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (list.hidden) open("");
      point(active < 0 && step < 0 ? -1 : active + step);
    } else if (event.key === "Enter" && !list.hidden) {
      event.preventDefault();
      const item = list.children[active] ?? list.children[0];
      if (item) choose(item.chosen);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
  return { element, input, write, read: () => (chosen !== null ? chosen : input.value) };
}
