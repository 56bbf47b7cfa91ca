// The catalogue: search, order, and a card for each item with its prediction and rating.

import { MOST_ITEMS } from "/ui/chain.js";
import { Gauge, lean, numbers } from "/ui/density.js";
import { h, say, show } from "/ui/dom.js";
import { RatingControl } from "/ui/rating.js";
import { byTitle, t } from "/ui/texts.js";

// Cards made at a time; a catalogue of thousands grows as it is scrolled.
const STEP = 48;
const MOST_GUESSES = 10_000;

export class Catalogue {
  constructor(chain, tastes, { open, changed }) {
    this.chain = chain;
    this.tastes = tastes;
    this.open = open;
    this.changed = changed;
    this.cards = new Map();
    this.ordered = [];
    this.limit = STEP;
    this.sort = "id";
    this.filter = "all";
    this.waitsForGuesses = false;
    this.search = h("input", {
      type: "search",
      placeholder: t.rate.searchPlaceholder,
      "aria-label": t.rate.search,
      autocomplete: "off",
      on: { input: () => this.rearrange() },
    });
    this.count = h("p", { class: "note", role: "status" });
    this.grid = h("ul", { class: "cards", "aria-label": t.rate.catalogue });
    this.more = h("button", { type: "button", class: "more", on: { click: () => this.grow() } });
    this.element = h(
      "section",
      { class: "catalogue", "aria-label": t.rate.catalogue },
      h(
        "div",
        { class: "tools", role: "search" },
        this.search,
        this.choice(t.rate.only, t.rate.filters, (value) => {
          this.filter = value;
        }),
        this.choice(t.rate.sort, t.rate.sorts, (value) => {
          this.sort = value;
        }),
      ),
      this.count,
      this.grid,
      this.more,
      this.addForm(),
    );
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.grow(), {
      rootMargin: "400px",
    }).observe(this.more);
    chain.on("items", () => this.arrange());
  }

  choice(label, options, choose) {
    const select = h(
      "select",
      {},
      Object.entries(options).map(([value, text]) => h("option", { value }, text)),
    );
    select.addEventListener("change", () => {
      choose(select.value);
      this.rearrange();
    });
    return h("label", { class: "choice" }, h("span", {}, label), select);
  }

  addForm() {
    const input = h("input", {
      type: "text",
      "aria-label": t.rate.addLabel,
      placeholder: t.rate.addLabel,
      autocomplete: "off",
      required: true,
    });
    const form = h("form", { class: "add" }, input, h("button", { type: "submit" }, t.rate.addButton));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const title = input.value.trim();
      if (title !== "" && (await this.tastes.register(title)) && input.value.trim() === title) {
        input.value = "";
      }
    });
    return h("details", { class: "adder" }, h("summary", {}, t.rate.add), form);
  }

  /** The items whose predictions are needed. */
  wanted() {
    const shown = this.ordered.slice(0, this.limit);
    return this.sortsByGuess ? this.chain.items.slice(0, MOST_GUESSES).map(({ item }) => item) : shown;
  }

  get sortsByGuess() {
    return this.sort === "best" || this.sort === "sure";
  }

  rearrange() {
    this.limit = STEP;
    this.arrange();
    this.changed();
  }

  grow() {
    if (this.limit < this.ordered.length) {
      this.limit += STEP;
      this.fill();
      this.changed();
    }
  }

  /** Choose and order the items anew; not done by itself when predictions move, so that nothing jumps away. */
  arrange() {
    const { rated, guesses } = this.tastes;
    const words = this.search.value.trim().toLowerCase();
    const isWanted = {
      all: () => true,
      rated: (item) => rated.has(item),
      unrated: (item) => !rated.has(item),
    }[this.filter];
    const found = this.chain.items.filter(({ item, title }) => isWanted(item) && title.toLowerCase().includes(words));
    const by = {
      title: byTitle,
      ratings: (a, b) => b.ratings - a.ratings,
      best: (a, b) => (guesses.get(b.item)?.mean ?? -Infinity) - (guesses.get(a.item)?.mean ?? -Infinity),
      sure: (a, b) => (guesses.get(a.item)?.std ?? Infinity) - (guesses.get(b.item)?.std ?? Infinity),
    }[this.sort];
    this.waitsForGuesses = this.sortsByGuess && found.some(({ item }) => !guesses.has(item));
    this.ordered = (by === undefined ? found : found.sort(by)).map(({ item }) => item);
    this.fill();
  }

  fill() {
    const { items, total } = this.chain;
    const shown = this.ordered.slice(0, this.limit);
    const cards = shown.map((item) => this.card(item).element);
    const isSame =
      cards.length === this.grid.childElementCount && cards.every((card, index) => card === this.grid.children[index]);
    if (!isSame) {
      show(this.grid, cards);
      for (const item of this.cards.keys()) {
        if (this.cards.size > 4 * STEP && !shown.includes(item)) {
          this.cards.delete(item);
        }
      }
    }
    const left = this.ordered.length - shown.length;
    this.more.hidden = left <= 0;
    say(this.more, t.rate.more(left));
    const words =
      this.search.value.trim() !== "" ? t.rate.none : items.length === 0 ? t.rate.empty : t.rate.noneFiltered;
    const few = total > MOST_ITEMS ? ` ${t.rate.first(MOST_ITEMS)}` : "";
    say(this.count, this.ordered.length === 0 ? words : `${t.rate.found(this.ordered.length, items.length)}.${few}`);
    this.draw();
  }

  card(item) {
    let card = this.cards.get(item);
    if (card === undefined) {
      card = new Card(this.chain.scale, this.chain.items[item], this.tastes, () => this.open(item));
      this.cards.set(item, card);
    }
    return card;
  }

  draw() {
    for (const item of this.ordered.slice(0, this.limit)) {
      this.cards.get(item)?.update(this.chain.items[item], this.tastes);
    }
  }
}

class Card {
  constructor(scale, { item, title }, tastes, open) {
    this.scale = scale;
    this.item = item;
    this.title = title;
    this.gauge = new Gauge(scale);
    this.count = h("span", { class: "note" });
    this.words = h("p", { class: "lean" });
    this.control = new RatingControl(scale, title, {
      choose: (rating) => tastes.rate(item, title, rating),
      undo: () => tastes.retract(item, title),
    });
    this.element = h(
      "li",
      { class: "card", data: { item: String(item) } },
      h(
        "div",
        { class: "card-head" },
        h("h3", {}, h("button", { type: "button", class: "link", on: { click: open } }, title)),
        this.count,
      ),
      this.gauge.element,
      h(
        "div",
        { class: "ends", "aria-hidden": "true" },
        h("span", {}, scale.label(scale.min)),
        h("span", {}, scale.label(scale.max)),
      ),
      this.words,
      this.control.element,
    );
  }

  update({ ratings }, tastes) {
    say(this.count, t.rate.ratings(ratings));
    const rated = tastes.rated.get(this.item) ?? null;
    this.control.update(rated, tastes.isPending(this.item));
    this.element.classList.toggle("rated", rated !== null);
    const guess = tastes.guesses.get(this.item);
    if (guess === undefined) {
      return;
    }
    const [mean, low, high] = numbers(guess, this.scale);
    say(this.words, `${mean} \u00b7 ${t.guess.short(low, high)}`);
    this.element.title = lean(guess, this.scale);
    this.gauge.update(guess, rated, t.guess.label(this.title, mean, low, high));
  }
}
