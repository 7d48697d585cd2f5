// The API key that was typed in: kept for this tab only, sent with every request of a page, shown nowhere.
"use strict";

function hasKey() {
  return sessionStorage.getItem("key") !== null;
}

function withKey(headers = {}) {
  return hasKey() ? { ...headers, "X-API-Key": sessionStorage.getItem("key") } : headers;
}
