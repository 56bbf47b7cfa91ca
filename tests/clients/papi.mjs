// polkadot-api (PAPI): speaks chainHead_v1 and transaction_v1 only.

import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { createClient, InvalidTxError } from 'polkadot-api';
import { getWsProvider } from 'polkadot-api/ws';
import { getPolkadotSigner } from 'polkadot-api/signer';
import { getDynamicBuilder, getLookupFn } from '@polkadot-api/metadata-builders';
import { Blake2256, decAnyMetadata, unifyMetadata } from '@polkadot-api/substrate-bindings';
import { Keyring } from '@polkadot/keyring';
import { hexToU8a, u8aToHex } from '@polkadot/util';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { failure, given, run, url } from './harness.mjs';

await cryptoWaitReady();

function account(type, uri) {
  const pair = new Keyring({ type }).addFromUri(uri);
  const scheme = type === 'ed25519' ? 'Ed25519' : 'Sr25519';
  return { address: pair.address, signer: getPolkadotSigner(pair.publicKey, scheme, (data) => pair.sign(data)) };
}

const alice = account('ed25519', '//papi//Alice');
const bob = account('sr25519', '//papi//Bob');

let client;
let api;

function watch(transaction, { signer }, options = {}) {
  return new Promise((resolve, reject) => {
    const stations = [];
    transaction.signSubmitAndWatch(signer, options).subscribe({
      next: (event) => {
        const station = event.type === 'txBestBlocksState' ? (event.found ? 'inBlock' : 'waiting') : event.type;
        stations.push(station);
        if (event.type === 'finalized') resolve({ event, stations });
      },
      error: reject,
    });
  });
}

const rating = (item, value = 1n) => api.tx.MatrixFactorization.submit_rating({ item, rating: value });
const remark = (text) => api.tx.System.remark({ remark: new TextEncoder().encode(text) });
const names = ({ events }) => events.map(({ type, value }) => `${type}.${value.type}`);

await run({
  'connect, and follow the chain by chainHead': async () => {
    client = createClient(getWsProvider(url, { websocketClass: WebSocket }));
    const { name, genesisHash, properties } = await client.getChainSpecData();
    assert.deepEqual([name, properties.ss58Format], ['mfchain Development', 42]);
    const block = await client.getFinalizedBlock();
    assert.match(block.hash, /^0x[0-9a-f]{64}$/);
    assert.equal(await client._request('chain_getBlockHash', [0]), genesisHash);
    api = client.getUnsafeApi();
  },

  'constants': async () => {
    assert.equal(await api.constants.MatrixFactorization.FractionalBits(), 24);
    assert.equal(await api.constants.MatrixFactorization.RatingMax(), 1n);
    assert.equal((await api.constants.System.Version()).spec_name, 'mfchain');
  },

  'storage and map entries': async () => {
    const entries = await api.query.MatrixFactorization.Items.getEntries();
    assert.equal(entries.length, 16);
    assert.equal(entries.find(({ keyArgs }) => keyArgs[0] === 1).value.title, 'Archer');
    assert.equal((await api.query.MatrixFactorization.Items.getValue(0)).title, 'Veep');
    assert.equal(await api.query.MatrixFactorization.Items.getValue(99), undefined);
    assert.equal((await api.query.System.Account.getValue(account('sr25519', '//nobody').address)).nonce, 0);
    const values = await api.query.MatrixFactorization.Items.getValues([[2], [99]]);
    assert.deepEqual(values.map((value) => value?.title), ['13 Reasons Why', undefined]);
  },

  'sign with ed25519, submit, watch to inBlock and finalized': async () => {
    const { event, stations } = await watch(rating(0n), alice);
    assert.equal(stations[0], 'signed');
    assert.equal(stations[1], 'broadcasted');
    assert.deepEqual(stations.slice(-2), ['inBlock', 'finalized']);
    assert.equal(event.ok, true);
    assert.deepEqual(names(event), ['MatrixFactorization.RatingSubmitted', 'System.NewAccount', 'System.ExtrinsicSuccess']);
    const { account: who, item, rating: value } = event.events[0].value.value;
    assert.deepEqual([who, item, value], [alice.address, 0n, 1]);
  },

  'sign with sr25519, and for ever': async () => {
    const { event } = await watch(rating(0n), bob, { mortality: { mortal: false } });
    assert.equal(event.ok, true);
    const [, sent] = await client.getBlockBody(event.block.hash);
    assert.equal(await api.query.MatrixFactorization.ItemCount.getValue({ at: event.block.hash }), 16);
    assert.ok(sent.length > 100);
  },

  'a mortal era': async () => {
    const { event } = await watch(remark('mortal'), bob, { mortality: { mortal: true, period: 16 } });
    assert.equal(event.ok, true);
  },

  "the seed's question: getPrediction, in 24 fractional bits": async () => {
    const { event } = await watch(api.tx.MatrixFactorization.get_prediction({ item: 0n }), alice);
    const told = event.events.find(({ value }) => value.type === 'PredictionObtained').value.value;
    const asked = await api.apis.MatrixFactorizationApi.predict(alice.address, 0n);
    const bits = await api.constants.MatrixFactorization.PosteriorFractionalBits();
    assert.equal(Number(told.prediction) / 2 ** 24, Number(asked.mean) / 2 ** bits);
  },

  'runtime APIs': async () => {
    const model = await api.apis.MatrixFactorizationApi.model();
    assert.equal(model.canonical, true);
    assert.match(typeof model.digest === 'string' ? model.digest : u8aToHex(model.digest), /^0x[0-9a-f]{64}$/);
    assert.equal((await api.apis.MatrixFactorizationApi.recommend(alice.address, 3)).length, 3);
    assert.equal(await api.apis.MatrixFactorizationApi.predict(alice.address, 99n), undefined);
    assert.deepEqual(await api.apis.Metadata.metadata_versions(), [14, 15]);
  },

  'a fee of zero': async () => {
    assert.equal(await rating(1n).getEstimatedFees(alice.address), 0n);
  },

  'an error by its name': async () => {
    const { event } = await watch(rating(99n), alice);
    assert.equal(event.ok, false);
    assert.deepEqual(event.dispatchError, {
      type: 'Module',
      value: { type: 'MatrixFactorization', value: { type: 'ItemDoesNotExist', value: undefined } },
    });
  },

  'two transactions of one account at once': async () => {
    const pair = account('ed25519', '//papi//queue');
    const both = await Promise.all([0, 1].map((nonce) => watch(rating(BigInt(nonce)), pair, { nonce })));
    assert.deepEqual(both.map(({ event }) => event.ok), [true, true]);
    assert.equal((await api.query.System.Account.getValue(pair.address)).nonce, 2);
  },

  'a stale nonce and a bad signature': async () => {
    const pair = account('sr25519', '//papi//errors');
    await watch(remark('one'), pair);
    const stale = await failure(watch(remark('two'), pair, { nonce: 0 }));
    assert.ok(stale instanceof InvalidTxError);
    assert.deepEqual(stale.error, { type: 'Invalid', value: { type: 'Stale', value: undefined } });
    const signed = await remark('three').sign(pair.signer);
    const bytes = typeof signed === 'string' ? hexToU8a(signed) : signed;
    bytes[50] ^= 1; // within the signature
    const forged = typeof signed === 'string' ? u8aToHex(bytes) : bytes;
    const bad = await failure(client.submit(forged));
    assert.deepEqual(bad.error, { type: 'Invalid', value: { type: 'BadProof', value: undefined } });
  },

  'the hash of a header, computed from what chainHead gives': async () => {
    const block = await client.getFinalizedBlock();
    const header = await client.getBlockHeader(block.hash);
    assert.equal(header.number, block.number);
    const { digests } = header;
    assert.equal(digests[0].type, 'preRuntime');
    const raw = await client._request('chain_getHeader', [block.hash]);
    assert.deepEqual([raw.parentHash, raw.stateRoot], [header.parentHash, header.stateRoot]);
    assert.equal(u8aToHex(Blake2256(encodedHeader(raw))), block.hash);
  },

  'subscriptions': async () => {
    const pair = account('ed25519', '//papi//subscriptions');
    const nonces = [];
    const done = new Promise((resolve, reject) => {
      const subscription = api.query.System.Account.watchValue(pair.address, { at: 'best' }).subscribe({
        next: (told) => {
          const { nonce } = told.value ?? told;
          nonces.push(nonce);
          if (nonce === 1) resolve(subscription?.unsubscribe());
        },
        error: reject,
      });
    });
    const heights = [];
    const heads = client.bestBlocks$.subscribe(([best]) => heights.push(best.number));
    await watch(remark('seen'), pair);
    await done;
    heads.unsubscribe();
    assert.deepEqual(nonces, [0, 1]);
    assert.equal(heights.at(-1), heights[0] + 1);
  },

  'every event and every error there can be': async () => {
    const metadata = await client._request('state_getMetadata', []);
    const lookup = getLookupFn(unifyMetadata(decAnyMetadata(metadata)));
    const { value: codec } = getDynamicBuilder(lookup).buildStorage('System', 'Events');
    for (const { hex, records } of given.events) {
      const decoded = codec.dec(hex);
      // Its encoder leaves the padding of a pallet's error out, which its decoder has skipped.
      const bytes = codec.enc(decoded);
      const isModule = ({ event }) => event.value.value?.dispatch_error?.type === 'Module';
      if (!decoded.some(isModule)) assert.equal(typeof bytes === 'string' ? bytes : u8aToHex(bytes), hex);
      for (const { event } of decoded.filter(isModule)) {
        assert.deepEqual(event.value.value.dispatch_info.weight, { ref_time: 161_100_000n, proof_size: 7n });
      }
      const told = decoded.map(({ event }) => {
        const error = event.value.value?.dispatch_error;
        return [event.type, event.value.type, error === undefined ? null : named(error, lookup.metadata)];
      });
      assert.deepEqual(told, records);
    }
    assert.ok(given.events.length > 0);
  },
});

// The last word of a nested error: MatrixFactorization.ItemDoesNotExist, or BadOrigin.
function named(error, metadata) {
  if (error.type !== 'Module') return error.type;
  const { index, error: bytes } = error.value;
  if (index === undefined) return error.value.value.type;
  const pallet = metadata.pallets.find((found) => found.index === index);
  const { def } = metadata.lookup[typeof pallet.errors === 'number' ? pallet.errors : pallet.errors.type];
  return def.value.find((variant) => variant.index === (typeof bytes === 'string' ? hexToU8a(bytes) : bytes)[0]).name;
}

// A header in its wire form, from its JSON form.
function encodedHeader({ parentHash, number, stateRoot, extrinsicsRoot, digest }) {
  const compact = (value) => (value < 64 ? [value << 2] : [((value << 2) | 1) & 255, value >> 6]);
  const logs = digest.logs.flatMap((log) => [...hexToU8a(log)]);
  return Uint8Array.from([
    ...hexToU8a(parentHash),
    ...compact(Number(number)),
    ...hexToU8a(stateRoot),
    ...hexToU8a(extrinsicsRoot),
    ...compact(digest.logs.length),
    ...logs,
  ]);
}
