// Prediction sets: what a page says of the one that an answer has.

import { el, named } from "./dom.js";

// A line under the answer: { element, show(answer), doubt() }, the last once the rows have shifted; null for a card without sets.
export function setLine(card) {
  if (!card.sets) return null;
  const level = `${Number((100 * card.sets.level).toFixed(2))} %`;
  const classes = el("span", { class: "classes" });
  const remark = el("span", { class: "remark" });
  const about = `${level} of such sets hold the true class, as long as the rows follow the training distribution`;
  const doubts = el("span", { class: "remark doubts" });
  const parts = [el("b", {}, `${level} set`), " ", classes, " ", remark, " ", doubts];
  const element = el("p", { class: "set", title: about }, ...parts);
  const show = ({ set, certain }) => {
    classes.replaceChildren(...set.flatMap((label, at) => [at ? ", " : "", named(label)]));
    remark.textContent = certain ? "" : `not certain: ${set.length} of ${card.classes.length} classes`;
    element.dataset.certain = String(certain);
  };
  const doubt = () => {
    doubts.textContent = `${level} is no longer promised: the rows have shifted`;
    element.dataset.promised = "false";
  };
  return { element, show, doubt };
}
