// dedot: its client for the new interface (DedotClient, chainHead_v1), and the one for the old (LegacyClient).

import assert from 'node:assert/strict';
import { DedotClient, LegacyClient, WsProvider } from 'dedot';
import { Keyring } from '@polkadot/keyring';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { hexToU8a, u8aToHex } from '@polkadot/util';
import { failure, given, run, url } from './harness.mjs';

await cryptoWaitReady();

const pairOf = (type, uri) => new Keyring({ type }).addFromUri(uri);
const dispatched = (result) => result.events.map(({ event }) => `${event.pallet}.${event.palletEvent.name}`);

// Submits, and returns all statuses with the last result.
function watch(transaction, pair, options = {}) {
  return new Promise((resolve, reject) => {
    const statuses = [];
    transaction
      .signAndSend(pair, options, (result) => {
        statuses.push(result.status.type);
        if (result.status.type === 'Finalized') resolve({ result, statuses });
        if (['Invalid', 'Drop'].includes(result.status.type)) reject(new Error(JSON.stringify(result.status)));
      })
      .catch(reject);
  });
}

function steps(Client, scope, isNew) {
  let client;
  const named = (uri) => `//dedot//${scope}//${uri}`;
  const alice = pairOf('ed25519', named('Alice'));
  const bob = pairOf('sr25519', named('Bob'));
  const rating = (item) => client.tx.matrixFactorization.submitRating(item, 1n);

  const list = {
    'connect, and read the metadata': async () => {
      client = await Client.new(new WsProvider(url));
      assert.equal(client.runtimeVersion.specName, 'mfchain');
      assert.equal(client.genesisHash, await client.rpc.chain_getBlockHash(0));
      assert.equal(client.metadata.version, 'V15');
      assert.equal(client.rpcVersion, isNew ? 'v2' : 'legacy');
    },

    'constants, storage and map entries': async () => {
      assert.equal(client.consts.matrixFactorization.fractionalBits, 24);
      assert.equal(client.consts.system.version.specName, 'mfchain');
      const entries = await client.query.matrixFactorization.items.entries();
      assert.equal(entries.length, 16);
      assert.equal(entries.find(([item]) => item === 1)[1].title, 'Archer');
      assert.equal((await client.query.matrixFactorization.items(0)).title, 'Veep');
      assert.equal(await client.query.matrixFactorization.items(99), undefined);
      assert.equal((await client.query.system.account(pairOf('sr25519', '//nobody').address)).nonce, 0);
    },

    'sign with ed25519, submit, watch to inBlock and finalized': async () => {
      const { result, statuses } = await watch(rating(0n), alice);
      // The new client looks into blocks itself: where one is final at once, it may find the transaction only then.
      assert.equal(statuses.at(-1), 'Finalized');
      if (!isNew) assert.equal(statuses.at(-2), 'BestChainBlockIncluded');
      assert.deepEqual(dispatched(result), ['MatrixFactorization.RatingSubmitted', 'System.NewAccount', 'System.ExtrinsicSuccess']);
      const { account, item, rating: value } = result.events[0].event.palletEvent.data;
      assert.deepEqual([account.address(), item, value], [alice.address, 0n, 1]);
    },

    'sign with sr25519, and for ever': async () => {
      const { result } = await watch(rating(0n), bob, { mortality: { type: 'Immortal' } });
      assert.equal(result.dispatchError, undefined);
      const { block } = await client.rpc.chain_getBlock(result.status.value.blockHash);
      const sent = client.registry.$Extrinsic.tryDecode(block.extrinsics[1]);
      assert.equal(sent.preamble.signature.extra[4].type, 'Immortal');
      assert.equal(sent.preamble.signature.signature.type, 'Sr25519');
    },

    'a mortal era': async () => {
      const { result } = await watch(client.tx.system.remark('0x6d'), bob, { mortality: { type: 'Mortal', period: 16 } });
      assert.equal(result.dispatchError, undefined);
    },

    "the seed's question: getPrediction, in 24 fractional bits": async () => {
      const { result } = await watch(client.tx.matrixFactorization.getPrediction(0n), alice);
      const { palletEvent } = client.events.matrixFactorization.PredictionObtained.find(result.events);
      const asked = await client.call.matrixFactorizationApi.predict(alice.address, 0n);
      const bits = client.consts.matrixFactorization.posteriorFractionalBits;
      assert.equal(Number(palletEvent.data.prediction) / 2 ** 24, Number(asked.mean) / 2 ** bits);
    },

    'runtime APIs': async () => {
      const model = await client.call.matrixFactorizationApi.model();
      assert.equal(model.canonical, true);
      assert.match(model.digest, /^0x[0-9a-f]{64}$/);
      assert.equal((await client.call.matrixFactorizationApi.recommend(alice.address, 3)).length, 3);
      assert.equal(await client.call.matrixFactorizationApi.predict(alice.address, 99n), undefined);
      assert.equal((await client.call.core.version()).specName, 'mfchain');
    },

    'a fee of zero': async () => {
      assert.equal((await rating(1n).paymentInfo(alice)).partialFee, 0n);
    },

    'an error by its name': async () => {
      const { result } = await watch(rating(99n), alice);
      assert.equal(client.registry.findErrorMeta(result.dispatchError).name, 'ItemDoesNotExist');
      assert.equal(client.errors.matrixFactorization.ItemDoesNotExist.is(result.dispatchError), true);
    },

    'two transactions of one account at once': async () => {
      const pair = pairOf('ed25519', named('queue'));
      const both = await Promise.all([0, 1].map((nonce) => watch(rating(BigInt(nonce)), pair, { nonce })));
      assert.deepEqual(both.map(({ result }) => result.dispatchError), [undefined, undefined]);
      assert.equal((await client.query.system.account(pair.address)).nonce, 2);
      assert.equal(await client.rpc.system_accountNextIndex(pair.address), 2);
    },

    'a stale nonce and a bad signature': async () => {
      const pair = pairOf('sr25519', named('errors'));
      for (const text of ['0x01', '0x02']) await watch(client.tx.system.remark(text), pair);
      const stale = await client.tx.system.remark('0x03').sign(pair, { nonce: 1 });
      const forged = hexToU8a((await client.tx.system.remark('0x04').sign(pair)).toHex());
      forged[50] ^= 1; // within the signature
      const why = [];
      for (const bytes of [stale.toHex(), u8aToHex(forged)]) {
        const { code, data } = await failure(client.rpc.author_submitExtrinsic(bytes));
        why.push([code, data]);
      }
      assert.deepEqual(why, [[1010, 'Transaction is outdated'], [1010, 'Transaction has a bad signature']]);
    },

    'the hash of a header, computed by itself': async () => {
      const hash = await client.rpc.chain_getFinalizedHead();
      const header = await client.rpc.chain_getHeader(hash);
      const { $Header } = await import('dedot/codecs');
      assert.equal(client.registry.hashAsHex($Header.tryEncode(header)), hash);
    },

    'subscriptions': async () => {
      const pair = pairOf('ed25519', named('subscriptions'));
      const nonces = [];
      let stop;
      const done = new Promise((resolve, reject) => {
        const pending = client.query.system.account(pair.address, ({ nonce }) => {
          nonces.push(nonce);
          if (nonce === 1) resolve();
        });
        pending.then((unsubscribe) => { stop = unsubscribe; }, reject);
      });
      const heights = [];
      const stopHeads = await client.rpc.chain_subscribeNewHeads((head) => heights.push(head.number));
      await watch(client.tx.system.remark('0x'), pair);
      await done;
      await stop();
      await stopHeads();
      assert.deepEqual(nonces, [0, 1]);
      assert.equal(heights.at(-1), heights[0] + 1);
    },

    'every event and every error there can be': async () => {
      const pallet = client.metadata.latest.pallets.find(({ name }) => name === 'System');
      const entry = pallet.storage.entries.find(({ name }) => name === 'Events');
      const codec = client.registry.findCodec(entry.storageType.value.valueTypeId ?? entry.storageType.value);
      for (const { hex, records } of given.events) {
        const decoded = codec.tryDecode(hex);
        assert.equal(u8aToHex(codec.tryEncode(decoded)), hex);
        const told = decoded.map(({ event }) => {
          const error = event.palletEvent.data?.dispatchError;
          const isModule = error?.type === 'Module';
          return [event.pallet, event.palletEvent.name, (isModule ? client.registry.findErrorMeta(error).name : error?.type) ?? null];
        });
        assert.deepEqual(told, records);
      }
      assert.ok(given.events.length > 0);
    },

    'end': async () => {
      await client.disconnect();
    },
  };
  return Object.fromEntries(Object.entries(list).map(([name, step]) => [`${scope}: ${name}`, step]));
}

await run({ ...steps(LegacyClient, 'LegacyClient', false), ...steps(DedotClient, 'DedotClient', true) });
