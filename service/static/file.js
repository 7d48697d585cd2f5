// A page that is a file: the model stands in it, and answers without a service. `opening.js` has unpacked it.

import { drawCard } from "./card.js";
import { el, named } from "./dom.js";
import { offlineSource } from "./offline.js";
import { drawPage } from "./page.js";
import { RefusedModel } from "./protobuf.js";

const main = document.querySelector("main");
const header = document.querySelector("header");

function refuse(error) {
  main.className = "narrow";
  main.replaceChildren(
    el("h1", {}, "This file cannot be used"),
    el("p", { class: "message" }, `It is damaged, or its answers could be wrong: ${error.message}.`),
    el("p", {}, "Nothing of it is shown. Ask whoever sent it to send it again."),
  );
}

function show(source) {
  const card = el("main", { hidden: true });
  main.after(card);
  const pages = [["Predict", main], ["Card", card]];
  const links = pages.map(([text, page]) => el("a", { href: "#", onclick: (event) => turn(event, page) }, text));
  function turn(event, wanted) {
    event?.preventDefault();
    pages.forEach(([, page], index) => {
      page.hidden = page !== wanted;
      if (page === wanted) links[index].setAttribute("aria-current", "page");
      else links[index].removeAttribute("aria-current");
    });
  }
  header.append(el("nav", { "aria-label": "Pages" }, ...links));
  turn(null, main);
  drawPage(main, source);
  drawCard(card, source);
}

function start({ card: { card, version }, model }) {
  try {
    const source = offlineSource(card, version, model);
    const count = `${card.features.length} ${card.features.length === 1 ? "feature" : "features"}`;
    source.note = el("span", {}, "predicts ", named(card.provenance.target), ` from ${count}; this file answers by itself and sends nothing`);
    show(source);
  } catch (error) {
    refuse(error);
    if (!(error instanceof RefusedModel)) throw error;
  }
}

start(globalThis.evenkeel);
