import { el } from "./dom.js";
export function makeTable() { return el("section", { hidden: true }); }
