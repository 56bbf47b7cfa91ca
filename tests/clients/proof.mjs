// @acala-network/chopsticks-core checks read proofs with its own implementation of the trie.

import assert from 'node:assert/strict';
import { decodeProof } from '@acala-network/chopsticks-core';
import { WsProvider } from '@polkadot/api';
import { given, run, url } from './harness.mjs';

let provider;
let header;
let proof;
let values;

await run({
  'ask for a proof': async () => {
    provider = new WsProvider(url);
    await provider.isReady;
    const block = await provider.send('chain_getBlockHash', []);
    header = await provider.send('chain_getHeader', [block]);
    const { at, proof: nodes } = await provider.send('state_getReadProof', [given.keys, block]);
    assert.equal(at, block);
    proof = nodes;
    values = {};
    for (const key of given.keys) values[key] = await provider.send('state_getStorage', [key, block]);
    assert.ok(Object.values(values).every((value) => value !== null));
    assert.ok(Object.values(values).some((value) => value.length > 66), 'one is long enough to stand behind its hash');
  },

  'the proof shows the values': async () => {
    const decoded = await decodeProof(header.stateRoot, proof);
    for (const [key, value] of Object.entries(values)) assert.equal(decoded[key], value);
  },

  'the absence of a key shows, too': async () => {
    const { at, proof: nodes } = await provider.send('state_getReadProof', [[given.absent]]);
    const { stateRoot } = await provider.send('chain_getHeader', [at]);
    assert.equal((await decodeProof(stateRoot, nodes))[given.absent], undefined);
  },

  'a proof that was tampered with is refused': async () => {
    for (let i = 0; i < proof.length; i += 1) {
      const last = proof[i].at(-1) === '0' ? '1' : '0';
      const tampered = proof.map((item, at) => (at === i ? item.slice(0, -1) + last : item));
      let decoded;
      try {
        decoded = await decodeProof(header.stateRoot, tampered);
      } catch {
        continue;
      }
      // A value behind its hash is an item to which nothing leads any more: it is not shown, rather than shown wrongly.
      const lost = Object.keys(values).filter((key) => decoded[key] === undefined);
      assert.ok(lost.length > 0, `item ${i} may be anything`);
      for (const key of Object.keys(values)) assert.ok(lost.includes(key) || decoded[key] === values[key], `item ${i}`);
    }
  },

  'under another root it shows nothing': async () => {
    const other = `0x${'11'.repeat(32)}`;
    assert.deepEqual(await decodeProof(other, proof), {});
  },
});
