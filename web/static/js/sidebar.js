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

  function showItem(li) {
    const n = numbers(li), count = unread(n), badge = li.querySelector(".badge");
    badge.textContent = n.mentions || (count > 99 ? "99+" : count || "");
    badge.classList.toggle("mention", n.mentions > 0);
    badge.setAttribute("aria-label", n.mentions ? `${n.mentions} mentions, ${count} unread` : `${count} unread`);
    badge.hidden = count === 0;
    const here = li.querySelector("a").pathname === path;
    if (here) li.querySelector("a").setAttribute("aria-current", "page"); else li.querySelector("a").removeAttribute("aria-current");
    const list = document.getElementById(count > 0 && !here ? "unread-rooms" : "other-rooms");
    if (li.parentNode === list) return;
    const name = li.dataset.name;
    const next = [...list.children].find((other) => other.dataset.name.localeCompare(name, undefined, { sensitivity: "base" }) > 0);
    const focused = li.contains(document.activeElement) ? document.activeElement : null;
    list.insertBefore(li, next ?? null);
    focused?.focus({ preventScroll: true });
  }
  function showAll() {
    for (const li of items()) showItem(li);
    showTotals();
  }
  function showTotals() {
    const section = document.getElementById("unread-rooms");
    section.parentNode.hidden = !section.children.length;
    const all = items().map(numbers);
    const mentions = all.reduce((sum, n) => sum + n.mentions, 0), some = all.some((n) => unread(n) > 0);
    document.title = (mentions ? `(${mentions}) ` : some ? "• " : "") + title;
    const href = mentions ? icon.dataset.mention : some ? icon.dataset.unread : icon.dataset.plain;
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  let loading = null;
  async function load() { // the list anew
    try {
      const answer = await fetch("/sidebar", { headers: { "HX-Request": "true" } });
      if (!answer.ok || answer.redirected) return;
      const fragment = document.createElement("template");
      fragment.innerHTML = await answer.text();
      document.getElementById("rooms").replaceWith(fragment.content.getElementById("rooms"));
      showAll();
    } catch { /* the server cannot be reached: it is told anew after the next connection */ }
  }

  return {
    // update takes what the server tells of rooms: id → [last, read, mentions].
    update(rooms, list) {
      for (const [room, [last, read, mentions]] of Object.entries(rooms)) {
        const li = item(room);
        if (!li) { list = true; continue; }
        Object.assign(li.dataset, { last, read, mentions });
        showItem(li);
      }
      showTotals();
      if (list) loading = (loading ?? Promise.resolve()).then(load);
    },
    // read is how far the reader has read the room; NaN where they are not a member.
    read: (room) => Number(item(room)?.dataset.read ?? NaN),
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
    link: (at) => items().map((li) => li.querySelector("a")).find((a) => a.pathname === at),
  };
})();
