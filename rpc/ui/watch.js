// The view "Watch the chain learn": figures, blocks, the ring, a map of items and an item's posterior over time.

import { BlockFeed } from "/ui/blocks.js";
import { ignoreLoss, Refresher } from "/ui/chain.js";
import { h, say } from "/ui/dom.js";
import { ItemMap } from "/ui/map.js";
import { Names } from "/ui/names.js";
import { Ring } from "/ui/ring.js";
import { Timeline } from "/ui/timeline.js";
import { t, whole } from "/ui/texts.js";

const POOL_EVERY = 3_000;
const CROWDED_POOL = 500;
const MAP_PAUSE = 2_000;
const TIMELINE_PAUSE = 400;

export class WatchView {
  constructor(chain, tastes, accounts, openRate) {
    this.chain = chain;
    this.isShown = false;
    this.tiles = Object.fromEntries(
      ["block", "finalized", "ratings", "epoch", "peers", "pool"].map((name) => [name, new Tile(t.watch[name])]),
    );
    this.digest = h("code", { class: "digest" });
    this.names = new Names(accounts);
    this.blocks = new BlockFeed(chain, this.names);
    this.ring = new Ring(chain, this.names);
    this.timeline = new Timeline(chain, openRate);
    this.map = new ItemMap(chain, tastes, (item) => this.choose(item));
    this.element = h(
      "div",
      { class: "watch" },
      h("h1", { class: "hidden-text" }, t.watch.heading),
      h(
        "dl",
        { class: "tiles" },
        Object.values(this.tiles).map(({ element }) => element),
      ),
      h(
        "p",
        { class: "digest-row note" },
        h("span", {}, `${t.watch.digest} `),
        this.digest,
        h("span", { class: "digest-note" }, ` ${t.watch.digestNote}`),
      ),
      h("div", { class: "watch-main" }, this.map.element, this.timeline.element),
      h("div", { class: "watch-side" }, this.ring.element, this.blocks.element),
    );
    this.mapRefresher = new Refresher(() => this.isShown && this.map.refresh(), MAP_PAUSE);
    this.timelineRefresher = new Refresher(() => this.isShown && this.timeline.refresh(), TIMELINE_PAUSE);
    this.blockRefresher = new Refresher(() => this.isShown && this.blocks.refresh());
    this.ringRefresher = new Refresher(() => this.isShown && this.ring.refresh(), 500);
    chain.on("head", (header) => this.onHead(header));
    chain.on("model", () => this.onModel());
    for (const event of ["finalized", "health", "facts"]) {
      chain.on(event, () => this.isShown && this.drawTiles());
    }
    chain.on("items", () => this.isShown && this.timeline.drawChoices());
    setInterval(() => this.isShown && this.ringRefresher.ask(), 1_000);
  }

  shown() {
    this.isShown = true;
    this.drawTiles();
    this.timeline.begin();
    this.map.begin();
    this.askAll();
    clearTimeout(this.poolTimer);
    this.readPool();
  }

  hidden() {
    this.isShown = false;
    clearTimeout(this.poolTimer);
  }

  askAll() {
    this.mapRefresher.ask();
    this.timelineRefresher.ask();
    this.blockRefresher.ask();
    this.ringRefresher.ask();
  }

  /** Follow an item in the timeline. */
  select(item) {
    this.timeline.choose(item);
    this.map.mark(item);
  }

  choose(item) {
    history.replaceState(null, "", `#watch/${item}`);
    this.timeline.choose(item);
    this.timelineRefresher.ask();
  }

  accountChanged() {
    if (this.isShown) {
      this.mapRefresher.ask();
    }
  }

  onHead(header) {
    this.blocks.onHead(header);
    if (this.isShown) {
      this.drawTiles();
      this.blockRefresher.ask();
      this.ringRefresher.ask();
    }
  }

  onModel() {
    if (this.isShown) {
      this.drawTiles();
      this.mapRefresher.ask();
      this.timelineRefresher.ask();
    }
  }

  drawTiles() {
    const { best, finalized, model, health, facts } = this.chain;
    if (facts === null) {
      return;
    }
    this.tiles.block.update(whole(best), t.watch.version(facts.version));
    const isKnown = finalized !== null;
    this.tiles.finalized.update(
      isKnown ? whole(finalized) : "\u2013",
      isKnown ? t.watch.lag(Math.max(best - finalized, 0)) : "",
    );
    this.tiles.ratings.update(whole(model.ratings), t.watch.ratingsBy(model.users, model.items));
    this.tiles.epoch.update(
      whole(model.epoch),
      model.canonical ? t.watch.canonical : t.watch.since(model.ratingsSinceEpoch),
      model.canonical,
    );
    const company = health.shouldHavePeers ? (health.peers === 0 ? t.watch.noPeers : t.watch.inSync) : t.watch.alone;
    this.tiles.peers.update(whole(health.peers), health.isSyncing ? t.watch.syncing : company);
    say(this.digest, model.digest ?? t.watch.noDigest);
  }

  async readPool() {
    let pause = POOL_EVERY;
    try {
      const { length } = await this.chain.call("author_pendingExtrinsics");
      this.tiles.pool.update(whole(length), t.watch.poolNote);
      // The node sends them whole, so a crowded pool is asked less often.
      pause *= length > CROWDED_POOL ? 5 : 1;
    } catch (error) {
      ignoreLoss(error);
    }
    if (this.isShown) {
      this.poolTimer = setTimeout(() => this.readPool(), pause);
    }
  }
}

class Tile {
  constructor(label) {
    this.value = h("dd", { class: "tile-value" }, "\u2013");
    this.note = h("dd", { class: "note" });
    this.element = h("div", { class: "tile" }, h("dt", {}, label), this.value, this.note);
  }

  update(value, note, isGood = false) {
    say(this.value, value);
    say(this.note, note);
    this.element.classList.toggle("good", isGood);
  }
}
