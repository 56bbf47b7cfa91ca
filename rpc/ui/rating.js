// The control that gives, shows and takes back a rating.

import { h } from "/ui/dom.js";
import { t } from "/ui/texts.js";

const MOST_BUTTONS = 10;

/** Buttons for a scale of few values, a list for one of many. `choose(rating)` and `undo()` are asked for. */
export class RatingControl {
  constructor(scale, title, { choose, undo }) {
    this.scale = scale;
    this.isStars = !scale.isBinary;
    this.rated = null;
    const isShort = scale.values.length <= MOST_BUTTONS;
    this.buttons = isShort ? scale.values.map((value) => this.button(value, choose)) : [];
    this.select = isShort ? null : this.list(choose, title);
    this.undo = h(
      "button",
      { type: "button", class: "link undo", "aria-label": t.rate.undoOf(title), on: { click: undo } },
      t.rate.undo,
    );
    const kind = scale.isBinary ? "binary" : "stars";
    this.group = h(
      "div",
      { class: `rating ${kind}`, role: "group", "aria-label": t.rate.choose(title) },
      this.select ?? this.buttons.map(({ button }) => button),
    );
    this.element = h("div", { class: "rating-row" }, this.group, this.undo);
    this.update(null, false);
  }

  button(value, choose) {
    const text = this.scale.label(value);
    const isUp = value > this.scale.middle;
    const glyph = this.isStars ? "\u2605" : isUp ? "\u25b2" : "\u25bc";
    const button = h(
      "button",
      {
        type: "button",
        class: `option ${isUp ? "up" : "down"}`,
        title: text,
        on: { click: () => value !== this.rated && choose(value) },
      },
      h("span", { class: "glyph", "aria-hidden": "true" }, glyph),
      h("span", { class: this.isStars ? "hidden-text" : "caption" }, text),
    );
    return { button, value };
  }

  list(choose, title) {
    const select = h("select", { "aria-label": t.rate.choose(title) }, h("option", { value: "" }, "\u2013"));
    for (const value of this.scale.values) {
      select.append(h("option", { value: String(value) }, this.scale.label(value)));
    }
    select.addEventListener("change", () => select.value !== "" && choose(Number(select.value)));
    return select;
  }

  /** Show a rating, or none; `pending` is true while a transaction is on its way. */
  update(rated, pending) {
    this.rated = rated;
    this.element.classList.toggle("pending", pending);
    this.element.setAttribute("aria-busy", String(pending));
    this.undo.hidden = rated === null;
    // aria-disabled keeps the focus where it is, unlike disabled.
    for (const control of [this.undo, ...this.buttons.map(({ button }) => button)]) {
      control.setAttribute("aria-disabled", String(pending));
    }
    for (const { button, value } of this.buttons) {
      button.setAttribute("aria-pressed", String(value === rated));
      button.classList.toggle("filled", rated !== null && (this.isStars ? value <= rated : value === rated));
    }
    if (this.select !== null) {
      this.select.value = rated === null ? "" : String(rated);
      this.select.disabled = pending;
    }
  }
}
