// A case has an address: the form's values behind the # of the page's URL, which no browser sends to anybody.

// `name=value` for each feature in card order; a name alone is a missing value.
export function fragmentOf(card, record) {
  return card.features
    .map(
      ({ name }) =>
        encodeURIComponent(name) + (record[name] === null ? "" : `=${encodeURIComponent(String(record[name]))}`),
    )
    .join("&");
}

// The values that a fragment names, of the features that the card has; null where it names none.
export function recordOf(card, fragment) {
  const features = new Map(card.features.map((feature) => [feature.name, feature]));
  const values = new Map();
  for (const part of fragment.replace(/^#/, "").split("&")) {
    const [name, value] = decoded(part);
    const feature = features.get(name);
    if (!feature) continue;
    if (value === null) values.set(name, null);
    else if (feature.kind !== "numeric") values.set(name, value);
    else if (value.trim() !== "" && Number.isFinite(Number(value))) values.set(name, Number(value));
  }
  return values.size ? Object.fromEntries(values) : null;
}

function decoded(part) {
  const mark = part.indexOf("=");
  try {
    if (mark < 0) return [decodeURIComponent(part), null];
    return [decodeURIComponent(part.slice(0, mark)), decodeURIComponent(part.slice(mark + 1))];
  } catch {
    return ["", null];
  }
}
