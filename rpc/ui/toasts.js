// Messages in the corner: what is under way, what came of it.

import { h, say } from "/ui/dom.js";
import { t } from "/ui/texts.js";

const STAYS_MS = 4_500;
const MOST = 5;

/** A message with a title; returns an object that changes it. */
export function toast(title) {
  const text = h("span", { class: "toast-text" });
  const dismiss = h(
    "button",
    { type: "button", class: "icon-button", "aria-label": t.send.dismiss, on: { click: () => element.remove() } },
    "\u00d7",
  );
  const element = h("div", { class: "toast" }, h("strong", {}, title), text, dismiss);
  const region = document.getElementById("toasts");
  region.append(element);
  while (region.childElementCount > MOST) {
    region.firstElementChild.remove();
  }
  return {
    tell(words) {
      say(text, words);
    },
    done(words) {
      say(text, words);
      element.classList.add("done");
      setTimeout(() => element.remove(), STAYS_MS);
    },
    failed(words) {
      say(text, words);
      element.classList.add("failed");
      element.setAttribute("role", "alert");
    },
  };
}
