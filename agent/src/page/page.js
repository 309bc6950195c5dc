// Brings the page up to date every few seconds without moving anything: what changed is changed in place, so that scrolling,
// open details, the focus and a selection stay. Without this file the page reloads itself.
"use strict";

const EVERY = 5000;
const said = document.getElementById("said");
const button = document.getElementById("pause");
let paused = false;
let timer = 0;

/** Makes `old` what `now` is. Whether details are open is the reader's affair. */
function patch(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName || old.id !== now.id) {
    old.replaceWith(now);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = now.data;
    return;
  }
  for (const { name, value } of [...now.attributes])
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  const [before, after] = [[...old.childNodes], [...now.childNodes]];
  after.forEach((child, n) => (n < before.length ? patch(before[n], child) : old.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

async function update() {
  try {
    const reply = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(EVERY) });
    if (!reply.ok) throw new Error(`it answers ${reply.status}`);
    const now = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (!now.querySelector("main")) throw new Error("something else answers");
    patch(document.querySelector("main"), now.querySelector("main"));
    patch(said, now.getElementById("said"));
    document.body.classList.remove("stale");
  } catch (error) {
    if (!document.body.classList.contains("stale")) {
      document.body.classList.add("stale");
      said.setAttribute("role", "status");
      said.append(` – no answer since: ${error.name === "Error" ? error.message : "the daemon cannot be reached"}`);
    }
  }
  next();
}

function next() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(update, EVERY);
}

// Which host it is, the address tells best.
document.title = `daxscope · ${location.host}`;
button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? "Resume" : "Pause";
  if (paused) clearTimeout(timer);
  else update();
});
document.addEventListener("visibilitychange", next);
next();
