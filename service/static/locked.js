// Ask for an API key, then put the page in the place of this one. Links carry no key, so the next page comes by here too.
"use strict";

// In a block: the page's own scripts share this window, and its names.
{
  const message = document.querySelector(".message");

  const unlock = async () => {
    const response = await fetch("/v1/models", { headers: withKey() });
    if (!response.ok) {
      sessionStorage.removeItem("key");
      message.textContent = (await response.json()).error;
      return;
    }
    const page = await (await fetch(location.href, { headers: withKey(), cache: "no-store" })).text();
    document.open();
    document.write(page);
    document.close();
  };

  const attempt = () => unlock().catch(() => (message.textContent = "the service does not answer"));

  document.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("key", document.querySelector("input").value);
    attempt();
  });
  if (hasKey()) attempt();
}
