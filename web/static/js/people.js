// How people are: online, away, not to be disturbed, and what they say of themselves, wherever data-person stands and at the
// messages that they wrote. And how the reader is: whether somebody is there, and the menu at their name.
"use strict";
const people = (() => {
  const me = document.body.dataset.user;
  const find = (id) => document.getElementById(id);
  const known = new Map(); // user → { state, emoji, text, until, quiet }: state is 0 offline, 1 online, 2 away; the ends in ms, 0: none
  const told = new Set();  // those of them whom the connection keeps up to date
  let socket = null, asked = "";

  // --- what is known ----------------------------------------------------------------------------------------------------
  const isQuiet = (p) => p.quiet > Date.now();
  const says = (p) => p.until && p.until <= Date.now() ? { emoji: "", text: "" } : p;
  const word = (p) => p.state === 0 ? "offline" : isQuiet(p) ? "dnd" : p.state === 2 ? "away" : "online";
  const label = (p) => word(p) === "dnd" ? "do not disturb" : word(p);
  const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  const dayAndClock = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
  function at(ms) { // an end, as people say it; none where it is of no day
    if (!ms || ms > Date.now() + 366 * 86_400_000) return "";
    const end = new Date(ms);
    return ` until ${(end.toDateString() === new Date().toDateString() ? clock : dayAndClock).format(end)}`;
  }
  function inWords(p) {
    const s = says(p), parts = [label(p) + (word(p) === "dnd" ? at(p.quiet) : "")];
    if (s.emoji || s.text) parts.push(`${s.emoji} ${s.text}`.trim() + at(p.until));
    return parts.join(" · ");
  }
  const set = (node, text) => { if (node) live.set(node, { textContent: text }); };
  function show(el) {
    const p = known.get(el.dataset.person);
    if (!p) return;
    const dot = el.querySelector(".dot"), mood = el.querySelector(".mood"), s = says(p);
    if (dot && dot.className !== `dot ${word(p)}`) {
      dot.className = `dot ${word(p)}`;
      dot.setAttribute("aria-label", label(p));
    }
    if (mood) { set(mood, s.emoji); mood.title = s.text; }
    set(el.querySelector(".says"), s.text || (el.matches(".me") && isQuiet(p) ? `Not disturbed${at(p.quiet)}` : ""));
    if (el.matches(".me")) showMenu(p);
  }
  const authors = new CSSStyleSheet(); // the emoji beside the names of those who wrote messages
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, authors];
  const quoted = (text) => [...text].map((c) => `\\${c.codePointAt(0).toString(16)} `).join("");
  function part() { // who is away stands apart
    const here = find("people"), away = find("away");
    if (!away) return;
    for (const li of document.querySelectorAll(".people li")) {
      const list = li.querySelector(".dot.away") ? away : here;
      if (li.parentNode === list) continue;
      const focused = li.contains(document.activeElement) ? document.activeElement : null;
      const name = (one) => one.querySelector("button").title;
      list.insertBefore(li, [...list.children].find((other) => name(other).localeCompare(name(li), undefined, { sensitivity: "base" }) > 0) ?? null);
      focused?.focus({ preventScroll: true });
    }
    const title = away.previousElementSibling;
    live.set(title, { hidden: !away.children.length });
    set(title.querySelector("span"), String(away.children.length));
    set(find("online"), String(here.children.length));
  }
  let timer = 0, authorRules = "";
  function showAll() {
    for (const el of document.querySelectorAll("[data-person]")) show(el);
    part();
    const rules = [], ends = [];
    for (const [id, p] of known) {
      const { emoji } = says(p);
      if (emoji) rules.push(`.message[data-author="${id}"] header b::after { content: " ${quoted(emoji)}"; }`);
      for (const end of [p.until, p.quiet]) if (end > Date.now()) ends.push(end);
    }
    const written = rules.join("\n");
    if (written !== authorRules) authors.replaceSync(authorRules = written);
    clearTimeout(timer); // what has an end ends by itself
    if (ends.length) timer = setTimeout(showAll, Math.min(Math.min(...ends) - Date.now() + 50, 3_600_000));
  }
  function call(id, name) { // who was renamed is called so at what they have said
    for (const b of document.querySelectorAll(`.message[data-author="${id}"] header b`)) set(b, name);
    if (id !== me || name === document.body.dataset.name) return;
    document.body.dataset.name = document.querySelector(".me-name").firstChild.data = name;
    set(find("own")?.content.querySelector("header b"), name);
  }
  function learn(some, lasting) {
    for (const [id, [state, [emoji, text, until, quiet], name]] of Object.entries(some)) {
      known.set(id, { state, emoji, text, until, quiet });
      call(id, name);
      if (lasting) told.add(id);
    }
    showAll();
  }
  // What the server has written into the page is taken once: a part of the page that is shown again may be old.
  function take() {
    for (const el of document.querySelectorAll("[data-person][data-state]")) {
      const { person, state, says = '["","",0,0]' } = el.dataset;
      delete el.dataset.state;
      delete el.dataset.says;
      if (told.has(person)) continue;
      const [emoji, text, until, quiet] = JSON.parse(says);
      const away = state === "away" || state === "dnd" && known.get(person)?.state === 2;
      known.set(person, { state: state === "offline" ? 0 : away ? 2 : 1, emoji, text, until, quiet });
    }
  }

  // --- whom the page asks for: the reader, those of direct conversations, and who wrote what is on it -----------------------
  function ask() {
    if (!socket) return;
    const wanted = new Set([me]);
    for (const el of document.querySelectorAll("#rooms [data-person]")) wanted.add(el.dataset.person);
    for (const el of document.querySelectorAll("#members [data-person]")) wanted.add(el.dataset.person);
    for (const el of [...document.querySelectorAll("#messages > .message")].slice(-300)) wanted.add(el.dataset.author);
    const users = [...wanted].slice(0, 200), now = [...users].sort().join();
    if (now === asked) return;
    asked = now;
    for (const id of told) if (!wanted.has(id)) told.delete(id);
    socket.send(JSON.stringify({ type: "people", users }));
  }
  let soon = 0;
  new MutationObserver(() => {
    soon ||= setTimeout(() => { soon = 0; take(); showAll(); ask(); }, 200);
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("pointerover", (e) => {
    const name = e.target.closest?.(".message header b"), p = name && known.get(name.closest(".message").dataset.author);
    if (p) name.title = inWords(p);
  }, { passive: true });

  // --- whether somebody is there --------------------------------------------------------------------------------------------
  let touched = Date.now(), idle = false;
  function tell(is) {
    idle = is;
    socket?.send(JSON.stringify({ type: "idle", idle }));
  }
  function watch() {
    const left = Number(document.body.dataset.idle) - (Date.now() - touched);
    if (left <= 0 && !idle) tell(true);
    if (!idle) setTimeout(watch, Math.max(left, 50));
  }
  function touch() {
    touched = Date.now();
    if (idle) { tell(false); watch(); }
  }
  for (const type of ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "focus"]) addEventListener(type, touch, { passive: true, capture: true });
  watch();

  // --- the menu at the reader's name, and the dialog for the status ------------------------------------------------------------
  const menu = find("me-menu"), dialog = find("status-dialog");
  function showMenu(p) {
    const s = says(p);
    menu.querySelector(".clear-status").hidden = !s.emoji && !s.text;
    menu.querySelector(".quiet-end").hidden = !isQuiet(p);
    set(menu.querySelector(".quiet-until"), at(p.quiet));
  }
  function local(form) { // what the server cannot know: when the reader's day ends, and which instant is meant
    const midnight = new Date();
    midnight.setHours(24, 0, 0, 0);
    if (form.elements.midnight) form.elements.midnight.value = midnight.toISOString();
    const until = form.elements.until?.value;
    if (form.elements.at) form.elements.at.value = until ? new Date(until).toISOString() : "";
  }
  async function send(form, button) {
    local(form);
    const answer = await fetch(form.action, { method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams(new FormData(form, button)) });
    if (answer.redirected) throw new Error("You are signed out. Sign in again.");
    if (answer.status === 204) return "";
    const text = await answer.text();
    if (!answer.headers.get("Content-Type").startsWith("text/html")) throw new Error(text);
    return text;
  }
  const why = (error) => error instanceof TypeError ? "The server cannot be reached. Try again in a moment." : error.message;
  menu?.addEventListener("submit", async (e) => {
    e.preventDefault();
    try { await send(e.target, e.submitter); menu.hidePopover(); } catch (error) { live.toast(why(error)); }
  });
  function fill(html) {
    dialog.innerHTML = html;
    const until = dialog.querySelector("#status-until");
    if (until.value) { // the server gives it in UTC
      const time = new Date(`${until.value}Z`);
      until.value = new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
    }
    dialog.querySelector(".utc").remove();
    const cancel = dialog.querySelector(".cancel");
    cancel.hidden = false;
    cancel.addEventListener("click", () => dialog.close());
    (dialog.querySelector("[aria-invalid]") ?? dialog.querySelector("#status-text")).focus();
  }
  menu?.querySelector(".set-status").addEventListener("click", async (e) => {
    e.preventDefault();
    try {
      const answer = await fetch("/status", { headers: { "HX-Request": "true" } });
      if (!answer.ok || answer.redirected) { location.assign("/status"); return; }
      const html = await answer.text();
      menu.hidePopover();
      if (!dialog.open) dialog.showModal();
      fill(html);
    } catch (error) { live.toast(why(error)); }
  });
  dialog?.addEventListener("submit", async (e) => {
    e.preventDefault();
    const button = e.submitter;
    button.disabled = true;
    try {
      const again = await send(e.target, button);
      if (again) { fill(again); return; }
      dialog.close();
      dialog.replaceChildren();
    } catch (error) { live.toast(why(error)); }
    button.disabled = false;
  });
  dialog?.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); }); // beside it
  document.querySelector("main .status-forms")?.addEventListener("submit", (e) => local(e.target)); // the page of its own

  take();
  showAll();
  return {
    learn,
    // connected takes the connection; null: it is lost.
    connected(to) {
      socket = to;
      asked = "";
      told.clear();
      if (idle) tell(true);
      ask();
    },
    // came takes the list of the people in the room, which was replaced.
    came() { take(); showAll(); },
    // quiet reports whether the reader is not to be disturbed.
    quiet: () => known.has(me) && isQuiet(known.get(me)),
  };
})();
