// The quick switcher, Ctrl+K: rooms and people by a part of their names. "?", which lists the shortcuts, and "/", which searches.
"use strict";
(() => {
  const dialog = document.getElementById("switcher");
  const input = dialog.querySelector("input");
  const box = dialog.querySelector(".choices");
  const options = () => [...box.querySelectorAll("[role=option]:not([hidden])")];
  document.querySelector(".open-switcher").hidden = false;
  let at = 0; // of the options, the one that Enter takes
  let ready = null;  // when what can be chosen from is here
  let soon = 0, asked = 0; // asked counts: an answer that comes after something else was typed is not shown

  function mark(to) {
    const all = options();
    at = Math.max(0, Math.min(to, all.length - 1));
    const choice = all[at];
    for (const option of box.querySelectorAll("[role=option]")) {
      option.setAttribute("aria-selected", option === choice);
      option.id = option === choice ? "switcher-at" : "";
    }
    choice?.scrollIntoView({ block: "nearest" });
    dialog.querySelector(".none").hidden = all.length > 0;
  }
  function filter() {
    const part = input.value.trim().toLowerCase();
    const list = box.querySelector("[role=listbox]");
    if (!list) return;
    const place = (option) => option.dataset.name.toLowerCase().indexOf(part);
    for (const option of list.children) option.hidden = place(option) < 0;
    // Those that begin with it first; among equals as the server listed them.
    for (const option of [...list.children].sort((a, b) => (place(a) > 0) - (place(b) > 0) || a.dataset.n - b.dataset.n)) list.append(option);
    mark(0);
  }
  // Where there are more people than are listed, the server is asked for those who are called so; who is known shows at once.
  function find(part) {
    const mine = ++asked, list = box.querySelector("[data-more]");
    clearTimeout(soon);
    if (!part || !list) return;
    soon = setTimeout(async () => {
      try {
        const found = live.parse(await live.ask(`/switcher?q=${encodeURIComponent(part)}`)).querySelectorAll("button");
        if (mine !== asked || !list.isConnected) return;
        const chosen = options()[at];
        for (const option of found) {
          if (list.querySelector(`[data-user="${option.dataset.user}"]`)) continue;
          option.dataset.n = list.children.length;
          list.append(option);
        }
        filter();
        if (chosen) mark(options().indexOf(chosen));
      } catch { /* what is known can be chosen from */ }
    }, 120);
  }
  async function open() {
    if (dialog.open) return;
    input.value = "";
    find("");
    dialog.showModal();
    await (ready = fill());
  }
  async function fill() {
    try {
      const answer = await fetch("/switcher", { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(20_000) });
      if (!answer.ok || answer.redirected) throw new Error();
      box.innerHTML = await answer.text();
      box.querySelectorAll("[role=option]").forEach((option, n) => { option.dataset.n = n; });
      filter();
    } catch {
      box.textContent = "The rooms and people cannot be listed just now. Close this and try again.";
    }
  }
  const shortcuts = document.getElementById("shortcuts");
  shortcuts.addEventListener("click", (e) => { if (e.target === shortcuts) shortcuts.close(); });
  addEventListener("keydown", (e) => {
    if (e.key === "?" && !e.target.closest?.("input, textarea, [contenteditable]") && !document.querySelector("dialog[open]")) shortcuts.showModal();
    if (e.key.toLowerCase() === "k" && (e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey) { e.preventDefault(); open(); }
  });
  // Days that are searched for are the reader's.
  for (const zone of document.querySelectorAll("input[name=tz]")) zone.value = -new Date().getTimezoneOffset();
  function search(what) {
    const box = document.querySelector("#q") ?? document.querySelector(".find input[name=q]");
    if (!box.checkVisibility({ visibilityProperty: true })) { location.assign(`/search?q=${encodeURIComponent(what)}`); return; } // in a drawer
    if (what) box.value = what;
    box.focus();
    box.setSelectionRange(what ? what.length : 0, box.value.length);
  }
  addEventListener("keydown", (e) => {
    if (document.querySelector("dialog[open]")) return;
    if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && !e.target.closest?.("input, textarea, [contenteditable]")) { e.preventDefault(); search(""); }
    if (e.key.toLowerCase() === "f" && (e.ctrlKey || e.metaKey) && e.shiftKey) {
      e.preventDefault();
      const room = document.querySelector("#view[data-slug]")?.dataset.slug;
      search(room ? `in:${room} ` : "");
    }
  });
  document.addEventListener("click", (e) => { if (e.target.closest?.(".open-switcher")) open(); });
  input.addEventListener("input", () => { filter(); find(input.value.trim()); });
  input.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); mark(at + (e.key === "ArrowDown" ? 1 : -1)); }
    if (e.key !== "Enter") return;
    e.preventDefault();
    ready.then(() => options()[at]?.click()); // who types quickly is not before their time
  });
  box.addEventListener("click", (e) => { if (e.target.closest("a")) dialog.close(); });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); }); // beside it
})();
