// The newest blocks, with what people did in them.

import { h, mayMove, show } from "/ui/dom.js";
import { describe } from "/ui/extrinsics.js";
import { Reader, fromHex, toHex } from "/ui/scale.js";
import { t, whole } from "/ui/texts.js";

const SHOWN = 30;
const AT_ONCE = 6;
const MOST_ACTIONS = 6;
const AUTHOR_PREFIX = "0x06706f775f80";
const TIMESTAMP_PREFIX = "0x280403000b";
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class BlockFeed {
  constructor(chain, names) {
    this.chain = chain;
    this.names = names;
    this.last = null;
    this.list = h("ol", { class: "blocks" }, h("li", { class: "note" }, t.watch.noBlocks));
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "blocks-heading" },
      h("h2", { id: "blocks-heading" }, t.watch.blocks),
      this.list,
    );
  }

  /** A head at or below a block that is shown: the best chain has changed from there on. */
  onHead({ number }) {
    const height = Number(number);
    if (this.last !== null && height <= this.last && this.chain.facts !== null) {
      for (const row of [...this.list.children]) {
        if (Number(row.dataset.number) >= height) {
          row.remove();
        }
      }
      this.last = height - 1;
    }
  }

  async refresh() {
    const { best } = this.chain;
    if (best === null || best === 0 || best === this.last) {
      return;
    }
    const first = Math.max((this.last ?? 0) + 1, best - AT_ONCE + 1);
    const numbers = Array.from({ length: best - first + 1 }, (_, index) => first + index);
    const hashes = await this.chain.call("chain_getBlockHash", numbers);
    const blocks = await this.chain.batch(hashes.map((hash) => ["chain_getBlock", hash]));
    const entries = blocks.flatMap((answer, index) =>
      answer === null || answer instanceof Error ? [] : [read(answer.block, hashes[index])],
    );
    await this.names.learn(
      entries.flatMap(({ author, actions }) => [...(author ? [author] : []), ...actions.map(({ account }) => account)]),
    );
    const rows = entries.map((entry) => this.row(entry));
    const skipped = this.last === null ? 0 : first - this.last - 1;
    if (skipped > 0) {
      rows.unshift(h("li", { class: "note gap" }, t.watch.skipped(skipped)));
    }
    if (this.last === null) {
      show(this.list);
    }
    this.last = best;
    this.list.prepend(...rows.reverse());
    while (this.list.childElementCount > SHOWN) {
      this.list.lastElementChild.remove();
    }
  }

  row({ number, hash, author, time, transactions, actions, count }) {
    const lines = grouped(actions).map((group) => h("li", {}, this.line(group)));
    if (count > actions.length) {
      lines.push(h("li", { class: "note" }, t.watch.moreRatings(count - actions.length)));
    }
    const quiet = transactions === 0 ? t.watch.quiet : t.watch.extrinsics(transactions);
    return h(
      "li",
      { class: `block${mayMove() ? " arriving" : ""}`, data: { number: String(number) } },
      h(
        "div",
        { class: "block-head" },
        h("strong", {}, whole(number)),
        h("code", { title: hash }, `${hash.slice(0, 10)}\u2026`),
        h(
          "span",
          { class: "note" },
          [author ? t.watch.by(this.names.ofKey(author)) : null, time].filter(Boolean).join(" \u00b7 "),
        ),
      ),
      lines.length > 0 ? h("ul", {}, lines) : h("span", { class: "note" }, quiet),
    );
  }

  /** What one account did, in a sentence. */
  line(group) {
    const [{ account, kind }] = group;
    const things = group.map((action) => h("span", { class: "thing" }, this.title(action), this.chip(action)));
    return [h("strong", {}, this.names.ofKey(account)), ` ${t.watch.did[kind]} `, things];
  }

  title({ title, item }) {
    return title ?? this.chain.title(item) ?? t.watch.item(item);
  }

  chip({ kind, rating }) {
    if (kind !== "rate") {
      return null;
    }
    const { scale } = this.chain;
    const tone = rating > scale.middle ? "up" : rating < scale.middle ? "down" : "";
    return h("span", { class: `chip ${tone}` }, scale.label(rating));
  }
}

/** What the same account did of the same kind; blocks take turns between accounts. */
function grouped(actions) {
  const groups = new Map();
  for (const action of actions) {
    const key = action.kind + toHex(action.account);
    groups.set(key, [...(groups.get(key) ?? []), action]);
  }
  return [...groups.values()];
}

/** What is shown of a block. */
function read({ header, extrinsics }, hash) {
  const author = header.digest.logs.find((log) => log.startsWith(AUTHOR_PREFIX));
  const actions = [];
  let count = 0;
  for (const extrinsic of extrinsics) {
    if (actions.length >= MOST_ACTIONS && extrinsic.length < 600) {
      count += 1;
      continue;
    }
    const found = describe(extrinsic, MOST_ACTIONS - actions.length);
    if (found !== null) {
      count += found.count;
      actions.push(...found.actions.map((action) => ({ ...action, account: found.account })));
    }
  }
  const stamp = extrinsics.find((one) => one.startsWith(TIMESTAMP_PREFIX));
  return {
    number: Number(header.number),
    hash,
    author: author === undefined ? null : fromHex(`0x${author.slice(AUTHOR_PREFIX.length)}`),
    time:
      stamp === undefined
        ? null
        : clock.format(new Reader(fromHex(`0x${stamp.slice(TIMESTAMP_PREFIX.length - 2)}`)).compact()),
    transactions: extrinsics.filter((one) => one !== stamp).length,
    actions,
    count,
  };
}
