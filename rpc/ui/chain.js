// What the page knows of the chain, kept up to date. Views listen; nothing here touches the document.

import { Connection, Disconnected, RpcError } from "/ui/rpc.js";

const PAGE = 1_000;
export const MOST_ITEMS = 10_000;
const HEALTH_EVERY = 4_000;
const NEW_ITEMS_EVERY = 1_000;
const FEW_ITEMS = 100;
const LONG_CATALOGUE_EVERY = 5_000;

/** The chain's rating scale. */
class Scale {
  constructor({ min, max, step, labels }) {
    this.min = min;
    this.max = max;
    this.step = step;
    this.labels = labels;
    this.middle = (min + max) / 2;
    this.half = (max - min) / 2;
    this.values = [];
    for (let value = min; value <= max; value += step) {
      this.values.push(value);
    }
    const numbers = [min, max].map((value) => Number.parseFloat(labels[value]));
    this.ends = numbers.some(Number.isNaN) ? [min, max] : numbers;
  }

  /** Whether there are only two answers. */
  get isBinary() {
    return this.values.length === 2;
  }

  label(value) {
    return this.labels[value] ?? String(value);
  }

  /** A mean or bound in the numbers that the labels use. */
  shown(value) {
    const [low, high] = this.ends;
    return low + ((value - this.min) / (this.max - this.min)) * (high - low);
  }

  /** A deviation in the numbers that the labels use. */
  shownSpread(value) {
    return (value * (this.ends[1] - this.ends[0])) / (this.max - this.min);
  }

  /** From the model's own scale, [-1, 1]. */
  fromModel(value) {
    return this.middle + this.half * value;
  }

  /** To [-1, 1]. */
  toModel(value) {
    return (value - this.middle) / this.half;
  }
}

/** The chain behind the node that serves this page. Events: connection, facts, head, finalized, model, items, health. */
export class Chain {
  constructor(url) {
    this.listeners = new Map();
    this.facts = null;
    this.model = null;
    this.scale = null;
    this.best = null;
    this.finalized = null;
    this.health = null;
    this.items = [];
    this.itemsRead = 0;
    this.connectionState = { state: "connecting" };
    this.connection = new Connection(
      url,
      (state) => {
        this.connectionState = state;
        this.emit("connection", state);
      },
      () => this.load(),
    );
    this.connection.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads", [], (header) =>
      this.onHead(header),
    );
    this.connection.subscribe("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads", [], (header) => {
      this.finalized = Number(header.number);
      this.emit("finalized", this.finalized);
    });
    this.connection.subscribe("mf_subscribeModel", "mf_unsubscribeModel", [], (model) => this.onModel(model));
    this.newItems = new Refresher(() => this.facts && this.lookForItems(), NEW_ITEMS_EVERY);
    setInterval(() => this.beat(), HEALTH_EVERY);
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  emit(event, value) {
    for (const listener of this.listeners.get(event) ?? []) {
      listener(value);
    }
  }

  call(method, ...params) {
    return this.connection.call(method, ...params);
  }

  batch(calls) {
    return this.connection.batch(calls);
  }

  has(method) {
    return this.facts?.methods.has(method) ?? false;
  }

  title(item) {
    return this.items[item]?.title ?? null;
  }

  /** Learn what chain this is; also after a reconnection, when it may be another one. */
  async load() {
    const [name, type, version, genesis, runtime, methods, model, items, health] = await this.batch([
      ["system_chain"],
      ["system_chainType"],
      ["system_version"],
      ["chain_getBlockHash", 0],
      ["state_getRuntimeVersion"],
      ["rpc_methods"],
      ["mf_model"],
      ["mf_items", 0, PAGE],
      ["system_health"],
    ]);
    const failure = [name, genesis, runtime, methods, model, items].find((one) => one instanceof Error);
    if (failure !== undefined) {
      throw failure;
    }
    const isOther = this.facts !== null && this.facts.genesis !== genesis;
    this.facts = { name, type, version, genesis, runtime, methods: new Set(methods.methods) };
    this.scale = new Scale(model.scale);
    this.model = model;
    this.best = model.block.number;
    this.health = health;
    this.items = items.items;
    if (isOther) {
      this.emit("otherChain");
      return;
    }
    this.emit("facts", this.facts);
    this.emit("model", model);
    this.emit("health", health);
    this.loadFrom(items.items.length, items.total).catch(ignoreLoss);
  }

  /** Read the catalogue again, since counts of ratings have changed, unless a long one was read just now. */
  async countAgain() {
    const age = performance.now() - this.itemsRead;
    if (age > (this.items.length > FEW_ITEMS ? LONG_CATALOGUE_EVERY : 0)) {
      await this.refreshItems();
    }
  }

  async refreshItems() {
    this.itemsRead = performance.now();
    const { total, items } = await this.call("mf_items", 0, PAGE);
    this.items = [...items, ...this.items.slice(items.length)];
    await this.loadFrom(items.length, total);
  }

  async loadFrom(from, total) {
    const wanted = Math.min(total, MOST_ITEMS);
    const items = this.items.slice(0, from);
    while (items.length < wanted) {
      const page = await this.call("mf_items", items.length, PAGE);
      if (page.items.length === 0) {
        break;
      }
      items.push(...page.items);
    }
    this.items = items;
    this.total = total;
    this.emit("items", items);
  }

  onHead(header) {
    this.best = Number(header.number);
    this.emit("head", header);
    this.newItems.ask();
  }

  onModel(model) {
    this.model = model;
    this.emit("model", model);
  }

  /** A new item changes no prediction, so nobody tells of it: ask what comes after the last known one. */
  async lookForItems() {
    const { total } = await this.call("mf_items", this.items.length, 0);
    if (total !== this.total) {
      await this.loadFrom(this.items.length, total);
    }
  }

  async beat() {
    if (!this.connection.isOpen || document.hidden) {
      return;
    }
    try {
      this.health = await this.call("system_health");
      this.emit("health", this.health);
    } catch (error) {
      ignoreLoss(error);
    }
  }
}

/** Runs a refresh at most once at a time and not more often than `pause` ms; asks in between are remembered. */
export class Refresher {
  constructor(refresh, pause = 150) {
    this.refresh = refresh;
    this.pause = pause;
    this.isRunning = false;
    this.isDue = false;
  }

  async ask() {
    if (this.isRunning) {
      this.isDue = true;
      return;
    }
    this.isRunning = true;
    do {
      this.isDue = false;
      try {
        await this.refresh();
      } catch (error) {
        ignoreLoss(error);
      }
      await new Promise((resolve) => setTimeout(resolve, this.pause));
    } while (this.isDue);
    this.isRunning = false;
  }
}

/** What a lost connection or a busy node interrupts is done again later. */
export function ignoreLoss(error) {
  if (error instanceof Disconnected) {
    return;
  }
  if (error instanceof RpcError) {
    console.warn(`${error.code} ${error.message}`);
    return;
  }
  throw error;
}
