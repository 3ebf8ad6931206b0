// The connection. htmx holds it and swaps in what the server sends, but for new messages (room.js); this says which room is open,
// keeps the messages that are on their way out, of all rooms, and tells how the connection is.
"use strict";
const live = (() => {
  const { user } = document.body.dataset;
  const patience = (name) => Number(document.body.dataset[name]); // ms: "slow", "lost"
  const store = (area, key, value) => {
    try { value ? area.setItem(key, value) : area.removeItem(key); } catch { /* private browsing: nothing is kept */ }
  };
  const load = (area, key) => { try { return area.getItem(key); } catch { return null; } };

  let view = null;     // the room that the page shows; null: none
  let socket = null;   // connected
  let caughtUp = false; // and the room is open, its past is here
  let connectedOnce = false;
  let ended = "";      // why there will be no more connection
  let slow = false;    // an answer is overdue

  // toast tells something for a moment, with a link or something to do: { href, label } or { act, label }.
  function toast(text, more) {
    const box = document.getElementById("toast");
    box.replaceChildren(text);
    if (more) {
      const offer = document.createElement(more.href ? "a" : "button");
      if (more.href) offer.href = more.href;
      else offer.addEventListener("click", () => { box.replaceChildren(); more.act(); });
      offer.textContent = more.label;
      box.append(" ", offer);
    }
    clearTimeout(toast.timer);
    toast.timer = setTimeout(() => box.replaceChildren(), 8000);
  }

  // set has an element have these properties. What is so is left alone: each writing would have the page styled anew.
  function set(element, properties) {
    for (const [name, value] of Object.entries(properties)) if (element[name] !== value) element[name] = value;
  }
  // ask asks the server, with fields as a form does, and returns the text of its answer. The error is for people.
  async function ask(path, fields) {
    let answer, text;
    try {
      answer = await fetch(path, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(20_000), ...fields && { method: "POST", body: new URLSearchParams(fields) } });
      text = await answer.text();
    } catch { throw new Error("The server cannot be reached. Try again in a moment."); }
    if (answer.redirected) throw new Error("You are signed out. Sign in again.");
    if (!answer.ok) throw new Error(answer.headers.get("Content-Type")?.startsWith("text/plain") ? text : "The server cannot do it just now.");
    return text;
  }
  function parse(html) {
    const fragment = document.createElement("template");
    fragment.innerHTML = html;
    return fragment.content;
  }
  // latest has look, which shows what the server says, called once at a time, and once more where it was asked for meanwhile: an older
  // answer that comes last would undo a newer one. Where look fails the next connection asks again.
  function latest(look) {
    let under = false, again = false;
    return async () => {
      again = true;
      if (under) return;
      under = true;
      try {
        while (again) {
          again = false;
          await look();
        }
      } catch { again = false; }
      under = false;
    };
  }
  // script loads a script that is rarely used, once.
  const scripts = new Map();
  function script(src, why) {
    if (!scripts.has(src)) {
      scripts.set(src, new Promise((ready, refuse) => {
        const element = document.createElement("script");
        element.src = src;
        element.onload = ready;
        element.onerror = () => { scripts.delete(src); element.remove(); refuse(new Error(why)); };
        document.head.append(element);
      }));
    }
    return scripts.get(src);
  }

  // --- the state line -----------------------------------------------------------------------------------------------
  function showState() {
    if (!view) return;
    const unsent = [...waiting.values()].filter((w) => !w.failed).length;
    const why = view.ended || ended;
    let kind = "live", text = "Live";
    if (why) { kind = "offline"; text = why; }
    else if (!socket) {
      const offline = !navigator.onLine || unsent > 0;
      kind = offline ? "offline" : "waiting";
      text = offline ? (unsent ? `Offline, ${unsent} to send` : "Offline") : connectedOnce ? "Reconnecting…" : "Connecting…";
    }
    else if (!caughtUp) { kind = "waiting"; text = "Connecting…"; }
    else if (slow) { kind = "waiting"; text = "Slow connection, sending…"; }
    else if (paced) { kind = "waiting"; text = `Sending, ${unsent} to go`; }
    view.showState(kind, text);
  }
  addEventListener("online", showState);
  addEventListener("offline", showState);

  // --- what is on its way out ---------------------------------------------------------------------------------------
  const waiting = new Map(); // id → { room, slug, body, files, reply, time, failed }, in the order of sending
  const kept = `pgchat:waiting:${user}`;
  try { // what was under way when the page was left
    for (const [id, w] of JSON.parse(load(sessionStorage, kept) || "[]")) waiting.set(id, w);
  } catch { /* what cannot be read is not kept */ }
  function keep() {
    store(sessionStorage, kept, waiting.size ? JSON.stringify([...waiting]) : "");
    showState();
  }
  function uuid7() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const now = Date.now();
    for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) % 256;
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
  function transmit(id) {
    if (paced) onward(); else post(id);
  }
  function post(id) {
    const w = waiting.get(id);
    if (!socket || !w || w.failed) return;
    socket.send(JSON.stringify({ type: "post", room: w.room, id, body: w.body, files: w.files?.map((f) => f.id), reply_to: w.reply?.seq }));
    sent.set(id, performance.now());
    watch();
  }
  // The server takes so many a second. What is more, of a page that was offline say, is sent one after the other, in its order.
  let paced = false, resting = 0;
  function tooFast(id) {
    paced = true;
    resting ||= setTimeout(() => { resting = 0; onward(); }, 1000);
    answered(id);
  }
  function onward() {
    if (!paced || resting || sent.size) return;
    const next = [...waiting.keys()].find((id) => !waiting.get(id).failed);
    if (next) post(next); else { paced = false; showState(); }
  }
  // A server that hangs, and a network that swallows, keep the connection open without an answer. After "slow" the page says
  // so; after "lost" it connects anew and sends again, which is safe, since a message is stored once for its id.
  const sent = new Map(); // id → when, over this connection, without an answer so far
  let watching = 0;
  function watch() {
    clearTimeout(watching);
    const since = performance.now() - Math.min(...sent.values());
    const late = patience("slow"), lost = patience("lost");
    slow = sent.size > 0 && since >= late;
    showState();
    if (!sent.size) return;
    if (since >= lost) abandon(socket);
    else watching = setTimeout(watch, (slow ? lost : late) - since);
  }
  function answered(id) {
    if (sent.delete(id)) watch();
    onward();
  }
  // The other side may never answer the closing either, and the browser would wait a minute for it: htmx is told now.
  function abandon(hung) {
    hung.addEventListener("close", (e) => { if (e.isTrusted) e.stopImmediatePropagation(); }, true);
    hung.close();
    hung.dispatchEvent(new CloseEvent("close", { code: 1006 }));
  }
  function settle(id) { // stored: the message itself is here, or comes
    if (!waiting.delete(id)) return;
    answered(id);
    keep();
  }
  function fail(id, why) {
    const w = waiting.get(id);
    if (!w) return;
    w.failed = why;
    answered(id);
    keep();
    if (view?.room === w.room) view.failed(id, why);
    else toast(`A message was not sent. ${why}`, { href: `/rooms/${encodeURIComponent(w.slug)}`, label: `To #${w.slug}` });
  }

  // --- what was read --------------------------------------------------------------------------------------------------
  const reads = new Map(); // room → { seq, back }, not told yet
  let reading = 0;
  function tellReads() {
    reading = 0;
    if (!socket) return;
    for (const [room, r] of reads) socket.send(JSON.stringify({ type: "read", room, ...r }));
    reads.clear();
  }

  // --- what is announced ----------------------------------------------------------------------------------------------
  const announced = document.getElementById("announcements");
  function hideDismissed() { // the cookie has the ids of what was dismissed
    for (const form of [...announced.children]) if (document.cookie.includes(form.getAttribute("action").split("/")[2])) form.remove();
  }
  announced.addEventListener("submit", async (e) => {
    e.preventDefault();
    try { await ask(e.target.action, { id: "" }); hideDismissed(); } catch (error) { toast(error.message); }
  });

  // --- the connection -----------------------------------------------------------------------------------------------
  function open() {
    caughtUp = !view || view.ended !== ""; // of no room there is a past
    if (socket) socket.send(JSON.stringify(view && !view.ended ? { type: "open", room: view.room, cursor: view.cursor(), most: 200 } : { type: "open", lists: document.querySelector("[data-listed]") !== null }));
    showState();
  }
  let opening = 0, opened = false;
  addEventListener("htmx:ws:before:connection", (e) => {
    if (ended) { e.preventDefault(); return; }
    const { connection } = e.detail;
    clearTimeout(opening);
    opening = setTimeout(() => { // htmx waits before it connects, hence the longer time
      if (!caughtUp && connection.socket?.readyState < WebSocket.CLOSING) abandon(connection.socket);
    }, patience("lost") + 10_000);
  });
  addEventListener("htmx:ws:after:connection", (e) => {
    opened = connectedOnce = true;
    socket = e.detail.connection.socket;
    open();
    people.connected(socket);
    tellReads();
    for (const id of waiting.keys()) transmit(id);
  });
  const frames = new WeakMap(); // htmx's message → what is in it
  addEventListener("htmx:ws:before:message:incoming", (e) => {
    let frame;
    try { frame = JSON.parse(e.detail.message.data); } catch { e.preventDefault(); return; }
    frames.set(e.detail.message, frame);
    switch (frame.type) {
      case "ack":
        settle(frame.id);
        return;
      case "error":
        if (frame.code === "rate_limited" && sent.has(frame.id)) tooFast(frame.id);
        else if (frame.id && waiting.has(frame.id)) fail(frame.id, frame.message);
        else if (view) view.problem(frame.message);
        else toast(frame.message);
        return;
    }
    if (frame.type === "unread") {
      sidebar.update(frame.rooms ?? {}, frame.all);
      view?.mark();
      if (frame.lists) dispatchEvent(new Event("pgchat:lists"));
      return;
    }
    if (frame.type === "announcements") { announced.innerHTML = frame.announcements; hideDismissed(); e.preventDefault(); return; }
    if (frame.type === "people") { people.learn(frame.people, !frame.room); return; }
    if (frame.room !== view?.room) { e.preventDefault(); return; } // of a room that was open before
    switch (frame.type) {
      case "opened":
        view.history = frame.history;
        caughtUp = true;
        showState();
        break;
      case "gone":
        view.end(frame.message, "To all rooms", "/rooms");
        showState();
        break;
      case "group": // chat.group_send: for scripts that somebody adds to the page
        document.dispatchEvent(new CustomEvent("pgchat:group", { detail: { room: view.slug, payload: frame.payload } }));
        e.preventDefault();
        break;
      case "reload":
        location.reload();
        break;
      default:
        if (!view.before(frame)) e.preventDefault();
    }
  });
  addEventListener("htmx:ws:after:message:incoming", (e) => {
    const frame = frames.get(e.detail.message);
    if (frame?.room === view?.room) view?.after(frame);
  });
  addEventListener("htmx:ws:close", (e) => {
    socket = null;
    people.connected(null);
    caughtUp = false;
    sent.clear();
    watch();
    if (e.detail.code === 4401) signedOut();
    if (!opened && e.detail.code === 1006) askWhy();
    opened = false;
    if (e.detail.code === 1008 || e.detail.code === 1009) end("Disconnected", "Load the page again", location.pathname);
    showState();
  });
  const signedOut = () => end("You are signed out", "Sign in again", `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  // A browser does not tell its page why a WebSocket was refused; the same address, asked without one, does.
  async function askWhy() {
    try {
      if ((await fetch("/live")).status === 401) signedOut();
      showState();
    } catch { /* the server cannot be reached: the next try tells */ }
  }
  function end(text, label, href) {
    ended = text;
    if (view) view.problem(`${text}.`, href, label); else toast(`${text}.`, { href, label });
  }

  return {
    user, store, load, toast, set, ask, parse, latest, script, showState, settle,
    get ended() { return ended; },
    // show makes the room that the page shows the open one.
    show(shown) { view = shown; open(); },
    // Messages for the room that wait: [id, { body, reply, time, failed }].
    waitingIn: (room) => [...waiting].filter(([, w]) => w.room === room),
    // send keeps the message until it is stored; reply is what it answers: { seq, id, author }.
    send(room, slug, body, files, reply) {
      const id = uuid7(), time = new Date().toISOString();
      waiting.set(id, { room, slug, body, files: files.length ? files : undefined, reply, time });
      keep();
      return { id, time, now: () => transmit(id) };
    },
    // read tells that the reader has read the room; back: also where they had read further.
    read(room, seq, back = false) {
      reads.set(room, { seq, back });
      reading ||= setTimeout(tellReads, 500);
    },
    reads: () => view?.reads(), // the reader sees what comes to the room
    // typing tells that the reader types; what the connection does not take is not told later.
    typing(room) { if (caughtUp) socket?.send(JSON.stringify({ type: "typing", room })); },
    again(id) {
      delete waiting.get(id)?.failed;
      keep();
      transmit(id);
    },
  };
})();
