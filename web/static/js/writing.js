// What helps to write in a text area: completion of @names, #rooms, :emoji: and /commands, and Markdown by buttons and keys.
"use strict";
// box is the element above which the completions stand; send is what Enter does; room, if given, is told that somebody types.
function Writing(area, { slug, box, send, room }) {
  // insert puts text in place of a range, as if it were typed: it can be undone.
  function insert(from, to, text, select = [text.length, text.length]) {
    area.focus();
    area.setSelectionRange(from, to);
    if (!document.execCommand(text ? "insertText" : "delete", false, text)) {
      area.setRangeText(text, from, to, "end");
      area.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }
    area.setSelectionRange(from + select[0], from + select[1]);
  }

  // --- completion -------------------------------------------------------------------------------------------------------
  let list = null, at = 0, word = null, turn = 0; // word: { from, text }, what is being completed
  const said = Writing.list ??= document.body.appendChild(Object.assign(document.createElement("p"), { className: "visually-hidden" }));
  said.setAttribute("role", "status");
  area.setAttribute("aria-autocomplete", "list");
  area.enterKeyHint = touch.breaks() ? "enter" : "send";
  function wordAt() {
    if (area.selectionStart !== area.selectionEnd) return null;
    const before = area.value.slice(0, area.selectionStart);
    const found = before.match(/(?:^|[\s(])([@#][\p{L}\p{N}_.-]*|:[a-z0-9_+-]{2,})$/u)?.[1] ?? before.match(/^\/[a-z]*$/i)?.[0];
    return found ? { from: before.length - found.length, text: found } : null;
  }
  async function candidates({ text }) {
    if (text[0] === ":") return Writing.emojiFor(text.slice(1));
    const key = `${slug} ${text}`, known = Writing.answers.get(key);
    if (known && Date.now() - known.at < 30_000) return known.list;
    const answer = await fetch(`/rooms/${encodeURIComponent(slug)}/complete?word=${encodeURIComponent(text)}`, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok || answer.redirected) return [];
    const got = await answer.json();
    if (Writing.answers.size > 200) Writing.answers.clear();
    Writing.answers.set(key, { list: got, at: Date.now() });
    return got;
  }
  async function suggest() {
    const mine = ++turn, now = wordAt();
    if (!now || now.text === dismissed) { close(); return; }
    let found = [];
    try { found = await candidates(now); } catch { /* completion is a help only */ }
    if (mine !== turn) return;
    if (!found.length || found.length === 1 && found[0].text === now.text) { close(); return; }
    word = now;
    show(found);
  }
  function show(found) {
    if (!list) {
      list = document.createElement("ul");
      list.className = "completions";
      list.id = "completions";
      list.setAttribute("role", "listbox");
      list.setAttribute("aria-label", "Completions");
      list.addEventListener("pointerdown", (e) => e.preventDefault()); // the text area keeps the focus
      list.addEventListener("click", (e) => { const item = e.target.closest("li"); if (item) take([...list.children].indexOf(item)); });
      box.append(list);
      area.setAttribute("aria-controls", "completions");
    }
    list.replaceChildren(...found.map(({ text, note, shows }) => {
      const item = document.createElement("li");
      item.setAttribute("role", "option");
      item.dataset.text = text;
      item.append(shows ? `${shows} ${text}` : text);
      if (note) item.appendChild(document.createElement("small")).textContent = note;
      return item;
    }));
    mark(0);
    said.textContent = found.length === 1 ? "1 completion" : `${found.length} completions`;
  }
  function mark(to) {
    const items = [...list.children];
    at = (to + items.length) % items.length;
    items.forEach((item, i) => {
      item.id = `completion-${i}`;
      item.setAttribute("aria-selected", i === at);
    });
    items[at].scrollIntoView({ block: "nearest" });
    area.setAttribute("aria-activedescendant", `completion-${at}`);
  }
  function close() {
    if (!list) return;
    list.remove();
    list = null;
    area.removeAttribute("aria-activedescendant");
    area.removeAttribute("aria-controls");
    said.textContent = "";
  }
  let dismissed = ""; // by Escape: not offered again until something else is typed
  function take(i) {
    const text = list.children[i].dataset.text;
    turn++;
    close();
    insert(word.from, area.selectionStart, `${text} `);
    close();
    turn++;
  }
  area.addEventListener("input", () => {
    if (wordAt()?.text !== dismissed) dismissed = "";
    suggest();
  });
  area.addEventListener("blur", () => { turn++; close(); });
  area.addEventListener("keydown", (e) => {
    if (!list || e.isComposing) return;
    if (wordAt()?.text !== word.text) { // what is offered is for what was typed before: the answer is on its way
      if (e.key === "Enter") { turn++; close(); }
      return;
    }
    const chosen = list.children[at].dataset.text;
    if (e.key === "Enter" && chosen[0] !== "/" && chosen === area.value.slice(word.from, area.selectionStart)) { turn++; close(); return; } // it is typed whole: Enter sends
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step) mark(at + step);
    else if ((e.key === "Enter" || e.key === "Tab") && !e.shiftKey) take(at);
    else if (e.key === "Escape") { dismissed = word.text; turn++; close(); }
    else {
      if (e.key.startsWith("Arrow") || e.key === "Home" || e.key === "End") { turn++; close(); }
      return;
    }
    e.preventDefault();
    e.stopImmediatePropagation(); // Enter does not send, ↑ does not edit, Escape does not mark as read
  }, true);

  // --- Markdown -----------------------------------------------------------------------------------------------------------
  const range = () => [area.selectionStart, area.selectionEnd, area.value.slice(area.selectionStart, area.selectionEnd)];
  // around puts marks on both sides of what is selected, or takes them away.
  function around(mark, sample) {
    const [from, to, text] = range(), n = mark.length, value = area.value;
    const bare = (i) => value.slice(i - n, i) === mark && (n > 1 || value[i - 2] !== mark); // one * is not half of two
    if (text && bare(from) && value.slice(to, to + n) === mark) insert(from - n, to + n, text, [0, text.length]);
    else if (text.length > 2 * n && text.startsWith(mark) && text.endsWith(mark)) insert(from, to, text.slice(n, -n), [0, text.length - 2 * n]);
    else {
      const inner = text.trim() ? text.trim() : sample, lead = text.slice(0, text.length - text.trimStart().length);
      const tail = text.trim() ? text.slice(text.trimEnd().length) : "";
      insert(from, to, lead + mark + inner + mark + tail, [lead.length + n, lead.length + n + inner.length]);
    }
  }
  // lines puts something before each line that is selected, or takes it away where all have it.
  function lines(prefix, is) {
    const [from, to] = range(), value = area.value;
    const start = value.lastIndexOf("\n", from - 1) + 1, stop = value.indexOf("\n", to) < 0 ? value.length : value.indexOf("\n", to);
    const all = value.slice(start, stop).split("\n");
    const now = (all.every((l) => is.test(l)) ? all.map((l) => l.replace(is, "")) : all.map((l, i) => prefix(i) + l.replace(is, ""))).join("\n");
    insert(start, stop, now, all.length > 1 ? [0, now.length] : [now.length, now.length]);
  }
  const acts = {
    bold: () => around("**", "bold"),
    italic: () => around("*", "italic"),
    strike: () => around("~~", "struck"),
    code() {
      const [from, to, text] = range();
      if (!text.includes("\n")) { around("`", "code"); return; }
      const lead = from > 0 && area.value[from - 1] !== "\n" ? "\n" : "";
      insert(from, to, `${lead}\`\`\`\n${text}\n\`\`\``, [lead.length + 3, lead.length + 3]);
    },
    block() {
      const [from, to, text] = range(), lead = from > 0 && area.value[from - 1] !== "\n" ? "\n" : "", inner = text || "code";
      insert(from, to, `${lead}\`\`\`\n${inner}\n\`\`\``, [lead.length + 4, lead.length + 4 + inner.length]);
    },
    link() {
      const [from, to, text] = range();
      if (/^https?:\/\/\S+$/.test(text)) insert(from, to, `[text](${text})`, [1, 5]);
      else { const inner = text || "text"; insert(from, to, `[${inner}](https://)`, text ? [inner.length + 3, inner.length + 11] : [1, 1 + inner.length]); }
    },
    quote: () => lines(() => "> ", /^> ?/),
    list: () => lines(() => "- ", /^\s*[-*] /),
    numbers: () => lines((i) => `${i + 1}. `, /^\s*\d+\. /),
  };
  area.addEventListener("keydown", (e) => {
    if (!(e.ctrlKey || e.metaKey) || e.altKey || e.isComposing) return;
    const act = e.shiftKey ? { x: "strike", 7: "numbers", 8: "list", 9: "quote", "&": "numbers", "*": "list", "(": "quote" }[e.key.toLowerCase()]
      : { b: "bold", i: "italic", e: "code" }[e.key.toLowerCase()];
    if (!act) return;
    e.preventDefault();
    acts[act]();
  });
  // A new line in a list or a quote goes on with it; in an empty item it ends it.
  let done = false; // what this does: its character, sent by itself, does nothing more
  area.addEventListener("keypress", (e) => { if (done && e.key === "Enter") e.preventDefault(); });
  area.addEventListener("keydown", (e) => {
    done = false;
    if (e.key !== "Enter" || e.isComposing || touch.sends(e)) return;
    const [from, to] = range(), start = area.value.lastIndexOf("\n", from - 1) + 1, line = area.value.slice(start, from);
    const found = line.match(/^(\s*)(?:([-*]) |(\d+)\. |(>) ?)(.*)$/);
    if (!found || from !== to) return;
    e.preventDefault();
    done = true;
    if (!found[5].trim()) insert(start, from, "");
    else insert(from, to, `\n${found[1]}${found[3] ? `${Number(found[3]) + 1}.` : found[2] ?? found[4]} `);
  });
  // A link over what is selected makes a link of it.
  area.addEventListener("paste", (e) => {
    const [from, to, text] = range(), pasted = e.clipboardData?.getData("text/plain").trim() ?? "";
    if (!text.trim() || text.includes("\n") || !/^https?:\/\/\S+$/.test(pasted) || /^https?:\/\//.test(text)) return;
    e.preventDefault();
    insert(from, to, `[${text}](${pasted})`);
  });

  // --- the buttons ----------------------------------------------------------------------------------------------------------
  const bar = box.querySelector(".format-bar");
  if (bar) {
    const [format, emoji] = box.querySelectorAll("button:is([aria-controls], [aria-haspopup])");
    const show = (shown) => {
      bar.hidden = !shown;
      format.setAttribute("aria-expanded", shown);
    };
    show(live.load(localStorage, "pgchat:format") === "shown");
    format.hidden = emoji.hidden = false;
    format.addEventListener("click", () => {
      show(bar.hidden);
      live.store(localStorage, "pgchat:format", bar.hidden ? "" : "shown");
      area.focus();
    });
    bar.addEventListener("pointerdown", (e) => e.preventDefault()); // the selection stays
    bar.addEventListener("click", (e) => { const button = e.target.closest("button"); if (button) acts[button.dataset.act](); });
    emoji.addEventListener("click", async () => {
      const [from, to] = range();
      try {
        const chosen = await Writing.choose(emoji.getBoundingClientRect());
        if (chosen) insert(from, to, chosen); else area.focus();
      } catch (error) { live.toast(error.message); }
    });
  }

  // --- sending --------------------------------------------------------------------------------------------------------------
  area.addEventListener("keydown", (e) => { if (touch.sends(e)) { e.preventDefault(); send(); } });
  // Keyboards that send the character by itself would leave a line break behind.
  area.addEventListener("keypress", (e) => { if (touch.sends(e)) e.preventDefault(); });
  if (room) {
    let told = 0; // when
    area.addEventListener("input", () => {
      const now = performance.now();
      if (!area.value.trim() || told && now - told < 3000) return;
      told = now;
      live.typing(room);
    });
    area.form.addEventListener("submit", () => { told = 0; });
  }
}
Writing.choose = async (beside) => { // an emoji, by the picker
  const { picker, emoji } = document.getElementById("view").dataset;
  await live.script(picker, "The emoji could not be loaded. Try again in a moment.");
  return EmojiPicker.choose(emoji, beside);
};
Writing.answers = new Map();
// The picker's table of emoji comes when one is looked for first: [short name, emoji], in the picker's order.
Writing.emoji = () => Writing.table ??= fetch(document.getElementById("view").dataset.emoji).then((answer) => answer.json())
  .then((categories) => categories.flatMap(([, entries]) => entries.flatMap(([emoji, names]) => names.split(" ").map((name) => [name, emoji]))))
  .catch((error) => {
    Writing.table = undefined;
    throw error;
  });
Writing.emojiFor = async (part) => {
  const names = await Writing.emoji();
  const begin = names.filter(([name]) => name.startsWith(part)), hold = names.filter(([name]) => name.indexOf(part) > 0);
  return [...begin, ...hold].slice(0, 8).map(([name, emoji]) => ({ text: `:${name}:`, shows: emoji }));
};
