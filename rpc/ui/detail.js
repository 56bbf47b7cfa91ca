// The drawer with everything about one item.

import { ignoreLoss } from "/ui/chain.js";
import { Gauge, fullGuess, lean, numbers } from "/ui/density.js";
import { h, say, show } from "/ui/dom.js";
import { RatingControl } from "/ui/rating.js";
import { fixed, t, whole } from "/ui/texts.js";

const SIMILAR = 6;

export class Detail {
  constructor(chain, tastes, { open, watch }) {
    this.chain = chain;
    this.tastes = tastes;
    this.open = open;
    this.item = null;
    this.title = h("h2", { id: "detail-title" });
    this.whose = h("p", { class: "note" });
    this.picture = h("div", { class: "detail-picture" });
    this.lean = h("p", { class: "detail-lean", role: "status" });
    this.control = h("div");
    this.facts = h("p", { class: "note" });
    this.table = h("dl", { class: "numbers" });
    this.canonical = h("p", { class: "note" });
    this.similar = h("ul", { class: "similar" });
    this.watch = h("button", { type: "button", on: { click: () => watch(this.item) } }, t.detail.watch);
    this.element = h(
      "dialog",
      {
        class: "drawer",
        "aria-labelledby": "detail-title",
        on: { close: () => this.closed(), click: (event) => this.outside(event) },
      },
      h(
        "div",
        { class: "drawer-body" },
        h(
          "div",
          { class: "drawer-head" },
          this.title,
          h(
            "button",
            { type: "button", class: "icon-button", "aria-label": t.detail.close, on: { click: () => this.close() } },
            "\u00d7",
          ),
        ),
        this.whose,
        this.picture,
        this.lean,
        this.control,
        this.facts,
        h("h3", {}, t.detail.similar),
        this.similar,
        this.watch,
        h("h3", {}, t.detail.exact),
        this.table,
        this.canonical,
      ),
    );
  }

  /** Show an item, which must exist. */
  show(item) {
    const { scale } = this.chain;
    const title = this.chain.title(item) ?? t.watch.item(item);
    this.item = item;
    this.prediction = null;
    say(this.title, title);
    this.gauge = new Gauge(scale, "gauge large");
    this.rating = new RatingControl(scale, title, {
      choose: (rating) => this.tastes.rate(item, title, rating),
      undo: () => this.tastes.retract(item, title),
    });
    const ends = [scale.min, scale.max].map((value) => h("span", {}, scale.label(value)));
    show(this.picture, this.gauge.element, h("div", { class: "ends", "aria-hidden": "true" }, ends));
    show(this.control, this.rating.element);
    show(this.similar);
    show(this.table);
    this.draw();
    if (!this.element.open) {
      this.element.showModal();
    }
    this.element.scrollTop = 0;
    this.refresh().catch(ignoreLoss);
  }

  close() {
    this.element.close();
  }

  closed() {
    if (this.item !== null && location.hash === `#rate/${this.item}`) {
      history.replaceState(null, "", "#rate");
    }
    this.item = null;
  }

  outside(event) {
    if (event.target === this.element) {
      this.close();
    }
  }

  async refresh() {
    const { item } = this;
    if (item === null) {
      return;
    }
    const { address } = this.tastes.account;
    const [prediction, similar] = await this.chain.batch([
      ["mf_predict", address, item],
      ["mf_similarItems", item, SIMILAR],
    ]);
    if (item !== this.item || address !== this.tastes.account.address || prediction instanceof Error) {
      return;
    }
    this.prediction = prediction;
    this.draw();
    if (!(similar instanceof Error)) {
      this.drawSimilar(similar);
    }
  }

  draw() {
    if (this.item === null) {
      return;
    }
    const { scale } = this.chain;
    const rated = this.tastes.rated.get(this.item) ?? null;
    this.rating.update(rated, this.tastes.isPending(this.item));
    say(this.whose, t.detail.prediction(this.tastes.account.name));
    const { prediction } = this;
    if (prediction === null) {
      return;
    }
    const guess = fullGuess(prediction, scale);
    const [mean, low, high] = numbers(guess, scale);
    this.gauge.update(guess, rated, t.guess.label(prediction.title, mean, low, high));
    say(this.lean, `${lean(guess, scale)}: ${t.guess.interval(mean, low, high)}`);
    say(this.facts, t.detail.facts(prediction.userRatings, prediction.itemRatings));
    say(this.canonical, prediction.canonical ? t.detail.canonical : t.detail.provisional);
    const { raw, block } = prediction;
    const rows = [
      [t.detail.mean, fixed(scale.shown(prediction.mean))],
      [t.detail.deviation, fixed(scale.shownSpread(prediction.std))],
      [t.detail.interval, `${low} \u2026 ${high}`],
      [t.detail.raw(raw.fractionalBits), `${raw.mean} \u00b7 ${raw.variance}`],
      [t.detail.at, `${whole(block.number)} (${block.hash.slice(0, 10)}\u2026)`],
    ];
    show(
      this.table,
      rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  drawSimilar(similar) {
    const rows = similar.map(({ item, title, similarity }) =>
      h(
        "li",
        {},
        h("button", { type: "button", class: "link", on: { click: () => this.open(item) } }, title),
        h("span", { class: "note" }, t.detail.similarity(similarity)),
      ),
    );
    show(this.similar, rows.length > 0 ? rows : h("li", { class: "note" }, t.detail.noSimilar));
  }
}
