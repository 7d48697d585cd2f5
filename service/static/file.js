// A page that is a file: the model stands in it, and answers without a service.

import { drawCard } from "./card.js";
import { el, named } from "./dom.js";
import { offlineSource } from "./offline.js";
import { drawPage } from "./page.js";
import { RefusedModel } from "./protobuf.js";
import { sha256 } from "./sha256.js";

const main = document.querySelector("main");
const header = document.querySelector("header");

// The source of what stands in the page: the length of the card's text, that text, and the model. RefusedModel where it
// is not what was written.
async function readSource() {
  const { textContent, dataset } = document.getElementById("model");
  const bytes = await unpacked(textContent);
  if (sha256(bytes) !== dataset.sha256) throw new RefusedModel("it is not as it was written");
  const start = 4 + new DataView(bytes.buffer).getUint32(0);
  const { card, version } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  return offlineSource(card, version, bytes.subarray(start));
}

async function unpacked(base64) {
  try {
    const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    if (error instanceof ReferenceError) throw new RefusedModel("this browser is too old for it: it must know DecompressionStream");
    throw new RefusedModel("the model in it cannot be read");
  }
}

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

async function start() {
  try {
    const source = await readSource();
    const count = source.card.features.length;
    const from = ` from ${count} ${count === 1 ? "feature" : "features"}; this file answers by itself and sends nothing`;
    source.note = el("span", {}, "tells ", named(source.card.provenance.target), from);
    show(source);
  } catch (error) {
    refuse(error);
    if (!(error instanceof RefusedModel)) throw error;
  }
}

start();
