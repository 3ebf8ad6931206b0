// The list of rooms: what is unread comes first, the page's title and icon tell of it.
"use strict";
const sidebar = (() => {
  const icon = document.querySelector("link[rel=icon]");
  let title = document.title;
  let path = location.pathname;
  const items = () => [...document.querySelectorAll("#rooms li")];
  const item = (room) => document.querySelector(`#rooms li[data-room="${room}"]`);
  const numbers = (li) => ({ last: Number(li.dataset.last), read: Number(li.dataset.read), mentions: Number(li.dataset.mentions) });
  const unread = ({ last, read }) => Math.max(0, last - read);
  const isHere = (li) => li.querySelector("a").pathname === path;
  const isDirect = (li) => li.dataset.kind === "direct";
  // What a room asks for: messages that are for the reader, and others; of a muted room only those that mention them.
  function asks(li) {
    const n = numbers(li);
    if (unread(n) && isHere(li) && live.reads()) return { count: 0, forMe: 0 }; // it comes, and is read as it comes
    const count = unread(n), muted = li.dataset.notify === "nothing";
    const forMe = n.mentions || (isDirect(li) && !muted ? count : 0);
    return { count: muted ? n.mentions : count, forMe };
  }

  const drafts = `pgchat:draft:${document.body.dataset.user}:`;
  function showDraft(room) {
    let text = null;
    try { text = localStorage.getItem(drafts + room); } catch { /* private browsing: nothing is kept */ }
    const pencil = item(room)?.querySelector(".draft");
    if (pencil) live.set(pencil, { hidden: !text?.trim() });
  }
  addEventListener("storage", (e) => { if (e.key?.startsWith(drafts)) showDraft(e.key.slice(drafts.length).split(":")[0]); }); // from another page

  function showItem(li) {
    const { count, forMe } = asks(li), badge = li.querySelector(".badge");
    live.set(badge, {
      textContent: `${forMe || count > 99 && "99+" || count || ""}`, hidden: count === 0,
      ariaLabel: forMe ? `${forMe} for you, ${count} unread` : `${count} unread`,
    });
    badge.classList.toggle("mention", forMe > 0);
    live.set(li.querySelector(".muted"), { hidden: li.dataset.notify !== "nothing" });
    showDraft(li.dataset.room);
    const here = isHere(li);
    live.set(li.querySelector("a"), { ariaCurrent: here ? "page" : null });
    const list = document.getElementById(count > 0 && !here ? "unread-rooms" : "starred" in li.dataset ? "starred-rooms" : isDirect(li) ? "direct-rooms" : "other-rooms");
    const name = li.dataset.name;
    const next = [...list.children].find((other) => other !== li && other.dataset.name.localeCompare(name, undefined, { sensitivity: "base" }) > 0) ?? null;
    if (li.parentNode === list && li.nextElementSibling === next) return;
    const focused = li.contains(document.activeElement) ? document.activeElement : null;
    list.insertBefore(li, next);
    focused?.focus({ preventScroll: true });
  }
  function showAll() {
    for (const li of items()) showItem(li);
    showTotals();
  }
  function showTotals() {
    for (const id of ["unread-rooms", "starred-rooms"]) {
      const list = document.getElementById(id);
      live.set(list.parentNode, { hidden: !list.children.length });
    }
    const all = items().map(asks);
    const mentions = all.reduce((sum, a) => sum + a.forMe, 0), some = all.some((a) => a.count > 0);
    document.body.classList.toggle("some-unread", some);
    live.set(document, { title: (mentions ? `(${mentions}) ` : some ? "• " : "") + title });
    const href = mentions ? icon.dataset.mention : some ? icon.dataset.unread : icon.dataset.plain;
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  // A notification of the desktop's, while nobody looks at the page; a room has one, whatever pages are open. What is for the reader may
  // be read in another page, or be an answer of theirs from there: it is told a moment later, if it is still unread.
  const soon = new Map(); // room → timer
  function announce(li) {
    const { room } = li.dataset;
    clearTimeout(soon.get(room));
    soon.set(room, setTimeout(() => { soon.delete(room); tell(li); }, 2000));
  }
  function tell(li) {
    const { count, forMe } = asks(li), name = isDirect(li) ? li.dataset.name : `#${li.dataset.name}`;
    if (!li.isConnected || li.dataset.notify === "nothing" || !(forMe || li.dataset.notify === "all" && count)) return;
    if (people.quiet() || !("Notification" in window) || Notification.permission !== "granted" || document.visibilityState === "visible" && document.hasFocus()) return;
    let shown;
    try {
      shown = new Notification(name, {
        body: isDirect(li) ? `${count} new` : forMe ? `You are mentioned. ${count} unread` : `${count} unread`, tag: li.dataset.room, icon: icon.dataset.plain,
      });
    } catch { return; } // Chrome on Android has them for service workers only
    shown.addEventListener("click", () => { window.focus(); li.querySelector("a").click(); shown.close(); });
  }

  function showPermission() {
    const ask = document.querySelector(".ask-notifications");
    if (!ask || !("Notification" in window)) return;
    ask.hidden = Notification.permission !== "default";
    document.querySelector(".no-notifications").hidden = Notification.permission !== "denied";
    ask.querySelector("button").onclick = async () => { await Notification.requestPermission(); showPermission(); };
  }
  showPermission();
  // Offered where the first message for the reader comes, until they say yes or no.
  const line = document.getElementById("offer"), said = `pgchat:offered:${document.body.dataset.user}`;
  function offer() {
    if (!line.hidden || !("Notification" in window) || Notification.permission !== "default" || live.load(localStorage, said)) return;
    try { new Notification(""); } catch { return; } // as above; where it may not show any, it shows none
    line.hidden = false;
  }
  line.addEventListener("click", async (e) => {
    const button = e.target.closest("button");
    if (!button) return;
    line.hidden = true;
    live.store(localStorage, said, "yes");
    if (button === line.querySelector("button")) await Notification.requestPermission();
    showPermission();
  });
  addEventListener("storage", (e) => { if (e.key === said) line.hidden = true; }); // in another page

  const load = live.latest(async () => { // the list anew
    const fresh = new Map([...live.parse(await live.ask("/sidebar")).querySelectorAll("li")].map((li) => [li.dataset.room, li]));
    // What is there stays the same element: somebody may be about to click on it.
    for (const li of items()) {
      const now = fresh.get(li.dataset.room);
      fresh.delete(li.dataset.room);
      if (!now) { li.remove(); continue; }
      const a = li.querySelector("a"), then = now.querySelector("a");
      for (const name of li.getAttributeNames()) if (!now.hasAttribute(name)) li.removeAttribute(name);
      for (const { name, value } of now.attributes) li.setAttribute(name, value);
      a.href = then.getAttribute("href");
      a.querySelector(":scope > span:not(.face)").textContent = li.dataset.name;
      if (a.firstElementChild.outerHTML !== then.firstElementChild.outerHTML) a.firstElementChild.replaceWith(then.firstElementChild);
    }
    for (const li of fresh.values()) document.getElementById("other-rooms").append(li);
    showAll();
    dispatchEvent(new Event("pgchat:rooms")); // what is read of them now is not older than the list
  });

  return {
    // update takes what the server tells of rooms, id → [last, read, mentions, stamp], with all of all of the reader's. When
    // they are otherwise than in the list it is loaded anew.
    update(rooms, all) {
      let changed = false, otherwise = all && items().some((li) => !rooms[li.dataset.room]);
      for (const [room, [last, read, mentions, stamp]] of Object.entries(rooms)) {
        const li = item(room);
        if (li?.dataset.stamp !== String(stamp)) otherwise = true;
        if (!li) continue;
        const newer = last > Number(li.dataset.last), back = read < Number(li.dataset.read), before = asks(li);
        Object.assign(li.dataset, { last, read, mentions });
        const now = asks(li);
        if (now.forMe) offer();
        if (now.count === before.count && now.forMe === before.forMe) continue;
        showItem(li);
        if (now.forMe > before.forMe && !back || li.dataset.notify === "all" && newer && now.count > 0) announce(li);
        changed = true;
      }
      if (changed) showTotals();
      if (otherwise) load();
    },
    // read is how far the reader has read the room; NaN where they are not a member.
    read: (room) => Number(item(room)?.dataset.read ?? NaN),
    stamp: (room) => item(room)?.dataset.stamp,
    // mark shows, before the server tells, how far the reader has read.
    mark(room, seq) {
      const li = item(room);
      if (!li) return;
      li.dataset.read = seq;
      if (unread(numbers(li)) === 0) li.dataset.mentions = 0;
      showItem(li);
      showTotals();
    },
    // here tells which page is shown.
    here(at, named) {
      path = at;
      title = named;
      showAll();
    },
    draft: showDraft,
    link: (at) => items().map((li) => li.querySelector("a")).find((a) => a.pathname === at),
  };
})();
