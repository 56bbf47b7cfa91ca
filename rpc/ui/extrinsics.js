// Extrinsics, version 4: the calls of this page, what signatures cover, and what blocks hold.

import { Reader, compact, fromHex, joined, littleEndian } from "/ui/scale.js";

const PALLET = 8;
const CALL = { rate: 0, predict: 1, retract: 2, register: 3, rateMany: 4 };
const SIGNED = 0x84;
const ERA_PERIOD = 64;
export const SIGNED_EXTENSIONS = [
  "CheckNonZeroSender",
  "CheckSpecVersion",
  "CheckTxVersion",
  "CheckGenesis",
  "CheckMortality",
  "CheckNonce",
  "CheckWeight",
];

export function rateCall(item, rating) {
  return joined(Uint8Array.of(PALLET, CALL.rate), littleEndian(item, 8), littleEndian(rating, 8));
}

export function retractCall(item) {
  return joined(Uint8Array.of(PALLET, CALL.retract), littleEndian(item, 8));
}

export function registerCall(title) {
  const text = new TextEncoder().encode(title);
  return joined(Uint8Array.of(PALLET, CALL.register), compact(text.length), text);
}

/** The era of ERA_PERIOD blocks that begins at block `reference`. */
export function era(reference) {
  const exponent = Math.log2(ERA_PERIOD) - 1;
  return littleEndian(exponent | ((reference % ERA_PERIOD) << 4), 2);
}

/** The bytes that are signed; longer ones than 256 are hashed first, by who signs. */
export function signingPayload(call, { nonce, reference, specVersion, transactionVersion, genesisHash, birthHash }) {
  return joined(
    call,
    era(reference),
    compact(nonce),
    littleEndian(specVersion, 4),
    littleEndian(transactionVersion, 4),
    fromHex(genesisHash),
    fromHex(birthHash),
  );
}

/** The whole transaction; `signature` begins with the byte of its scheme. */
export function signedExtrinsic(account, signature, call, { nonce, reference }) {
  const body = joined(Uint8Array.of(SIGNED, 0), account, signature, era(reference), compact(nonce), call);
  return joined(compact(body.length), body);
}

/**
 * What a block's extrinsic does, as { account, actions }, or null for what nobody signed or this page does not know.
 * At most `most` actions are read; `count` is how many there are.
 */
export function describe(hex, most) {
  const reader = new Reader(fromHex(hex));
  try {
    reader.compact();
    if (reader.byte() !== SIGNED || reader.byte() !== 0) {
      return null;
    }
    const account = reader.take(32);
    reader.take(1 + 64);
    if (reader.byte() !== 0) {
      reader.byte();
    }
    reader.compact();
    const [pallet, call] = reader.take(2);
    return pallet === PALLET ? { account, ...actions(reader, call, most) } : null;
  } catch (error) {
    if (error instanceof RangeError) {
      return null;
    }
    throw error;
  }
}

function actions(reader, call, most) {
  if (call === CALL.rateMany) {
    const count = reader.compact();
    const listed = [];
    while (listed.length < Math.min(count, most)) {
      listed.push({ kind: "rate", item: reader.u64(), rating: reader.i64() });
    }
    return { count, actions: listed };
  }
  return { count: 1, actions: [action(reader, call)] };
}

function action(reader, call) {
  switch (call) {
    case CALL.rate:
      return { kind: "rate", item: reader.u64(), rating: reader.i64() };
    case CALL.retract:
      return { kind: "retract", item: reader.u64() };
    case CALL.register:
      return { kind: "register", title: reader.text() };
    default:
      return { kind: "predict", item: reader.u64() };
  }
}
