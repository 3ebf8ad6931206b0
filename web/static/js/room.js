// The room page: what htmx cannot do. htmx holds the connection and swaps in what the server sends; this keeps the
// cursor, the messages that are on their way out, the state line, and the look of the log.
"use strict";
(() => {
  const room = document.getElementById("room");
  const log = document.getElementById("log");
  const messages = document.getElementById("messages");
  const pending = document.getElementById("pending");
  const jump = document.getElementById("jump");
  const state = document.getElementById("state");
  const stateText = document.getElementById("state-text");
  const online = document.getElementById("online");
  const form = document.getElementById("composer");
  const body = document.getElementById("body");
  const maxBody = 8000;
  const slug = room.dataset.slug;
  const user = room.dataset.user;
  const storeKey = (kind) => `pgchat:${kind}:${user}:${slug}`;
  const store = (area, key, value) => {
    try { value ? area.setItem(key, value) : area.removeItem(key); } catch { /* private browsing: nothing is kept */ }
  };
  const load = (area, key) => { try { return area.getItem(key); } catch { return null; } };

  const [seq, rev] = room.dataset.cursor.split(".").map(Number);
  const has = { seq, rev }; // what the page has: all messages up to seq and all changes up to rev
  let socket = null; // open and resumed
  let connectedOnce = false;
  let ended = "";    // why there will be no more connection
  let slow = false;  // an answer is overdue
  let count = Number(online.textContent);

  // --- the state line -----------------------------------------------------------------------------------------------
  const waiting = new Map(); // id → body, in the order of sending
  function showState() {
    const unsent = [...waiting.values()].filter((w) => !w.failed).length;
    let kind = "live", text = `Live · ${count} online`;
    if (ended) { kind = "offline"; text = ended; }
    else if (!socket) {
      const offline = !navigator.onLine || unsent > 0;
      kind = offline ? "offline" : "waiting";
      text = offline ? (unsent ? `Offline, ${unsent} to send` : "Offline") : connectedOnce ? "Reconnecting…" : "Connecting…";
    }
    else if (slow) { kind = "waiting"; text = "Slow connection, sending…"; }
    state.className = `state ${kind}`;
    if (stateText.textContent !== text) stateText.textContent = text;
  }
  addEventListener("online", showState);
  addEventListener("offline", showState);

  // --- the log's look: days, grouping, local time ---------------------------------------------------------------------
  const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  const dayName = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
  const groupWithin = 5 * 60 * 1000;
  function dayOf(time) {
    const today = new Date(), yesterday = new Date();
    yesterday.setDate(today.getDate() - 1);
    if (time.toDateString() === today.toDateString()) return "Today";
    if (time.toDateString() === yesterday.toDateString()) return "Yesterday";
    return dayName.format(time);
  }
  function arrange() {
    for (const day of messages.querySelectorAll(".day")) day.remove();
    let before = null, beforeTime = null;
    for (const article of [...messages.children, ...pending.children]) {
      if (!article.matches(".message")) continue;
      const time = new Date(article.dataset.time);
      const stamp = article.querySelector("time");
      stamp.textContent = clock.format(time);
      stamp.title = exact.format(time);
      const newDay = !before || time.toDateString() !== beforeTime.toDateString();
      if (newDay && article.parentNode === messages) {
        const line = document.createElement("div");
        line.className = "day";
        line.setAttribute("role", "separator");
        line.appendChild(document.createElement("span")).textContent = dayOf(time);
        article.before(line);
      }
      article.classList.toggle("continues", !newDay && before.dataset.author === article.dataset.author && time - beforeTime < groupWithin);
      before = article;
      beforeTime = time;
    }
  }

  // --- scrolling ------------------------------------------------------------------------------------------------------
  // The log is laid out from its end (column-reverse): scrollTop is 0 at the newest message and negative above it, so
  // the browser itself keeps the end in sight when the log shrinks, and the place when older messages come.
  const atBottom = () => log.scrollTop > -60;
  const toBottom = () => { log.scrollTop = 0; };
  function follow(change) { // for what is added below the reader: the end stays in sight, or else the place
    const there = atBottom(), height = log.scrollHeight;
    change();
    if (there) toBottom();
    else log.scrollTop -= log.scrollHeight - height;
  }
  let unseen = 0;
  function showJump() {
    jump.hidden = unseen === 0;
    jump.querySelector("span").textContent = unseen === 1 ? "1 new message" : `${unseen} new messages`;
  }
  log.addEventListener("scroll", () => { if (atBottom()) { unseen = 0; showJump(); } }, { passive: true });
  jump.addEventListener("click", () => { toBottom(); body?.focus(); });

  // --- older messages ---------------------------------------------------------------------------------------------------
  const older = document.getElementById("older");
  let loading = false;
  async function loadOlder(link) {
    if (loading) return;
    loading = true;
    link.textContent = "Loading older messages…";
    try {
      const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const fragment = document.createElement("template");
      fragment.innerHTML = await answer.text();
      const next = fragment.content.querySelector(".older");
      for (const article of fragment.content.querySelectorAll(".message")) {
        if (document.getElementById(article.id)) article.remove();
      }
      next?.remove();
      messages.prepend(fragment.content);
      if (next) older.replaceChildren(next); else older.replaceChildren(beginning());
      arrange();
      if (next) watcher.observe(next);
    } catch {
      link.textContent = "Older messages could not be loaded. Try again";
    } finally {
      loading = false;
    }
  }
  function beginning() {
    return document.getElementById("beginning").content.cloneNode(true);
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const e of entries) if (e.isIntersecting) { watcher.unobserve(e.target); loadOlder(e.target); }
  }, { root: log, rootMargin: "300px 0px 0px" });
  older.addEventListener("click", (e) => {
    const link = e.target.closest("a.older");
    if (link) { e.preventDefault(); loadOlder(link); }
  });

  // --- sending ----------------------------------------------------------------------------------------------------------
  function uuid7() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const now = Date.now();
    for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) % 256;
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
  function keepWaiting() {
    store(sessionStorage, storeKey("waiting"), waiting.size ? JSON.stringify([...waiting]) : "");
    showState();
  }
  function showPending(id, text, time) {
    const article = document.getElementById("own").content.firstElementChild.cloneNode(true);
    article.id = `p-${id}`;
    article.dataset.time = time;
    article.dataset.seq = "";
    article.classList.add("pending");
    article.querySelector(".body").textContent = text;
    pending.append(article);
  }
  function transmit(id) {
    const w = waiting.get(id);
    if (!socket || !w || w.failed) return;
    socket.send(JSON.stringify({ type: "post", id, body: w.body }));
    sent.set(id, performance.now());
    watch();
  }
  // A server that hangs, and a network that swallows, keep the connection open without an answer. After data-slow the page
  // says so; after data-lost it connects anew and sends again, which is safe, since a message is stored once for its id.
  const sent = new Map(); // id → when, over this connection, without an answer so far
  let watching = 0;
  function watch() {
    clearTimeout(watching);
    const since = performance.now() - Math.min(...sent.values());
    const late = Number(room.dataset.slow), lost = Number(room.dataset.lost);
    slow = sent.size > 0 && since >= late;
    showState();
    if (!sent.size) return;
    if (since >= lost) abandon(socket);
    else watching = setTimeout(watch, (slow ? lost : late) - since);
  }
  function answered(id) { if (sent.delete(id)) watch(); }
  // The other side may never answer the closing either, and the browser would wait a minute for it: htmx is told now.
  function abandon(hung) {
    hung.addEventListener("close", (e) => { if (e.isTrusted) e.stopImmediatePropagation(); }, true);
    hung.close();
    hung.dispatchEvent(new CloseEvent("close", { code: 1006 }));
  }
  function send(text) {
    const id = uuid7(), time = new Date().toISOString();
    waiting.set(id, { body: text, time });
    keepWaiting();
    showPending(id, text, time);
    arrange();
    toBottom();
    transmit(id);
  }
  function settle(id) { // stored: the message itself is here, or comes
    waiting.delete(id);
    answered(id);
    keepWaiting();
  }
  function fail(id, why) {
    const w = waiting.get(id), article = document.getElementById(`p-${id}`);
    if (!w || !article) return;
    w.failed = why;
    answered(id);
    keepWaiting();
    article.classList.replace("pending", "failed");
    article.querySelector(".fate")?.remove();
    const fate = document.createElement("p");
    fate.className = "fate";
    fate.setAttribute("role", "alert");
    fate.append(`Not sent. ${why}`);
    const button = (label, act) => {
      const b = document.createElement("button");
      b.type = "button";
      b.textContent = label;
      b.addEventListener("click", act);
      fate.append(b);
    };
    button("Try again", () => {
      delete w.failed;
      article.classList.replace("failed", "pending");
      fate.remove();
      keepWaiting();
      transmit(id);
    });
    if (body) button("Edit", () => {
      body.value = body.value.trim() ? `${body.value}\n${w.body}` : w.body;
      article.remove();
      settle(id);
      typed();
      body.focus();
    });
    follow(() => article.querySelector(".said").append(fate));
  }
  const problem = document.getElementById("composer-error");
  const counter = document.getElementById("count");
  const length = (text) => [...text.trim()].length;
  function typed() {
    store(localStorage, storeKey("draft"), body.value);
    const n = length(body.value);
    counter.textContent = n > maxBody - 500 ? `${n.toLocaleString()} of ${maxBody.toLocaleString()}` : "";
    counter.classList.toggle("over", n > maxBody);
    problem.textContent = "";
    body.removeAttribute("aria-invalid");
    if (!CSS.supports("field-sizing", "content")) {
      body.style.height = "auto";
      body.style.height = `${body.scrollHeight}px`;
    }
  }
  if (form) {
    if (!body.value) body.value = load(localStorage, storeKey("draft")) || "";
    body.required = false; // white space is told below
    typed();
    body.addEventListener("input", typed);
    body.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); form.requestSubmit(); }
    });
    // Keyboards that send the character by itself would leave a line break behind.
    body.addEventListener("keypress", (e) => { if (e.key === "Enter" && !e.shiftKey) e.preventDefault(); });
    form.addEventListener("submit", (e) => {
      if (ended) return; // as a plain form
      e.preventDefault();
      const n = length(body.value);
      if (n === 0) return;
      if (n > maxBody) {
        problem.textContent = "This is too long for one message. Shorten it, or send it in parts.";
        body.setAttribute("aria-invalid", "true");
        return;
      }
      send(body.value.trim());
      body.value = "";
      typed();
      body.focus();
    });
  }
  try { // what was under way when the page was left
    for (const [id, w] of JSON.parse(load(sessionStorage, storeKey("waiting")) || "[]")) {
      if (document.getElementById(`m-${id}`)) continue;
      waiting.set(id, w);
      showPending(id, w.body, w.time);
      if (w.failed) fail(id, w.failed);
    }
    keepWaiting();
  } catch { /* what cannot be read is not kept */ }

  // --- the connection -----------------------------------------------------------------------------------------------------
  let opening = 0, opened = false;
  addEventListener("htmx:ws:before:connection", (e) => {
    if (ended) { e.preventDefault(); return; }
    const { connection } = e.detail;
    clearTimeout(opening);
    opening = setTimeout(() => { // htmx waits before it connects, hence the longer time
      if (!socket && connection.socket?.readyState < WebSocket.CLOSING) abandon(connection.socket);
    }, Number(room.dataset.lost) + 10_000);
  });
  addEventListener("htmx:ws:after:connection", (e) => {
    opened = true;
    e.detail.connection.socket.send(JSON.stringify({ type: "resume", cursor: `${has.seq}.${has.rev}` }));
  });
  let before = { there: true, height: 0 }; // the log before a swap
  addEventListener("htmx:ws:before:message:incoming", (e) => {
    let frame;
    try { frame = JSON.parse(e.detail.message.data); } catch { e.preventDefault(); return; }
    switch (frame.type) {
      case "messages":
        if (frame.last <= has.seq) e.preventDefault(); // already here
        before = { there: atBottom(), height: log.scrollHeight };
        break;
      case "change": // of a message that is not on the page: nothing to do
        if (!document.querySelector(frame.target)) e.preventDefault();
        before = { there: atBottom(), height: log.scrollHeight };
        break;
      case "changed":
        has.rev = Math.max(has.rev, frame.rev);
        break;
      case "resumed":
        socket = e.detail.connection.socket;
        connectedOnce = true;
        for (const id of waiting.keys()) transmit(id);
        showState();
        break;
      case "presence":
        count = frame.online;
        online.textContent = count;
        showState();
        break;
      case "ack":
        settle(frame.id);
        break;
      case "error":
        if (frame.id && waiting.has(frame.id)) fail(frame.id, frame.message);
        else if (form) problem.textContent = frame.message;
        break;
      case "reload":
        location.reload();
        break;
    }
  });
  addEventListener("htmx:ws:after:message:incoming", (e) => {
    const frame = JSON.parse(e.detail.message.data);
    if (frame.type === "change") { arrange(); if (before.there) toBottom(); }
    if (frame.type !== "messages") return;
    has.seq = frame.last;
    let mine = 0, fresh = 0;
    for (let a = messages.lastElementChild; a && !(Number(a.dataset.seq) < frame.first); a = a.previousElementSibling) {
      if (!a.matches(".message")) continue;
      fresh++;
      const id = a.id.slice(2), own = document.getElementById(`p-${id}`);
      if (own) { own.remove(); mine++; }
      if (waiting.has(id)) settle(id);
    }
    arrange();
    if (before.there || mine) toBottom();
    else {
      log.scrollTop -= log.scrollHeight - before.height;
      unseen += fresh;
      showJump();
    }
  });
  addEventListener("htmx:ws:close", (e) => {
    socket = null;
    sent.clear();
    watch();
    if (e.detail.code === 4401) signedOut();
    if (e.detail.code === 4404) gone();
    if (!opened && e.detail.code === 1006) askWhy();
    opened = false;
    if (e.detail.code === 1008 || e.detail.code === 1009) end("Disconnected", "Load the page again", location.pathname);
    showState();
  });
  const signedOut = () => end("You are signed out", "Sign in again", `/sign-in?next=${encodeURIComponent(location.pathname)}`);
  const gone = () => end("This room is gone", "To all rooms", "/rooms");
  // A browser does not tell its page why a WebSocket was refused; the same address, asked without one, does.
  async function askWhy() {
    try {
      const { status } = await fetch(room.getAttribute("hx-ws:connect"));
      if (status === 401) signedOut();
      if (status === 404) gone();
      showState();
    } catch { /* the server cannot be reached: the next try tells */ }
  }
  function end(text, label, href) {
    ended = text;
    if (!form) return;
    const link = document.createElement("a");
    link.href = href;
    link.textContent = label;
    problem.replaceChildren(`${text}. `, link);
  }

  // Which person is the reader: the list is the same for all, one rule tells.
  const mark = new CSSStyleSheet();
  mark.insertRule(`.people [data-user="${user}"] .you { display: block; }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, mark];

  // "Show all" opens a message downward: its first line stays where it is.
  messages.addEventListener("change", (e) => {
    if (!e.target.matches(".unclamp")) return;
    const now = log.scrollHeight;
    e.target.checked = !e.target.checked;
    const then = log.scrollHeight;
    e.target.checked = !e.target.checked;
    log.scrollTop -= now - then;
  });

  arrange();
  toBottom();
  showState();
  // Where there is a keyboard one may type at once; on a touch screen that would bring up another keyboard.
  if (body && !location.hash && document.activeElement === document.body && matchMedia("(min-width: 640px) and (hover: hover) and (pointer: fine)").matches) {
    body.focus({ preventScroll: true });
  }
  for (const link of older.querySelectorAll("a.older")) watcher.observe(link);
})();
