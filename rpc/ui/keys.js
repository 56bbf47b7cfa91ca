// Talks to the signing worker, which is started when it is needed first.

import { toHex } from "/ui/scale.js";

let worker = null;
let lastId = 0;
const waiting = new Map();

function ask(action, given = {}) {
  if (worker === null) {
    worker = new Worker("/ui/signer.js", { type: "module" });
    worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) {
        resolve(result);
      } else {
        reject(new Error(error));
      }
    });
    worker.addEventListener("error", (event) => {
      for (const { reject } of waiting.values()) {
        reject(new Error(event.message || "the signing worker did not start"));
      }
      waiting.clear();
      worker = null;
    });
  }
  lastId += 1;
  const id = lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, action, ...given });
  });
}

/** A new account: its phrase and address. */
export const create = () => ask("create");

/** The address of a phrase with or without a derivation path. Rejects if it is none. */
export const restore = (suri) => ask("restore", { suri });

export const sign = (suri, payload) => ask("sign", { suri, payload });

/** Start the worker ahead of time. */
export const warmUp = () => ask("hash", { bytes: new Uint8Array() }).catch(() => {});

export async function hashOf(bytes) {
  return toHex(await ask("hash", { bytes }));
}

export const addresses = (keys) => ask("addresses", { keys });
