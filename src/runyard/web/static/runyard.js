// What runs on all pages. The server renders; this fetches again what has changed, and lets durations
// run on.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const ahead = Number(document.body.dataset.now) - Date.now() / 1000; // the server's clock
  const now = () => Date.now() / 1000 + ahead;

  // Make an element what another one is, keeping the nodes, and with them focus and selection.
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
    }
    // What is gone goes first: a node that had to be moved past it would lose focus.
    const staying = new Set([...fresh.children].map((child) => child.id));
    for (const child of [...old.children]) if (child.id && !staying.has(child.id)) child.remove();
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id && named.get(child.id);
      if (known) {
        while (at && at !== known && !at.id) { const next = at.nextSibling; at.remove(); at = next; }
        if (known !== at) old.insertBefore(known, at);
        else at = at.nextSibling;
        morph(known, child);
      } else if (at && !at.id && !child.id && at.nodeName === child.nodeName) {
        const next = at.nextSibling;
        morph(at, child);
        at = next;
      } else {
        old.insertBefore(document.importNode(child, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  // Fetch the page again: at most twice a second, and never more than a quarter of the time.
  const LEAST = 500;
  let isWanted = false, isBusy = false, isGone = false, notBefore = 0;

  async function refresh() {
    isWanted = true;
    if (isBusy || isGone) return;
    isBusy = true;
    while (isWanted && !document.hidden) {
      await new Promise((done) => setTimeout(done, Math.max(0, notBefore - performance.now())));
      isWanted = false;
      const began = performance.now();
      try {
        const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
        if (answer.redirected) location.reload();
        isGone = answer.status === 404;
        if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch { /* the stream of events tells when the server is there again */ }
      notBefore = began + Math.max(LEAST, 4 * (performance.now() - began));
    }
    isBusy = false;
  }

  function take(page) {
    const focused = document.activeElement;
    for (const fresh of all("[data-live]", page)) {
      const old = document.getElementById(fresh.id);
      if (old) morph(old, fresh);
    }
    if (focused && !focused.isConnected) $("main").focus({ preventScroll: true }); // not back to the menu
    put(document.head.querySelector("title"), page.title);
    tick();
    document.dispatchEvent(new Event("runyard:fresh"));
  }

  // The stream of events. A hidden page keeps none: a browser has few connections to one server.
  const live = $("#live");
  const address = document.body.dataset.events;
  let stream = null, wasLive = false;

  function say(word, isLive) {
    if (!live) return;
    live.hidden = false;
    live.classList.toggle("off", !isLive);
    const words = $(".words", live);
    if (words.textContent !== word) words.textContent = word;
  }

  function listen() {
    if (!address || stream) return;
    stream = new EventSource(address);
    stream.onopen = () => { wasLive = true; say("live", true); refresh(); };
    stream.onmessage = refresh;
    stream.onerror = () => {
      say(wasLive ? "reconnecting" : "connecting", false);
      if (stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(listen, 3000); }
    };
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) listen();
    else if (stream) { stream.close(); stream = null; }
  });

  // Times that run on.
  function duration(seconds) {
    const s = Math.max(0, seconds), whole = Math.floor(s);
    if (s > 0 && s < 0.1) return `${Math.max(1, Math.round(s * 1000))} ms`;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  }

  function ago(seconds) {
    const size = Math.abs(seconds);
    if (size < 45) return seconds >= 0 ? "just now" : "in a moment";
    const [length, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([l]) => size >= l) || [60, "min"];
    const text = `${Math.max(1, Math.round(size / length))} ${unit}`;
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function tick() {
    for (const e of all("[data-since]")) put(e, duration(now() - e.dataset.since));
    for (const e of all("[data-ago]")) put(e, ago(now() - e.dataset.ago));
  }

  setInterval(tick, 1000);
  // Some of what a page shows changes without an event: a device that falls silent, a moving line.
  setInterval(() => { if (address && !document.hidden) refresh(); }, 10000);

  // Small things.
  document.addEventListener("click", async (event) => {
    for (const open of all("details.confirm[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && $("details.confirm[open]");
    if (open) { open.open = false; $("summary", open).focus(); }
    const isTyping = event.target.closest("input, select, textarea");
    const search = event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && $("main input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
    const isDone = event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea");
    if (isDone) event.target.form.requestSubmit($("button.primary", event.target.form));
  });

  // A form leads back to its page: also to where it was.
  document.addEventListener("submit", (event) => {
    if (event.target.method === "post") sessionStorage.setItem("scrolled", `${location.pathname} ${scrollY}`);
  });
  const [where, height] = (sessionStorage.getItem("scrolled") || "").split(" ");
  sessionStorage.removeItem("scrolled");
  if (location.search.includes("said=")) {
    const url = new URL(location);
    url.searchParams.delete("said");
    history.replaceState(null, "", url);
    if (where === location.pathname) scrollTo(0, Number(height));
    const said = $(".said"); // a screen reader reads what comes, not what is there from the beginning
    if (said) { const text = said.textContent; said.textContent = ""; setTimeout(() => { said.textContent = text; }, 100); }
  }

  const box = $(".graph .box.failed") || $(".graph .box.running"); // what one came for
  if (box) $("#graph").scrollLeft = Number(box.getAttribute("x")) + Number(box.getAttribute("width")) / 2 - $("#graph").clientWidth / 2;
  listen();
  tick();
})();
