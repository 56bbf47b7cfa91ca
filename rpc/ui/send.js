// A transaction's way from a wish to a block.

import { SIGNED_EXTENSIONS, era, signedExtrinsic, signingPayload } from "/ui/extrinsics.js";
import * as keys from "/ui/keys.js";
import { Disconnected, RpcError } from "/ui/rpc.js";
import { fromHex, littleEndian, publicKey, toHex } from "/ui/scale.js";
import { t } from "/ui/texts.js";

// The era begins at a block that will stay: the finalized one, or one this far back where finality lags.
const DEEPEST_REFERENCE = 16;
const SLOW_AFTER = 30_000;
const ENDS = new Set(["usurped", "finalityTimeout", "dropped", "invalid"]);

/** It did not come about; the message says what to do. */
export class NotDone extends Error {}

const turns = new Map();

/**
 * Sign a call for an account and wait until it has worked in a block, whose number is returned.
 * `tell` hears each stage in words. Throws NotDone.
 */
export async function send(chain, account, call, tell) {
  try {
    // One at a time until the node has it: the next transaction's nonce counts those in the pool.
    const { hash, watched } = await inTurn(account.address, () => submit(chain, account, call, tell));
    tell(t.send.sent);
    const block = await watched.block;
    const [events, header] = await allOf(chain, [
      ["mf_transactionEvents", block, hash],
      ["chain_getHeader", block],
    ]);
    const failure = events.find(({ pallet, event }) => pallet === "System" && event === "ExtrinsicFailed");
    if (failure !== undefined) {
      const { name, message } = failure.fields.error;
      throw new NotDone(t.send.errors[name] ?? t.send.other(message ?? name));
    }
    return Number(header.number);
  } catch (error) {
    throw inWords(error);
  }
}

async function inTurn(address, work) {
  const before = turns.get(address) ?? Promise.resolve();
  const mine = before.then(work, work);
  turns.set(address, mine);
  return mine;
}

async function submit(chain, account, call, tell) {
  tell(account.kind === "wallet" ? t.send.wallet : t.send.signing);
  const signing = await signingNow(chain, account.address);
  const signature = await signatureOf(account, call, signing);
  const extrinsic = signedExtrinsic(publicKey(account.address), signature, call, signing);
  const hash = await keys.hashOf(extrinsic);
  return { hash, watched: await follow(chain, toHex(extrinsic), tell) };
}

function inWords(error) {
  if (error instanceof NotDone) {
    return error;
  }
  if (error instanceof Disconnected) {
    return new NotDone(t.send.away);
  }
  if (error instanceof RpcError) {
    return new NotDone(
      t.send.reasons[error.reason] ?? t.send.codes[error.code] ?? t.send.other(error.reason || error.message),
    );
  }
  return new NotDone(t.send.other(error.message));
}

/** What a signature covers beside the call. */
async function signingNow(chain, address) {
  const [version, best, finalized, nonce] = await allOf(chain, [
    ["state_getRuntimeVersion"],
    ["chain_getHeader"],
    ["chain_getFinalizedHead"],
    ["system_accountNextIndex", address],
  ]);
  const { number } = await chain.call("chain_getHeader", finalized);
  const reference = Math.max(Number(number), Number(best.number) - DEEPEST_REFERENCE);
  return {
    nonce,
    reference,
    specVersion: version.specVersion,
    transactionVersion: version.transactionVersion,
    genesisHash: chain.facts.genesis,
    birthHash: await chain.call("chain_getBlockHash", reference),
  };
}

async function allOf(chain, calls) {
  const results = await chain.batch(calls);
  const refused = results.find((result) => result instanceof Error);
  if (refused !== undefined) {
    throw refused;
  }
  return results;
}

async function signatureOf(account, call, signing) {
  if (account.kind !== "wallet") {
    return keys.sign(account.suri, signingPayload(call, signing));
  }
  const { web3FromSource } = await import("/ui/vendor/wallet.js");
  const { signer } = await web3FromSource(account.source);
  try {
    const { signature } = await signer.signPayload(walletPayload(account.address, call, signing));
    return fromHex(signature);
  } catch (error) {
    throw new NotDone(t.send.cancelled, { cause: error });
  }
}

/** The form in which wallets take what is to be signed. */
function walletPayload(address, call, signing) {
  const hex = (number, size) => toHex(littleEndian(number, size).reverse());
  return {
    address,
    blockHash: signing.birthHash,
    blockNumber: hex(signing.reference, 4),
    era: toHex(era(signing.reference)),
    genesisHash: signing.genesisHash,
    method: toHex(call),
    nonce: hex(signing.nonce, 4),
    signedExtensions: SIGNED_EXTENSIONS,
    specVersion: hex(signing.specVersion, 4),
    tip: hex(0, 16),
    transactionVersion: hex(signing.transactionVersion, 4),
    version: 4,
  };
}

/** Submit; resolves, once the node has taken it, to an object whose `block` promises the block that holds it. */
async function follow(chain, extrinsic, tell) {
  let settle = null;
  const block = new Promise((resolve, reject) => {
    settle = { resolve, reject };
  });
  block.catch(() => {});
  const slow = setTimeout(() => tell(t.send.slow), SLOW_AFTER);
  block.finally(() => clearTimeout(slow)).catch(() => {});
  const onStatus = (status) => {
    const hash = status.inBlock ?? status.finalized;
    const end = typeof status === "string" ? status : Object.keys(status)[0];
    if (hash !== undefined) {
      settle.resolve(hash);
    } else if (ENDS.has(end)) {
      settle.reject(new NotDone(t.send.dropped(end)));
    }
  };
  const stop = await chain.connection.follow("author_submitAndWatchExtrinsic", [extrinsic], onStatus, () =>
    settle.reject(new NotDone(t.send.lost)),
  );
  block.finally(stop).catch(() => {});
  return { block };
}
