// What a job writes, as it does.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  // Only text nodes are made of it, and classes of our own.
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
    let source = null, attempt = null, isOver = false, frame = 0, dropped = 0, hit = null, wasOpen = false, last = 0;
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
      if (follow.checked) { lines.scrollTop = lines.scrollHeight; last = lines.scrollTop; }
      tell();
    }

    function tell() {
      const words = [];
      if (isOver) words.push(lines.childElementCount ? isOver : `${isOver}; nothing was written`);
      else if (!source || source.readyState !== EventSource.OPEN) words.push(wasOpen ? "reconnecting" : "connecting");
      else words.push(lines.childElementCount ? "following" : "nothing was written yet");
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
      source.onopen = () => { wasOpen = true; tell(); };
      source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) { source = null; setTimeout(again, 3000); }
        tell();
      };
    }

    function again() { if (!document.hidden && !isOver) open(); }

    if (box.hasAttribute("data-cut")) note("what came before is in the download");
    open();
    document.addEventListener("visibilitychange", () => {
      again();
      if (document.hidden && source) { source.close(); source = null; }
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
    // Whoever scrolls, by whatever means, reads; at the end they follow again.
    lines.addEventListener("scroll", () => {
      if (lines.scrollTop === last) return;
      last = lines.scrollTop;
      follow.checked = last + lines.clientHeight >= lines.scrollHeight - 30;
    }, { passive: true });
  }

  all("[data-log]").forEach(show);
})();
