// All that runs in a browser. The server renders; this fetches again what has changed, lets durations
// run on, and shows what jobs write.
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
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id && named.get(child.id);
      if (known) {
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
    for (const fresh of all("[data-live]", page)) {
      const old = document.getElementById(fresh.id);
      if (old) morph(old, fresh);
    }
    tick();
    document.dispatchEvent(new Event("runyard:fresh"));
  }

  // The stream of events. A hidden page keeps none: a browser has few connections to one server.
  const live = $("#live");
  const address = document.body.dataset.events;
  let stream = null;

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
    stream.onopen = () => { say("live", true); refresh(); };
    stream.onmessage = refresh;
    stream.onerror = () => {
      say("connecting", false);
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
  });

  if (location.search.includes("said=")) {
    const url = new URL(location);
    url.searchParams.delete("said");
    history.replaceState(null, "", url);
  }

  // What a job writes. Only text nodes are made of it, and classes of our own.
  const MOST_LINES = 5000, LONGEST = 20000;
  const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>78c])/g;
  const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

  function nearest(r, g, b) { // of the sixteen colours
    const bright = Math.max(r, g, b) > 191 ? 8 : 0;
    if (Math.max(r, g, b) < 64) return 0;
    const middle = Math.max(r, g, b) / 2;
    return bright + (r > middle) + 2 * (g > middle) + 4 * (b > middle);
  }

  function indexed(n) {
    if (n < 16) return n;
    if (n >= 232) return [0, 8, 7, 15][Math.floor((n - 232) / 6)];
    const part = (value) => [0, 95, 135, 175, 215, 255][value];
    return nearest(part(Math.floor((n - 16) / 36)), part(Math.floor((n - 16) / 6) % 6), part((n - 16) % 6));
  }

  const SWITCHES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck" };
  const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["struck"] };

  function restyle(style, codes) {
    const numbers = codes.split(/[;:]/).map(Number);
    let next = { ...style };
    for (let i = 0; i < numbers.length; i++) {
      const n = numbers[i];
      if (n === 0) next = {};
      else if (SWITCHES[n]) next[SWITCHES[n]] = true;
      else if (OFF[n]) for (const name of OFF[n]) delete next[name];
      else if (n >= 30 && n <= 37) next.f = n - 30;
      else if (n >= 90 && n <= 97) next.f = n - 82;
      else if (n >= 40 && n <= 47) next.g = n - 40;
      else if (n >= 100 && n <= 107) next.g = n - 92;
      else if (n === 39) delete next.f;
      else if (n === 49) delete next.g;
      else if (n === 38 || n === 48) {
        const key = n === 38 ? "f" : "g";
        if (numbers[i + 1] === 5) { next[key] = indexed(numbers[i + 2] & 255); i += 2; }
        else if (numbers[i + 1] === 2) { next[key] = nearest(...numbers.slice(i + 2, i + 5)); i += 4; }
      }
    }
    return next;
  }

  const classes = (style) => Object.entries(style)
    .map(([key, value]) => (value === true ? key : key + value)).join(" ");

  // Fills an element with a line as a terminal would show it; returns the style behind it.
  function paint(element, raw, style) {
    const shown = raw.replace(/\r+$/, "");
    const text = shown.slice(shown.lastIndexOf("\r") + 1).slice(0, LONGEST);
    element.replaceChildren();
    const add = (piece) => {
      if (!piece) return;
      const clean = piece.replace(CONTROL, "\ufffd");
      const name = classes(style);
      if (!name) { element.append(clean); return; }
      const span = document.createElement("span");
      span.className = name;
      span.append(clean);
      element.append(span);
    };
    let at = 0;
    for (const match of text.matchAll(ESCAPE)) {
      add(text.slice(at, match.index));
      at = match.index + match[0].length;
      if (match[2] === "m") style = restyle(style, match[1] || "0");
    }
    add(text.slice(at));
    return style;
  }

  function show(box) {
    const lines = $(".lines", box), find = $("#find", box), found = $(".found", box);
    const follow = $("#follow", box), state = $(".state-line", box);
    const only = box.dataset.only && Number(box.dataset.only);
    const streams = {
      stdout: { name: "out", partial: "", style: {}, line: null, waiting: [] },
      stderr: { name: "err", partial: "", style: {}, line: null, waiting: [] },
    };
    let source = null, attempt = null, isOver = false, frame = 0, dropped = 0, hit = null;
    const offsets = { stdout: 0, stderr: 0 };

    function note(text) {
      const line = document.createElement("span");
      line.className = "line note";
      line.textContent = text;
      lines.append(line);
    }

    function fresh(stream) {
      const line = document.createElement("span");
      line.className = `line ${stream.name}`;
      lines.append(line);
      return line;
    }

    function write(stream, text) {
      const rows = (stream.partial + text).split("\n");
      const surplus = rows.length - MOST_LINES;
      if (surplus > 0) { rows.splice(0, surplus); dropped += surplus; stream.line = null; }
      rows.forEach((row, index) => {
        const isLast = index === rows.length - 1;
        if (isLast && !row) { stream.partial = ""; stream.line = null; return; }
        const line = stream.line || fresh(stream);
        const style = paint(line, row, stream.style);
        mark(line);
        if (isLast) { stream.partial = row.slice(-2 * LONGEST); stream.line = line; }
        else { stream.partial = ""; stream.line = null; stream.style = style; }
      });
    }

    function draw() {
      frame = 0;
      for (const stream of Object.values(streams)) {
        const text = stream.waiting.join("");
        stream.waiting = [];
        if (text) write(stream, text);
      }
      while (lines.childElementCount > MOST_LINES) { lines.firstElementChild.remove(); dropped += 1; }
      if (follow.checked) lines.scrollTop = lines.scrollHeight;
      tell();
    }

    function tell() {
      const words = [];
      if (isOver) words.push(isOver);
      else words.push(source && source.readyState === EventSource.OPEN ? "following" : "connecting");
      if (dropped) words.push(`${dropped.toLocaleString("en")} earlier lines are in the download`);
      put(state, words.join("; "));
      const hits = find.value ? all(".hit", lines).length : 0;
      put(found, find.value ? (hits ? `${hits} line${hits === 1 ? "" : "s"}` : "not found") : "");
    }

    function later() { if (!frame) frame = requestAnimationFrame(draw); }

    function mark(line) {
      const wanted = find.value.toLowerCase();
      line.classList.toggle("hit", Boolean(wanted) && line.textContent.toLowerCase().includes(wanted));
    }

    function got(name, event) {
      const data = JSON.parse(event.data);
      if (only && data.attempt > only) { end(`attempt ${only} has ended`); return; }
      if (attempt !== null && data.attempt !== attempt) {
        draw();
        for (const stream of Object.values(streams)) Object.assign(stream, { partial: "", style: {}, line: null });
        note(`attempt ${data.attempt}`);
        offsets.stdout = offsets.stderr = 0;
      }
      attempt = data.attempt;
      offsets[name] = data.next;
      streams[name].waiting.push(data.text);
      later();
    }

    function end(words) {
      isOver = words;
      if (source) source.close();
      source = null;
      later();
    }

    function open() {
      if (source) return;
      const url = new URL(box.dataset.log, location);
      if (attempt !== null) {
        url.searchParams.set("attempt", attempt);
        url.searchParams.set("offset", offsets.stdout);
        url.searchParams.set("stderr_offset", offsets.stderr);
      }
      isOver = false;
      source = new EventSource(url);
      source.addEventListener("stdout", (event) => got("stdout", event));
      source.addEventListener("stderr", (event) => got("stderr", event));
      source.addEventListener("end", (event) => end(`the job has ${JSON.parse(event.data).state}`
        .replace("has cancelled", "was cancelled").replace("has skipped", "was skipped")));
      source.onopen = tell;
      source.onerror = tell;
    }

    if (box.hasAttribute("data-cut")) note("what came before is in the download");
    open();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !isOver) open();
      else if (document.hidden && source) { source.close(); source = null; }
    });
    // A job that is tried again by hand writes on.
    document.addEventListener("runyard:fresh", () => {
      const isFinal = $("#summary .state").matches(".passed, .failed, .cancelled, .skipped");
      if (isOver && !isFinal && !only) open();
    });

    find.addEventListener("input", () => { hit = null; all(".line", lines).forEach(mark); tell(); });
    $("form", box).addEventListener("submit", (event) => event.preventDefault());
    find.addEventListener("keydown", (event) => {
      const hits = all(".hit", lines);
      if (event.key !== "Enter" || !hits.length) return;
      event.preventDefault();
      const step = event.shiftKey ? -1 : 1;
      const next = hits[(hits.indexOf(hit) + step + hits.length + (hit || step > 0 ? 0 : 1)) % hits.length];
      if (hit) hit.classList.remove("current");
      hit = next;
      hit.classList.add("current");
      follow.checked = false;
      hit.scrollIntoView({ block: "center" });
      put(found, `${hits.indexOf(hit) + 1} of ${hits.length}`);
    });
    $("#which", box).addEventListener("change", (event) => { lines.dataset.which = event.target.value; });
    follow.addEventListener("change", later);
    lines.addEventListener("wheel", () => requestAnimationFrame(() => {
      follow.checked = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 30;
    }), { passive: true });
  }

  const current = $(".side nav [aria-current]"); // on a narrow screen the menu is a line that scrolls
  if (current) current.scrollIntoView({ block: "nearest", inline: "center" });
  listen();
  tick();
  all("[data-log]").forEach(show);
})();
