// The view "Rate and predict": the catalogue, recommendations, and the account's own ratings.

import { Catalogue } from "/ui/catalogue.js";
import { ignoreLoss, Refresher } from "/ui/chain.js";
import { Gauge, fullGuess, lean, numbers } from "/ui/density.js";
import { Detail } from "/ui/detail.js";
import { h, say, show } from "/ui/dom.js";
import { t } from "/ui/texts.js";

const RECOMMENDED = 6;
const MINE = 12;

export class RateView {
  constructor(chain, tastes, openWatch) {
    this.chain = chain;
    this.tastes = tastes;
    this.order = "mean";
    this.isShown = false;
    this.recommended = null;
    this.waiting = Array.from({ length: RECOMMENDED }, waitingRow);
    this.detail = new Detail(chain, tastes, { open: (item) => this.open(item), watch: openWatch });
    this.catalogue = new Catalogue(chain, tastes, {
      open: (item) => this.open(item),
      changed: () => this.refresher.ask(),
    });
    this.recommendHeading = h("h2", { id: "recommend-heading" });
    this.explain = h("p", { class: "note" });
    this.list = h("ol", { class: "picks" });
    this.mineList = h("ul", { class: "mine" });
    this.element = h(
      "div",
      { class: "rate" },
      h("h1", { class: "hidden-text" }, t.rate.heading),
      h(
        "aside",
        { class: "side" },
        h(
          "section",
          { class: "panel", "aria-labelledby": "recommend-heading" },
          this.recommendHeading,
          this.orderButtons(),
          this.explain,
          this.list,
        ),
        h(
          "section",
          { class: "panel mine-panel", "aria-labelledby": "mine-heading" },
          h("h2", { id: "mine-heading" }, t.mine.heading),
          this.mineList,
        ),
      ),
      this.catalogue.element,
      this.detail.element,
    );
    this.refresher = new Refresher(() => this.refresh());
    tastes.onChange(() => this.isShown && this.draw());
    chain.on("model", () => this.isShown && this.refresher.ask());
  }

  orderButtons() {
    const buttons = Object.entries(t.recommend.orders).map(([order, text]) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(order === this.order),
          on: {
            click: ({ currentTarget }) => {
              this.order = order;
              for (const button of buttons) {
                button.setAttribute("aria-pressed", String(button === currentTarget));
              }
              this.refresher.ask();
            },
          },
        },
        text,
      ),
    );
    return h("div", { class: "segments", role: "group", "aria-label": t.recommend.order }, buttons);
  }

  shown() {
    this.isShown = true;
    this.catalogue.arrange();
    this.draw();
    this.refresher.ask();
  }

  hidden() {
    this.isShown = false;
    this.detail.close();
  }

  /** Another account speaks now. */
  accountChanged() {
    this.recommended = null;
    this.catalogue.arrange();
    this.draw();
    this.refresher.ask();
  }

  /** Show an item's drawer. */
  select(item) {
    this.detail.show(item);
  }

  open(item) {
    location.hash = `#rate/${item}`;
  }

  async refresh() {
    if (!this.isShown || this.chain.facts === null) {
      return;
    }
    const { address } = this.tastes.account;
    const options = { includeRated: false, minRatings: 0, order: this.order };
    const [recommended] = await Promise.all([
      this.chain.call("mf_recommend", address, RECOMMENDED, options).catch(ignoreLoss),
      this.tastes.load(this.catalogue.wanted()),
      this.chain.countAgain(),
      this.detail.refresh(),
    ]);
    if (address === this.tastes.account.address && recommended !== undefined) {
      this.recommended = recommended;
      this.drawRecommended();
    }
    if (this.catalogue.waitsForGuesses) {
      this.catalogue.arrange();
    }
  }

  draw() {
    this.catalogue.draw();
    this.detail.draw();
    this.drawMine();
    this.drawRecommended();
  }

  drawRecommended() {
    say(this.recommendHeading, t.recommend.heading(this.tastes.account.name));
    say(this.explain, t.recommend.explain[this.order]);
    const { scale, items } = this.chain;
    this.picks ??= new Map();
    const rows = (this.recommended ?? []).map((prediction) => {
      const pick = this.picks.get(prediction.item) ?? new Pick(scale, prediction, () => this.open(prediction.item));
      this.picks.set(prediction.item, pick);
      pick.update(fullGuess(prediction, scale));
      return pick.element;
    });
    if (this.recommended === null) {
      rows.push(...this.waiting.slice(0, items.length));
    } else if (rows.length === 0 && items.length > 0) {
      rows.push(h("li", { class: "note" }, t.recommend.none));
    }
    const isSame =
      rows.length === this.list.childElementCount && rows.every((row, index) => row === this.list.children[index]);
    if (!isSame) {
      show(this.list, rows);
    }
  }

  drawMine() {
    const { rated } = this.tastes;
    const signature = [...rated].join();
    if (signature === this.mineShown) {
      return;
    }
    this.mineShown = signature;
    const { scale } = this.chain;
    const rows = [...rated]
      .slice(-MINE)
      .reverse()
      .map(([item, rating]) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", class: "link", on: { click: () => this.open(item) } },
            this.chain.title(item) ?? t.watch.item(item),
          ),
          h(
            "span",
            { class: `chip ${rating > scale.middle ? "up" : rating < scale.middle ? "down" : ""}` },
            scale.label(rating),
          ),
        ),
      );
    if (rows.length === 0) {
      rows.push(h("li", { class: "note" }, t.mine.none));
    } else if (rated.size > MINE) {
      rows.push(h("li", { class: "note" }, t.mine.more(rated.size - MINE)));
    }
    show(this.mineList, rows);
  }
}

/** Keeps the place of a recommendation that is not known yet, so that nothing jumps when it is. */
function waitingRow() {
  const line = (name) => h("span", { class: name }, "\u00a0");
  return h("li", { "aria-hidden": "true" }, h("div", { class: "pick-text" }, line("pick-title"), line("note")));
}

/** A row of the recommendations. */
class Pick {
  constructor(scale, { title }, open) {
    this.scale = scale;
    this.title = title;
    this.gauge = new Gauge(scale, "gauge small");
    this.words = h("span", { class: "note" });
    this.element = h(
      "li",
      {},
      h(
        "div",
        { class: "pick-text" },
        h("button", { type: "button", class: "link", on: { click: open } }, title),
        this.words,
      ),
      this.gauge.element,
    );
  }

  update(guess) {
    const [mean, low, high] = numbers(guess, this.scale);
    say(this.words, `${mean} \u00b7 ${lean(guess, this.scale)}`);
    this.gauge.update(guess, null, t.guess.label(this.title, mean, low, high));
  }
}
