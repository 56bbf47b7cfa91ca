// JSON-RPC over one WebSocket that is opened again whenever it is lost; subscriptions survive that.

const CALL_PATIENCE = 35_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 8_000;

/** The node refused a call: `code`, `message` and `data` are the node's. */
export class RpcError extends Error {
  constructor({ code, message, data }) {
    super(message);
    this.code = code;
    this.data = data ?? null;
  }

  /** The reason or text that the node gives beside the message. */
  get reason() {
    return typeof this.data === "string" ? this.data : (this.data?.reason ?? "");
  }
}

/** The connection was lost, or no answer came, before the result of a call did. */
export class Disconnected extends Error {}

/** A connection to the node. `onState({ state, retryAt })` tells connecting, open and waiting. */
export class Connection {
  constructor(url, onState, onOpen) {
    this.url = url;
    this.onState = onState;
    this.onOpen = onOpen;
    this.socket = null;
    this.nextId = 1;
    this.pending = new Map();
    this.early = new Map();
    this.subscriptions = new Set();
    this.delay = FIRST_DELAY;
    this.timer = null;
    addEventListener("online", () => this.retryNow());
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    this.onState({ state: "connecting" });
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("open", () => this.opened());
    socket.addEventListener("message", (event) => this.received(JSON.parse(event.data)));
    socket.addEventListener("close", () => socket === this.socket && this.closed());
  }

  /** Try again at once instead of after the delay. */
  retryNow() {
    if (this.timer !== null) {
      this.delay = FIRST_DELAY;
      this.open();
    }
  }

  /** Give up on a connection that does not answer; a new one is opened. */
  abandon() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.closed();
  }

  /** The result of a call. */
  call(method, ...params) {
    return this.send([{ method, params }])[0];
  }

  /** The results of several calls in one message; each is a result, or the error it was refused with. */
  async batch(calls) {
    const settled = await Promise.allSettled(
      this.send(
        calls.map(([method, ...params]) => ({ method, params })),
        true,
      ),
    );
    return settled.map(({ status, value, reason }) => {
      if (status === "rejected" && reason instanceof Disconnected) {
        throw reason;
      }
      return status === "fulfilled" ? value : reason;
    });
  }

  /** Hear of events from now on, after reconnections too. Returns a function that ends it. */
  subscribe(method, unsubscribe, params, listener) {
    const subscription = { method, unsubscribe, params, listener, id: null };
    this.subscriptions.add(subscription);
    if (this.isOpen) {
      this.begin(subscription).catch(ignoreDisconnection);
    }
    return () => this.end(subscription);
  }

  /** Like `subscribe`, but for something that ends: not begun again on another connection. */
  async follow(method, params, listener, onLost) {
    const subscription = { method, params, listener, onLost, id: null, once: true };
    this.subscriptions.add(subscription);
    try {
      await this.begin(subscription);
    } catch (error) {
      this.subscriptions.delete(subscription);
      throw error;
    }
    return () => this.subscriptions.delete(subscription);
  }

  async begin(subscription) {
    const socket = this.socket;
    const id = await this.call(subscription.method, ...subscription.params);
    if (socket === this.socket) {
      this.hear(subscription, id);
    }
  }

  /** Pass on what the node tells under this id, and what it has told already. */
  hear(subscription, id) {
    subscription.id = id;
    const early = this.early.get(id) ?? [];
    this.early.delete(id);
    for (const message of early) {
      subscription.listener(message);
    }
  }

  end(subscription) {
    this.subscriptions.delete(subscription);
    if (this.isOpen && subscription.id !== null) {
      this.call(subscription.unsubscribe, subscription.id).catch(ignoreDisconnection);
    }
  }

  send(calls, asBatch = false) {
    if (!this.isOpen) {
      return calls.map(() => Promise.reject(new Disconnected("not connected")));
    }
    const messages = [];
    const promises = calls.map(
      ({ method, params }) =>
        new Promise((resolve, reject) => {
          const id = this.nextId++;
          const timer = setTimeout(() => this.pending.has(id) && this.abandon(), CALL_PATIENCE);
          this.pending.set(id, { resolve, reject, timer });
          messages.push({ jsonrpc: "2.0", id, method, params });
        }),
    );
    this.socket.send(JSON.stringify(asBatch ? messages : messages[0]));
    return promises;
  }

  received(message) {
    for (const one of Array.isArray(message) ? message : [message]) {
      if (one.method !== undefined) {
        this.notified(one.params);
        continue;
      }
      const waiting = this.pending.get(one.id);
      if (waiting !== undefined) {
        this.pending.delete(one.id);
        clearTimeout(waiting.timer);
        if (one.error === undefined) {
          waiting.resolve(one.result);
        } else {
          waiting.reject(new RpcError(one.error));
        }
      }
    }
  }

  notified({ subscription: id, result }) {
    for (const subscription of this.subscriptions) {
      if (subscription.id === id) {
        subscription.listener(result);
        return;
      }
    }
    // Kept for a subscription that has no id yet: its answer is on its way, or the page reads what is so far.
    if ([...this.subscriptions].some((subscription) => subscription.id === null)) {
      this.early.set(id, [...(this.early.get(id) ?? []), result]);
    }
  }

  async opened() {
    this.delay = FIRST_DELAY;
    this.early = new Map();
    this.onState({ state: "open" });
    const { socket } = this;
    const lasting = [...this.subscriptions].filter((one) => !one.once);
    try {
      // Before anything is read, so that no change falls between the reading and the listening.
      const ids = await Promise.all(lasting.map(({ method, params }) => this.call(method, ...params)));
      await this.onOpen();
      if (socket === this.socket) {
        lasting.forEach((subscription, index) => this.hear(subscription, ids[index]));
      }
    } catch (error) {
      ignoreDisconnection(error);
    }
  }

  closed() {
    if (this.timer !== null) {
      return;
    }
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new Disconnected("the connection to the node was lost"));
    }
    this.pending.clear();
    for (const subscription of [...this.subscriptions]) {
      subscription.id = null;
      if (subscription.once) {
        this.subscriptions.delete(subscription);
        subscription.onLost();
      }
    }
    const delay = this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY);
    this.timer = setTimeout(() => this.open(), delay);
    this.onState({ state: "waiting", retryAt: Date.now() + delay });
  }
}

function ignoreDisconnection(error) {
  if (!(error instanceof Disconnected)) {
    throw error;
  }
}
