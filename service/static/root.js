// Where the service is: also below the path of a proxy, and whatever the address of the page.

const ROOT = new URL("..", import.meta.url);

// The address of a path of the service, which begins without a slash; "" is its own page.
export function at(path) {
  return new URL(`./${path}`, ROOT).href;
}

// Whether the page is at a path of the service.
export function isAt(path) {
  return location.pathname === new URL(`./${path}`, ROOT).pathname;
}
