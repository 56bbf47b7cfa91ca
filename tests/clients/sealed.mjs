// A chain whose producers take turns and seal their headers, through the eyes of @polkadot/api and PAPI.

import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { createClient } from 'polkadot-api';
import { getWsProvider } from 'polkadot-api/ws';
import { run, url } from './harness.mjs';

const author = new Keyring({ type: 'ed25519' }).addFromUri('//Alice').address;
const bob = new Keyring({ type: 'sr25519' }).addFromUri('//Bob');

let api;
let block;

await run({
  'submit, and watch to inBlock': async () => {
    api = await ApiPromise.create({ provider: new WsProvider(url), throwOnConnect: true, noInitWarn: true });
    block = await new Promise((resolve, reject) => {
      const transaction = api.tx.matrixFactorization.submitRating(0, 1);
      transaction.signAndSend(bob, ({ status, isError }) => {
        if (isError) reject(new Error(status.toString()));
        if (status.isInBlock) resolve(status.asInBlock.toHex());
      }).catch(reject);
    });
  },

  'the hash of a sealed header, computed by itself': async () => {
    const header = await api.rpc.chain.getHeader(block);
    // A checkpoint says more about the ring before the seal.
    const kinds = header.digest.logs.map(({ type }) => type).filter((type) => type !== 'Consensus');
    assert.deepEqual(kinds, ['PreRuntime', 'PreRuntime', 'Seal']);
    assert.equal(header.hash.toHex(), block);
  },

  'the author of a block': async () => {
    assert.equal((await api.derive.chain.getHeader(block)).author.toString(), author);
  },

  'the ring of producers': async () => {
    // At the beginning: on a busy machine some may have missed so many turns since that they have lost their place.
    const ring = (await (await api.at(api.genesisHash)).query.producers.ring()).map((producer) => producer.toString());
    assert.equal(ring.length, 3);
    assert.ok(ring.includes(author));
  },

  'follow blocks that are not final yet': async () => {
    const client = createClient(getWsProvider(url, { websocketClass: WebSocket }));
    const best = await client.getBestBlocks();
    const [newest] = best;
    const last = best.at(-1);
    assert.equal(last.hash, (await client.getFinalizedBlock()).hash);
    assert.ok(newest.number >= last.number);
    const number = await client.getUnsafeApi().query.System.Number.getValue({ at: newest.hash });
    assert.equal(number, newest.number);
    client.destroy();
  },
});
