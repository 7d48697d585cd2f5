// The first script of a page that is a file. All the rest stands packed in it: style, script, card and model. The policy
// of the page allows no style and no script but those two, by their digests.

import { sha256 } from "./sha256.js";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
// Deflate finds the bytes of numbers alike where those of the same place stand together.
const WIDTH = 4;

async function open() {
  const { textContent, dataset } = document.getElementById("packed");
  try {
    const bytes = await inflated(decoded(textContent));
    if (sha256(bytes) !== dataset.sha256) throw new Error("it is not as it was written");
    const [style, script, card, model] = partsOf(bytes);
    globalThis.evenkeel = { card: JSON.parse(card), model: gathered(model) };
    document.head.append(element("style", style));
    document.body.append(element("script", script, { type: "module" }));
  } catch (error) {
    const said = document.querySelector("main p");
    said.textContent = `This file is damaged: ${error.message}. Nothing of it is shown; ask whoever sent it to send it again.`;
    said.parentElement.classList.add("damaged");
  }
}

// Base85, five letters for four bytes, and how many bytes there are too many at the end.
function decoded(text) {
  const values = new Map(Array.from(ALPHABET, (letter, value) => [letter.charCodeAt(0), value]));
  const bytes = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let at = 0; at < text.length; at += 5) {
    let number = 0;
    for (let place = 0; place < 5; place++) number = number * 85 + values.get(text.charCodeAt(at + place));
    if (!(number < 2 ** 32)) throw new Error("a letter in it is wrong");
    bytes.setUint32((at / 5) * 4, number);
  }
  const whole = new Uint8Array(bytes.buffer);
  return whole.subarray(1, whole.length - whole[0]);
}

async function inflated(bytes) {
  if (!globalThis.DecompressionStream) throw new Error("this browser is too old for it");
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("a part of it cannot be read");
  }
}

// Texts, each behind its length, and the bytes that are left.
function partsOf(bytes) {
  const view = new DataView(bytes.buffer);
  const texts = [];
  let at = 0;
  for (let part = 0; part < 3; part++) {
    const end = at + 4 + view.getUint32(at);
    texts.push(new TextDecoder().decode(bytes.subarray(at + 4, end)));
    at = end;
  }
  return [...texts, bytes.subarray(at)];
}

function gathered(planes) {
  const bytes = new Uint8Array(planes.length);
  let from = 0;
  for (let plane = 0; plane < WIDTH; plane++) {
    for (let at = plane; at < bytes.length; at += WIDTH) bytes[at] = planes[from++];
  }
  return bytes;
}

function element(tag, text, attributes = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...attributes });
}

open();
