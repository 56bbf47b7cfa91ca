// What the chain believes of one item, block by block.

import { h, s, say, show } from "/ui/dom.js";
import { byTitle, fixed, t, whole } from "/ui/texts.js";

const HEIGHT = 220;
const LEFT = 44;
const BOTTOM = 24;
const Z90 = 1.6448536;
const MOST_POINTS = 160;
const OLD_POINTS = 24;
const OLD_BLOCKS = 240;
const OLD_PATIENCE = 3_000;
const MOST_CHOICES = 500;

export class Timeline {
  constructor(chain, openRate) {
    this.chain = chain;
    this.item = null;
    this.points = [];
    this.select = h("select", {
      "aria-label": t.watch.timeline,
      on: { change: () => this.choose(Number(this.select.value)) },
    });
    this.picture = s("svg", { class: "timeline", role: "img", height: HEIGHT });
    this.latest = h("p", { class: "timeline-latest", role: "status" });
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "timeline-heading" },
      h("div", { class: "panel-head" }, h("h2", { id: "timeline-heading" }, t.watch.timeline), this.select),
      h("p", { class: "note" }, t.watch.timelineNote),
      this.picture,
      h(
        "div",
        { class: "panel-head" },
        this.latest,
        h("button", { type: "button", on: { click: () => openRate(this.item) } }, t.watch.rateIt),
      ),
    );
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  begin() {
    this.drawChoices();
    if (this.item === null && this.chain.items.length > 0) {
      const most = this.chain.items.reduce((best, one) => (one.ratings > best.ratings ? one : best));
      this.choose(most.item);
    }
  }

  drawChoices() {
    const { items } = this.chain;
    const rated =
      items.length > MOST_CHOICES ? [...items].sort((a, b) => b.ratings - a.ratings).slice(0, MOST_CHOICES) : items;
    const offered = [...rated].sort(byTitle);
    if (this.item !== null && !offered.some(({ item }) => item === this.item)) {
      offered.unshift({ item: this.item, title: this.chain.title(this.item) ?? t.watch.item(this.item) });
    }
    if (this.select.childElementCount !== offered.length || this.drawnFor !== this.item) {
      show(
        this.select,
        offered.map(({ item, title }) => h("option", { value: String(item) }, title)),
      );
    }
    this.drawnFor = this.item;
    if (this.item !== null) {
      this.select.value = String(this.item);
    }
  }

  choose(item) {
    if (item === this.item) {
      return;
    }
    this.item = item;
    this.points = [];
    this.drawChoices();
    this.draw();
    this.lookBack(item).catch(() => {});
  }

  /** Read the posterior at older blocks, as far as the node still has their states. */
  async lookBack(item) {
    const best = this.chain.best ?? 0;
    const first = Math.max(best - OLD_BLOCKS, 0);
    const step = Math.max(Math.ceil((best - first) / OLD_POINTS), 1);
    const numbers = [];
    for (let number = best; number >= first; number -= step) {
      numbers.push(number);
    }
    const began = performance.now();
    const hashes = await this.chain.call("chain_getBlockHash", numbers);
    for (const hash of hashes) {
      const told = await this.chain.call("mf_item", item, hash);
      if (item !== this.item) {
        return;
      }
      this.add(told);
      if (performance.now() - began > OLD_PATIENCE) {
        return;
      }
    }
  }

  async refresh() {
    if (this.item === null) {
      this.begin();
    }
    const { item } = this;
    if (item === null) {
      return;
    }
    const told = await this.chain.call("mf_item", item);
    if (item === this.item) {
      this.add(told);
    }
  }

  add({ block: { number }, bias: { mean, std }, ratings }) {
    const others = this.points.filter((point) => point.number !== number);
    this.points = [...others, { number, mean, std, ratings }].sort((a, b) => a.number - b.number).slice(-MOST_POINTS);
    this.draw();
  }

  draw() {
    const { points } = this;
    if (points.length === 0) {
      show(this.picture);
      say(this.latest, t.watch.timelineBack);
      return;
    }
    const { half } = this.chain.scale;
    const unit = this.chain.scale.shownSpread(half);
    const reach = Math.max(...points.map(({ mean, std }) => Math.abs(mean) + Z90 * std), 0.1) * 1.08;
    const [first, last] = [points[0].number, points.at(-1).number];
    const right = Math.max(this.picture.clientWidth, 200) - 12;
    const x = (number) =>
      first === last ? (LEFT + right) / 2 : LEFT + ((number - first) / (last - first)) * (right - LEFT);
    const y = (value) => (HEIGHT - BOTTOM) / 2 - (value / reach) * ((HEIGHT - BOTTOM) / 2 - 8);
    const path = (value) => points.map((point) => `${x(point.number).toFixed(1)} ${y(value(point)).toFixed(1)}`);
    const upper = path(({ mean, std }) => mean + Z90 * std);
    const lower = path(({ mean, std }) => mean - Z90 * std).reverse();
    const newest = points.at(-1);
    const bounds = [newest.mean, newest.mean - Z90 * newest.std, newest.mean + Z90 * newest.std].map((value) =>
      signed(value * unit),
    );
    const title = this.chain.title(this.item) ?? t.watch.item(this.item);
    this.picture.setAttribute("aria-label", t.watch.timelineLabel(title, ...bounds));
    show(
      this.picture,
      ...[-1, -0.5, 0, 0.5, 1].map((share) => this.gridLine(share * reach, right, y, unit)),
      s("path", { class: "timeline-band", d: `M${upper.join("L")}L${lower.join("L")}Z` }),
      s("path", { class: "timeline-mean", d: `M${path(({ mean }) => mean).join("L")}` }),
      s("circle", { class: "timeline-now", cx: x(newest.number), cy: y(newest.mean), r: 4 }),
      s("text", { class: "axis", x: LEFT, y: HEIGHT - 6 }, whole(first)),
      s("text", { class: "axis", x: right, y: HEIGHT - 6, "text-anchor": "end" }, first === last ? "" : whole(last)),
    );
    say(this.latest, t.watch.timelineNow(...bounds, newest.ratings));
  }

  gridLine(value, right, y, unit) {
    return s(
      "g",
      {},
      s("line", { class: value === 0 ? "grid zero" : "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, signed(value * unit)),
    );
  }
}

function signed(value) {
  return value > 0.005 ? `+${fixed(value)}` : fixed(value);
}
