// The pages that list rooms or the members of one: what is otherwise than they show is brought there, while all else stays the same
// element, with the focus and what is typed.
"use strict";
(() => {
  const typed = (part) => [...part.querySelectorAll("input:not([type=hidden]), textarea")].some((i) => i.value !== i.defaultValue || i.matches("[aria-invalid], :focus"));
  const keyOf = (node) => node.dataset?.key ?? node.dataset?.person ?? (node.id || node.getAttribute?.("action") || null);
  // become makes an element as another one is. A form in which something is typed stays as it is, wherever it is.
  function become(now, then) {
    if (now.matches("form") && typed(now)) return;
    for (const name of now.getAttributeNames()) if (!then.hasAttribute(name)) now.removeAttribute(name);
    for (const { name, value } of then.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    const keys = new Set([...then.childNodes].map(keyOf));
    for (const child of [...now.childNodes]) if (keyOf(child) && !keys.has(keyOf(child)) && !typed(child)) child.remove();
    const known = new Map([...now.childNodes].map((child) => [keyOf(child), child]));
    let at = now.firstChild; // what stands before it is done
    for (const child of [...then.childNodes]) {
      const key = keyOf(child);
      while (at && keyOf(at) && !keys.has(keyOf(at))) at = at.nextSibling; // is kept for what is typed in it
      const same = key ? known.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : null;
      if (!same) { now.insertBefore(child, at); continue; }
      if (same === at) at = at.nextSibling; else now.insertBefore(same, at);
      if (same.nodeType === Node.ELEMENT_NODE) become(same, child);
      else if (same.nodeValue !== child.nodeValue) same.nodeValue = child.nodeValue;
    }
    while (at) {
      const next = at.nextSibling;
      if (!keyOf(at)) at.remove();
      at = next;
    }
  }

  const parts = () => [...document.querySelectorAll("[data-listed]")];
  addEventListener("pgchat:lists", live.latest(async () => {
    const answer = await fetch(parts()[0].dataset.listed, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(20_000) });
    const text = await answer.text();
    if (!answer.ok && answer.status < 500) live.toast(text, { href: "/rooms", label: "To all rooms" }); // it is no longer theirs
    if (!answer.ok || answer.redirected) return;
    const fresh = [...live.parse(text).querySelectorAll("[data-listed]")], focused = document.activeElement;
    parts().forEach((part, i) => become(part, fresh[i]));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }));
})();
