// The page of one model: a form, and beside it the answer, what if, and why. It is drawn from the card alone and asks
// a source for answers, {card, version, predict(records, {signal}), explain(record, {reference, signal})}; what a
// source may have besides is said where it is used.

import { fragmentOf, recordOf } from "./address.js";
import { makeAnswer } from "./answer.js";
import { makeCopies } from "./copies.js";
import { makeCurve } from "./curve.js";
import { NARROW, el, later, named } from "./dom.js";
import { makeForm } from "./form.js";
import { makeTable } from "./table.js";
import { makeWhy } from "./why.js";

// Draws the page into `main`. `source.beside`, another source, answers beside this one; `source.endpoints` are the
// addresses that commands may ask; `source.note` is a line below the title.
export function drawPage(main, source) {
  const { card, beside } = source;
  const titles = beside ? [`version ${source.version}`, `version ${beside.version}`] : [""];
  const answer = makeAnswer(card, titles);
  if (card.sets && card.drift && source.promised) {
    // Where it cannot be told, as with a key that is not good for that, nothing is said.
    source.promised().then((holds) => holds || answer.doubt(), () => {});
  }
  const curve = makeCurve(
    card,
    (records, options) => source.predict(records, { ...options, tried: true }),
    (name, value) => form.put(name, value),
  );
  const why = makeWhy(card, source.explain && ((record, options) => source.explain(record, options)));
  const copies = makeCopies(card, { link: () => location.href, endpoints: source.endpoints ?? null });
  const remember = later(150, (record) => history.replaceState(null, "", `#${fragmentOf(card, record)}`));

  let latest = 0;
  const ask = async (record) => {
    const number = ++latest;
    if (!record) return fail(form.faults().join("; "));
    remember(record);
    copies.update(record);
    try {
      const asked = [source, beside]
        .filter(Boolean)
        .map((one) => one.predict([record], { tried: true }).then((answers) => answers[0]));
      // One of two versions may not know what the other does.
      const [first, second] = await Promise.allSettled(asked);
      if (number !== latest) return;
      if (first.status === "rejected") throw first.reason;
      form.remark(first.value.warnings ?? []);
      answer.show([first.value, ...(second ? [second.value ?? null] : [])]);
      curve.update(record, first.value);
      why.update(record);
    } catch (error) {
      if (number !== latest) return;
      form.remark(error.details ?? [], true);
      fail(error.message);
    }
  };
  const fail = (text) => {
    answer.refuse(text);
    curve.clear();
    why.clear();
  };

  const form = makeForm(card, ask, (feature, element) => {
    curve.look(feature);
    if (NARROW.matches) beneath(element);
  });
  // On a narrow screen the curve stands under the field that it is about, and the field stays where it is.
  const beneath = (element) => {
    if (element.contains(curve.element)) return;
    const before = element.getBoundingClientRect().top;
    element.append(curve.element);
    scrollBy(0, element.getBoundingClientRect().top - before);
  };
  const aside = el(
    "div",
    { class: "aside-column" },
    answer.element,
    el("div", { class: "pair" }, curve.element, why.element),
    copies.element,
  );
  const place = () => {
    if (!NARROW.matches) aside.querySelector(".pair").prepend(curve.element);
  };
  NARROW.addEventListener("change", place);
  const title = el(
    "div",
    { class: "title" },
    el("h1", {}, named(card.name), " ", el("small", {}, `version ${source.version}`)),
    el(
      "p",
      {},
      source.note ??
        `predicts ${card.provenance.target} from ${card.features.length} ${card.features.length === 1 ? "feature" : "features"}`,
    ),
  );
  main.className = "predict";
  main.replaceChildren(
    title,
    answer.strip,
    el("div", { class: "form-column panel" }, form.element),
    aside,
    makeTable(card, source, (record) => form.write(record)),
  );
  // What an address does not name is as in the example.
  form.write({ ...card.golden[0].instance, ...recordOf(card, location.hash) });
  addEventListener("hashchange", () => {
    const record = recordOf(card, location.hash);
    if (record) form.write(record);
  });
}
