// The source of answers over HTTP: the service that this page came from.

import { Refusal } from "./concerns.js";
import { hasKey, withKey } from "./key.js";
import { at } from "./root.js";

// Ask the service at one of its paths; its refusals, and its silence, are a Refusal.
export async function call(path, body, signal, more = {}) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(at(path), {
      ...options,
      signal,
      headers: withKey(body === undefined ? {} : { "Content-Type": "application/json", ...more }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("the service does not answer");
  }
  const answer = await response.json();
  if (!response.ok) throw new Refusal(answer.error, answer.details, response.status);
  return answer;
}

// A source that asks one version of a model; `pinned` says whether the address names the version.
export function sourceOf(state, pinned) {
  const { card, version } = state;
  const path = `v1/models/${card.name}/versions/${version}`;
  const any = pinned ? path : `v1/models/${card.name}`;
  const infer = pinned ? `v2/models/${card.name}/versions/${version}/infer` : `v2/models/${card.name}/infer`;
  // What somebody tries is no traffic, of which drift and feedback are told; the rows of a file are.
  const predict = async (records, { signal, tried = false } = {}) => {
    const headers = tried ? { "X-Count": "no" } : {};
    const body = records.length === 1 ? { instance: records[0] } : { instances: records };
    const answer = await call(`${path}:predict`, body, signal, headers);
    return answer.predictions ?? [answer.prediction];
  };
  const explain = async (instance, { reference, signal } = {}) =>
    (await call(`${path}:explain`, { instance, reference }, signal)).explanation;
  // Whether the coverage of the sets still holds, as far as the service can tell.
  const promised = async () => (await call(`${path}/drift`)).sets?.promised ?? true;
  const endpoints = { predict: at(`${any}:predict`), infer: at(infer), keyed: hasKey() };
  return { card, version, predict, explain, promised, endpoints };
}
