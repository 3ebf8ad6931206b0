// Going from room to room without loading a page: the room is fetched and put in the place of the one before, or shown
// again as it was left. Its cursor makes either right: what came meanwhile comes when it is opened.
"use strict";
(() => {
  const keepFor = 5 * 60 * 1000; // ms that a room which was left is shown again as it was
  const keepMost = 10;           // rooms
  const fetchedFor = 15 * 1000;  // ms that what was fetched ahead is good for: who is online, the topic
  const kept = new Map();        // path → { view, left }, the one that was left last at the end
  const ahead = new Map();       // path → { html, at }
  const isRoom = (url) => url.origin === location.origin && /^\/rooms\/[^/]+$/.test(url.pathname) && url.pathname !== "/rooms/new" && (!url.search || atIn(url)) && !url.hash;
  const atIn = (url) => url.search.match(/^\?at=(\d+)$/)?.[1]; // the message that a link is to

  let view = Room(document.getElementById("view"));
  let path = location.pathname;
  const mark = new CSSStyleSheet(); // which person is the reader: the list is the same for all, one rule tells
  mark.insertRule(`.people [data-user="${live.user}"] .you { display: block; }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, mark];

  function fetchRoom(to) {
    const found = ahead.get(to);
    if (found && Date.now() - found.at < fetchedFor) return found.html;
    for (const [other, { at }] of ahead) if (Date.now() - at >= fetchedFor) ahead.delete(other);
    const html = fetch(to, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(20_000) }).then((answer) => {
      if (answer.redirected) throw Object.assign(new Error(), { elsewhere: true });
      if (answer.status >= 500) throw Object.assign(new Error(), { told: "the server cannot do it just now" });
      if (!answer.ok) throw Object.assign(new Error(), { elsewhere: true }); // its page says why
      return answer.text();
    });
    ahead.set(to, { html, at: Date.now() });
    html.catch(() => ahead.delete(to));
    return html;
  }

  let going = 0; // counts: an answer that comes after another room was asked for is not shown
  async function go(to, push, at) {
    const turn = ++going, address = at ? `${to}?at=${at}` : to;
    let next = kept.get(to);
    if (next && (Date.now() - next.left > keepFor && !next.view.unsent() || next.view.ended)) { kept.delete(to); next = undefined; }
    if (!next) {
      const before = view.root;
      sidebar.link(to)?.setAttribute("aria-busy", "true");
      const wait = setTimeout(() => before.classList.add("waiting"), 150);
      try {
        const html = await fetchRoom(at ? `${address}&view` : to);
        if (turn !== going) return;
        next = { root: live.parse(html).getElementById("view") };
      } catch (error) {
        if (turn !== going) return;
        if (error.elsewhere) location.assign(address);
        else live.toast(`The room could not be opened: ${error.told ?? "the server cannot be reached"}.`, { href: address, label: "Try again" });
        return;
      } finally {
        clearTimeout(wait);
        before.classList.remove("waiting");
        sidebar.link(to)?.removeAttribute("aria-busy");
      }
    }
    if (push && location.hash) { // out of a drawer, which is no place to come back to
      await new Promise((closed) => {
        addEventListener("hashchange", closed, { once: true });
        location.replace("#");
      });
      history.replaceState(null, "", address);
    } else if (push) history.pushState(null, "", address);
    const there = next.view;
    show(to, next);
    if (at && there) view.go(at);
  }
  function show(to, next) {
    view.hidden();
    kept.delete(path);
    if (!view.ended) kept.set(path, { view, left: Date.now() });
    for (const [old, was] of [...kept].slice(0, -keepMost)) if (!was.view.unsent()) kept.delete(old);
    kept.delete(to);
    ahead.delete(to);
    const before = view.root;
    before.replaceWith(next.view?.root ?? next.root);
    view = next.view ?? Room(next.root);
    path = to;
    sidebar.here(path, view.title);
    live.show(view);
    view.shown();
    if (sidebar.stamp(view.room)) refreshOld(); // it was kept, or fetched ahead
  }

  // The room may be called otherwise, have another topic, be archived, or be no longer the reader's.
  const outdated = () => sidebar.stamp(view.room) !== view.root.dataset.stamp;
  const refresh = live.latest(async () => {
    const at = path;
    ahead.delete(at);
    const fresh = live.parse(await fetchRoom(at)).getElementById("view");
    if (at === path) renew(fresh);
  });
  function renew(fresh) {
    const foot = (root) => root.querySelector("#composer") ? "" : root.querySelector(".closed").textContent;
    if (foot(fresh) !== foot(view.root)) { show(path, { root: fresh }); return; }
    for (const part of [".bar h1", ".bar .topic", ".bar .star", ".log .beginning", "template.beginning", "#composer label"]) {
      const now = fresh.querySelector(part);
      if (now) view.root.querySelector(part)?.replaceWith(now);
    }
    const body = view.root.querySelector("#body");
    if (body) body.placeholder = fresh.querySelector("#body").placeholder;
    view.root.toggleAttribute("data-may", "may" in fresh.dataset); // an owner may more
    view.title = fresh.dataset.title;
    view.root.dataset.stamp = fresh.dataset.stamp;
    sidebar.here(path, view.title);
  }
  const refreshOld = () => { if (outdated()) refresh(); };
  for (const type of ["htmx:ws:after:connection", "pgchat:rooms"]) addEventListener(type, refreshOld);

  // A star is set without loading the page: the list of rooms and this room's head hear of it as of every change.
  addEventListener("submit", async (e) => {
    if (!e.target.matches(".bar .star") || live.ended) return;
    e.preventDefault();
    const button = e.submitter ?? e.target.querySelector("button");
    button.setAttribute("aria-pressed", button.value);
    try {
      await live.ask(e.target.action, { [button.name]: button.value });
    } catch (error) {
      button.setAttribute("aria-pressed", button.value !== "true");
      live.toast(error.message);
    }
  });

  addEventListener("click", (e) => {
    const a = e.target.closest?.("a[href]");
    if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || a.target || live.ended) return;
    const url = new URL(a.href);
    if (!isRoom(url)) return;
    e.preventDefault();
    if (url.pathname === path) { if (location.hash) location.hash = ""; going++; if (atIn(url)) view.go(atIn(url)); return; }
    go(url.pathname, true, atIn(url));
  });
  addEventListener("pagehide", () => view.keepPlace());
  addEventListener("popstate", () => {
    view.moved();
    if (location.pathname === path) return; // a drawer
    const url = new URL(location.pathname + location.search, location.origin);
    if (isRoom(url)) go(url.pathname, false, atIn(url)); else location.reload();
  });
  // What the pointer or the focus comes to is fetched before it is asked for.
  let soon = 0;
  function fetchSoon(e) {
    clearTimeout(soon);
    const a = e.target.closest?.(".sidebar .rooms a");
    if (!a || a.pathname === path || kept.has(a.pathname)) return;
    soon = setTimeout(() => fetchRoom(a.pathname).catch(() => {}), e.type === "pointerdown" ? 0 : 60);
  }
  for (const type of ["pointerover", "pointerdown", "focusin"]) addEventListener(type, fetchSoon, { passive: true });

  addEventListener("focus", () => view.mark());
  document.addEventListener("visibilitychange", () => view.mark());

  sidebar.here(path, view.title);
  live.show(view);
  view.shown();
  if (sidebar.stamp(view.room)) refreshOld(); // the list may be newer
})();
