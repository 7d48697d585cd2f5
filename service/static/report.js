// The report of a version's training, in a frame that may run nothing and load nothing.

import { el, named } from "./dom.js";
import { hasKey, withKey } from "./key.js";
import { at } from "./root.js";

function reportOf(name, version) {
  return at(`v1/models/${name}/versions/${version}/report`);
}

// A frame cannot send a key, so that with keys the report is fetched, and kept as a file.
async function save(name, version, message) {
  const response = await fetch(reportOf(name, version), { headers: withKey() }).catch(() => null);
  if (!response?.ok)
    return void (message.textContent = response ? (await response.json()).error : "the service does not answer");
  const link = el("a", { href: URL.createObjectURL(await response.blob()), download: `${name}-${version}.html` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export function drawReport(main, { name, version, card }) {
  const title = el("h1", {}, named(name), " ", el("small", {}, `version ${version}`));
  if (!card.files["report.html"]) {
    main.className = "narrow";
    main.replaceChildren(
      title,
      el(
        "p",
        {},
        "This version was published without a report. ",
        el("code", {}, `evenkeel report ${name} ${version}`),
        " draws one where the figures were kept.",
      ),
    );
  } else if (hasKey()) {
    const message = el("p", { class: "message", role: "status" });
    main.className = "narrow";
    main.replaceChildren(
      title,
      el(
        "p",
        {},
        "This service asks for a key, which a frame cannot send: the report comes as a file, to be opened from there.",
      ),
      el("button", { type: "button", onclick: () => save(name, version, message) }, "Download the report"),
      message,
    );
  } else {
    main.className = "report";
    title.className = "unseen";
    main.replaceChildren(
      title,
      el("iframe", { src: reportOf(name, version), sandbox: "", title: `Report of ${name}, version ${version}` }),
    );
  }
}
