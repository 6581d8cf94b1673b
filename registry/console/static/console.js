"use strict";
// Keeps what is marked data-live up to date, grows ages, and copies ids. Everything works without it, but for that.
(() => {
  const POLL = 2000, AGES = 5000;
  const live = document.querySelector("[data-live]");
  const pause = document.querySelector(".pause");
  let paused = false, etag = null, asking = false, failures = 0;

  const age = (time) => {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000, size = Math.abs(seconds);
    if (size < 1) return "now";
    const unit = [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([length]) => size >= length);
    const amount = `${Math.floor(size / unit[0])} ${unit[1]}`;
    return seconds > 0 ? `${amount} ago` : `in ${amount}`;
  };
  const growAges = () => document.querySelectorAll("time[datetime]").forEach((time) => {
    const text = age(time);
    if (time.textContent !== text) time.textContent = text;
  });

  const offerCopies = (root) => root.querySelectorAll("button.copy").forEach((button) => { button.hidden = !navigator.clipboard; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });

  // A part in which somebody types, or has text selected, is not taken from under them.
  const isInUse = () => {
    const active = document.activeElement, selection = getSelection();
    const typing = live.contains(active) && active.matches("input, select, textarea");
    const filled = [...live.querySelectorAll("textarea, input:not([type=hidden], [type=checkbox])")].some((field) => field.value !== field.defaultValue);
    const selected = live.querySelector("input:checked") !== null;
    return typing || filled || selected || (!selection.isCollapsed && live.contains(selection.anchorNode));
  };

  const show = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const open = new Set([...live.querySelectorAll("details[id][open]")].map((each) => each.id));
    const closed = new Set([...live.querySelectorAll("details[id]:not([open])")].map((each) => each.id));
    fresh.querySelectorAll("details[id]").forEach((each) => { if (open.has(each.id)) each.open = true; if (closed.has(each.id)) each.open = false; });
    offerCopies(fresh);
    exchange(live, fresh);
    growAges();
  };

  // Only what differs is exchanged, so that focus, scrolling and open parts stay where they are.
  const exchange = (old, fresh) => {
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((node, index) => {
      const other = before[index];
      if (!other) { old.append(node); return; }
      if (other.isEqualNode(node)) return;
      if (other.nodeName !== node.nodeName || other.nodeType !== Node.ELEMENT_NODE || other.id !== node.id) { other.replaceWith(node); return; }
      for (const name of other.getAttributeNames()) if (!node.hasAttribute(name)) other.removeAttribute(name);
      for (const name of node.getAttributeNames()) if (other.getAttribute(name) !== node.getAttribute(name)) other.setAttribute(name, node.getAttribute(name));
      exchange(other, node);
    });
    before.slice(after.length).forEach((node) => node.remove());
  };

  const refresh = async () => {
    if (!live || paused || asking || document.hidden || isInUse()) return;
    asking = true;
    try {
      const headers = { "X-Fragment": "live", ...(etag ? { "If-None-Match": etag } : {}) };
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error" });
      failures = 0;
      if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
      if (answer.status !== 200 || paused || isInUse()) return;
      etag = answer.headers.get("ETag");
      show(await answer.text());
    } catch { failures += 1; } finally { asking = false; }
  };
  // What is being written just now says how often to look.
  const wait = () => Number(live.querySelector("[data-poll]")?.dataset.poll) || POLL;
  const poll = async () => {
    await refresh();
    setTimeout(poll, Math.min((failures ? POLL : wait()) * 2 ** failures, 30000));
  };

  // An open timeline hears of each event at once; what it shows is asked for, so there is one way to draw it.
  const follow = (source) => {
    const stream = new EventSource(source);
    let due = null;
    stream.onmessage = () => { due ??= setTimeout(() => { due = null; refresh(); }, 100); };
    addEventListener("pagehide", () => stream.close());
  };

  if (live) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on updating" : "Pause updates";
      refresh();
    });
    document.addEventListener("visibilitychange", refresh);
    setTimeout(poll, wait());
    if (live.dataset.follow) follow(live.dataset.follow);
  }
  // j and k go from card to card; a key that something in the card is marked with does that, or goes there.
  const goTo = (step) => {
    const cards = [...document.querySelectorAll("[data-card]")];
    const at = cards.findIndex((card) => card.contains(document.activeElement));
    cards[at < 0 ? 0 : Math.min(Math.max(at + step, 0), cards.length - 1)]?.focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "j" || event.key === "k") { goTo(event.key === "j" ? 1 : -1); return; }
    const card = document.activeElement.closest("[data-card]");
    const meant = /^[a-z]$/.test(event.key) && card?.querySelector(`[data-key=${event.key}]`);
    if (!meant) return;
    event.preventDefault();
    if (meant.matches("textarea")) meant.focus(); else meant.click();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey && event.target.matches("textarea")) event.target.form.requestSubmit();
  });
  offerCopies(document);
  setInterval(growAges, AGES);
})();
