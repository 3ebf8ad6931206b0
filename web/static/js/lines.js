// What happened to a room beside what was said in it: lines between its messages, what is alike in one. They are known by their
// numbers and put where they belong whenever the messages are arranged; one that stands right is left alone, since screen readers
// read out what is new.
"use strict";
function Lines(messages) {
  const known = new Map(); // rev → what the server has rendered, and its place
  const made = new Map();  // group's key → the element
  let groups = [];         // { key, after, lines }
  function learn(root) {
    const before = known.size;
    for (const p of root.querySelectorAll("p.line[data-rev]")) {
      const { rev, after, kind, actor, subject, time } = p.dataset;
      if (!known.has(Number(rev))) known.set(Number(rev), { rev: Number(rev), after: Number(after), kind, actor, subject, time: new Date(time), text: p.textContent });
    }
    if (known.size > before) group();
  }
  // By whom somebody was added, or that they came by themselves.
  const how = (l) => l.actor === l.subject ? "self" : `by ${l.actor}`;
  function group() {
    groups = [];
    for (const l of [...known.values()].sort((a, b) => a.rev - b.rev)) {
      const g = groups.at(-1), last = g?.lines.at(-1);
      const alike = last && last.after === l.after && last.kind === l.kind && ["joined", "left"].includes(l.kind) && l.subject && last.subject
        && how(last) === how(l) && last.time.toDateString() === l.time.toDateString();
      if (alike) g.lines.push(l); else groups.push({ after: l.after, lines: [l] });
    }
    for (const g of groups) g.key = g.lines.map((l) => l.rev).join();
  }
  function words({ lines }) {
    const [{ kind, actor, subject, text }] = lines;
    const names = [...new Set(lines.map((l) => l.subject))];
    if (names.length === 1) return text;
    const some = names.length <= 3 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : `${names[0]}, ${names[1]} and ${names.length - 2} others`;
    const verb = kind === "joined" ? "added" : "removed";
    if (actor === subject) return `${some} ${kind}`;
    return actor ? `${actor} ${verb} ${some}` : `${some} were ${verb}`;
  }
  function element(g) {
    let p = made.get(g.key);
    if (!p) {
      p = document.createElement("p");
      p.className = "line";
      p.textContent = words(g);
      p.dataset.time = g.lines.at(-1).time.toISOString();
      p.title = Room.exact.format(g.lines.at(-1).time) + (g.lines.length > 3 ? `: ${g.lines.map((l) => l.subject).join(", ")}` : "");
      made.set(g.key, p);
    }
    return p;
  }
  const nextMessage = (el) => {
    do el = el.nextElementSibling; while (el && !el.matches(".message"));
    return el;
  };
  // place puts the lines where they belong among the messages that are here, or among those from one on; behind: newer ones
  // are not here.
  function place(behind, from) {
    const bySeq = new Map(), since = from ? Number(from.dataset.seq) - 1 : 0;
    const some = groups.filter((g) => g.after >= since), wanted = new Set();
    let end = 0;
    if (some.length) for (let article = from ?? messages.firstElementChild; article; article = article.nextElementSibling) {
      if (!article.matches(".message")) continue;
      end = Number(article.dataset.seq);
      bySeq.set(end, article);
    }
    let before = null; // the line before, in the same place
    for (const g of some) {
      const next = bySeq.get(g.after + 1) ?? null;
      if (!next && (behind || g.after < end)) continue;
      const p = element(g);
      wanted.add(p);
      const stands = p.parentNode === messages && nextMessage(p) === next && (!before || before.compareDocumentPosition(p) & Node.DOCUMENT_POSITION_FOLLOWING);
      if (!stands) { // above the line that says what is new
        const above = next?.previousElementSibling;
        messages.insertBefore(p, above?.matches(".new") ? above : next);
      }
      before = p;
    }
    if (!from) for (const p of messages.querySelectorAll(":scope > .line")) if (!wanted.has(p)) p.remove();
  }
  learn(messages);
  return { learn, place };
}
