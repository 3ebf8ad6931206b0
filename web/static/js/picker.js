// The picker of emoji: a search over their short names, those used lately, all by category. It is loaded when it is first used.
"use strict";
const EmojiPicker = (() => {
  const kept = `pgchat:emoji:${document.body.dataset.user}`;
  const usual = ["👍", "❤️", "😂", "🎉", "👀", "✅", "🙏", "🚀", "😄"];
  const most = 18; // used lately
  let categories = null; // [name, [[emoji, short names, words], …]]
  let dialog = null, search, list, bar, shown, said, at = [0, 0], settle = null;

  const make = (tag, className, attributes = {}) => {
    const element = document.createElement(tag);
    element.className = className;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  function lately() {
    try {
      const used = JSON.parse(live.load(localStorage, kept) || "[]");
      return [...new Set([...used, ...usual])].slice(0, Math.max(used.length, usual.length));
    } catch { return usual; }
  }
  const nameOf = new Map(); // emoji → short name
  function group(name, entries, index) {
    const section = make("div", "group", { role: "group", "aria-label": name });
    const title = make("div", "title", { role: "presentation" });
    title.textContent = name;
    const grid = make("div", "grid", { role: "presentation" });
    entries.forEach(([emoji, names], i) => {
      const option = make("span", "", { role: "option", id: `emoji-${index}-${i}`, "aria-label": names.split(" ", 1)[0].replaceAll("_", " "), "aria-selected": false });
      option.textContent = emoji;
      grid.append(option);
    });
    section.append(title, grid);
    return section;
  }
  const known = (emojis) => emojis.map((emoji) => [emoji, nameOf.get(emoji) ?? emoji]);
  function all() {
    return [["Recently used", known(lately())], ...categories];
  }
  function find(query) {
    const words = query.toLowerCase().replaceAll(":", " ").trim().split(/\s+/);
    const found = [[], [], []];
    for (const [, entries] of categories) {
      for (const entry of entries) {
        const [, names, tags] = entry, parts = names.split(" "), joined = words.join("_");
        if (parts.some((name) => name.startsWith(joined))) found[0].push(entry);
        else if (words.every((word) => names.includes(word))) found[1].push(entry);
        else if (words.every((word) => names.includes(word) || tags.includes(word))) found[2].push(entry);
      }
    }
    return found.flat().slice(0, 180);
  }
  function draw() {
    const query = search.value.trim();
    shown = query ? [["Found", find(query)]] : all();
    list.replaceChildren(...shown.map(([name, entries], i) => group(name, entries, i)));
    list.scrollTop = 0;
    bar.hidden = query !== "";
    select([0, 0]);
    if (!shown[0][1].length) said.textContent = "No emoji is called so.";
  }
  const option = ([g, i]) => list.children[g]?.lastChild.children[i];
  function select(next, scroll = true) {
    option(at)?.setAttribute("aria-selected", false);
    at = next;
    const now = option(at);
    search.removeAttribute("aria-activedescendant");
    if (!now) return;
    now.setAttribute("aria-selected", true);
    search.setAttribute("aria-activedescendant", now.id);
    said.textContent = "";
    const big = make("span", "");
    big.textContent = now.textContent;
    said.append(big, shown[at[0]][1][at[1]][1].split(" ").map((name) => `:${name}:`).join(" "));
    if (scroll) now.scrollIntoView({ block: "nearest" });
  }
  function move(key) {
    let [g, i] = at;
    const columns = getComputedStyle(list.querySelector(".grid")).gridTemplateColumns.split(" ").length;
    const size = (group) => shown[group]?.[1].length ?? 0;
    const row = (n) => Math.floor(n / columns);
    if (key === "ArrowRight") { if (++i >= size(g)) { g++; i = 0; } }
    if (key === "ArrowLeft" && --i < 0) { g--; i = size(g) - 1; }
    if (key === "ArrowDown") {
      if (i + columns < size(g)) i += columns;
      else if (row(i) < row(size(g) - 1)) i = size(g) - 1;
      else { g++; i = Math.min(i % columns, size(g) - 1); }
    }
    if (key === "ArrowUp") {
      if (i >= columns) i -= columns;
      else { g--; i = Math.min(row(size(g) - 1) * columns + i % columns, size(g) - 1); }
    }
    if (size(g) > i && i >= 0) select([g, i]);
  }
  function choose(emoji) {
    live.store(localStorage, kept, JSON.stringify([...new Set([emoji, ...lately()])].slice(0, most)));
    settle?.(emoji);
    settle = null;
    dialog.close();
  }
  function build() {
    dialog = make("dialog", "picker", { "aria-label": "Choose an emoji" });
    const head = make("div", "row");
    search = make("input", "", { type: "text", role: "combobox", "aria-label": "Search the emoji", placeholder: "Search, such as tada", "aria-controls": "picker-list", "aria-expanded": true, "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false" });
    const close = make("button", "icon-button", { type: "button", "aria-label": "Close" });
    close.append(document.querySelector("#shortcuts .icon-button svg").cloneNode(true));
    head.append(search, close);
    bar = make("div", "categories", { role: "group", "aria-label": "Categories" });
    categories.forEach(([name, entries], i) => {
      const button = make("button", "", { type: "button", "aria-label": name, title: name });
      button.textContent = entries[0][0];
      button.addEventListener("click", () => {
        list.children[i + 1].scrollIntoView({ block: "start" });
        select([i + 1, 0], false);
      });
      bar.append(button);
    });
    list = make("div", "emoji", { role: "listbox", id: "picker-list", "aria-label": "Emoji", tabindex: 0 });
    said = make("p", "said-emoji", { "aria-live": "off" });
    dialog.append(head, bar, list, said);
    document.body.append(dialog);
    search.addEventListener("input", draw);
    dialog.addEventListener("keydown", (e) => {
      if (e.key.startsWith("Arrow") && !e.target.closest(".categories")) { e.preventDefault(); move(e.key); }
      if (e.key === "Enter" && !e.target.closest("button") && !e.isComposing) {
        e.preventDefault();
        const now = option(at);
        if (now) choose(now.textContent);
      }
      if (e.key === "Escape") e.stopPropagation();
    });
    dialog.addEventListener("keypress", (e) => { if (e.key === "Enter" && e.target === search) e.preventDefault(); });
    list.addEventListener("click", (e) => {
      const chosen = e.target.closest("[role=option]");
      if (chosen) choose(chosen.textContent);
    });
    list.addEventListener("pointerover", (e) => {
      const over = e.target.closest("[role=option]");
      if (over && e.pointerType === "mouse") select(over.id.split("-").slice(1).map(Number), false);
    });
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); }); // beside it
    dialog.addEventListener("close", () => { settle?.(null); settle = null; });
  }
  return {
    // choose shows the picker beside a rectangle and gives the emoji that was chosen; null: none.
    async choose(table, beside) {
      if (!categories) {
        const answer = await fetch(table).catch(() => null);
        if (!answer?.ok) throw new Error("The emoji could not be loaded. Try again in a moment.");
        categories = await answer.json();
        for (const [, entries] of categories) for (const [emoji, names] of entries) nameOf.set(emoji, names);
      }
      if (!dialog) build();
      if (dialog.open) return null;
      search.value = "";
      dialog.showModal();
      draw();
      // Where there is no keyboard the search would bring one up, over half of the emoji.
      if (matchMedia("(pointer: coarse)").matches) list.focus(); else search.focus();
      const { width, height } = dialog.getBoundingClientRect();
      dialog.style.setProperty("--left", `${Math.max(8, Math.min(beside.left, innerWidth - width - 8))}px`);
      dialog.style.setProperty("--top", `${Math.max(8, beside.bottom + height + 8 < innerHeight ? beside.bottom + 6 : Math.min(beside.top - height - 6, innerHeight - height - 8))}px`);
      return new Promise((resolve) => { settle = resolve; });
    },
  };
})();
