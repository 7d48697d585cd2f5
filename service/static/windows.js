// The page of what a version tells of its windows of time: a summary, a button for each window, and what it holds.

import { el, named } from "./dom.js";
import { call } from "./service.js";

// Asks for `what`, and shows the window that `first` chooses. `head` are elements below the summary, `legend` those
// above the panels; `count` is the line that counts a window's rows, `drawn` its panels.
export async function drawWindows(main, { name, version }, what, page) {
  let told;
  try {
    told = await call(`v1/models/${name}/versions/${version}/${what}`);
  } catch (error) {
    if (error.status !== 403) throw error;
    // The key is good for all other pages: nobody is asked for another.
    main.className = "narrow";
    return main.replaceChildren(el("h1", {}, "Not with this key"), el("p", { class: "message" }, error.message));
  }
  const grid = el("div", { class: "drift-grid" });
  const count = el("p", { role: "status" });
  const buttons = told.windows.map((window, at) =>
    el("button", { type: "button", class: "quiet", onclick: () => choose(at) }, window.name.replace("last", "Last")),
  );
  const choose = (at) => {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === at)));
    count.textContent = page.count(told, told.windows[at]);
    grid.replaceChildren(...page.drawn(told, at));
  };
  main.className = `drift-page ${what}-page`;
  main.replaceChildren(
    el(
      "div",
      { class: "title" },
      el("h1", {}, named(name), " ", el("small", {}, `version ${version}`)),
      el("p", { class: "verdict-line", "data-status": told.status }, told.summary),
      ...(page.head?.(told) ?? []),
    ),
    el("div", { class: "tabs", role: "group", "aria-label": "Window of time" }, ...buttons),
    count,
    page.legend(told),
    grid,
  );
  choose(told.windows.indexOf(page.first(told.windows)));
}
