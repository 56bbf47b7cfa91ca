// @polkadot/api: what polkadot-js apps and most programs of the ecosystem are made with.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { u8aToHex } from '@polkadot/util';
import { failure, given, run, url } from './harness.mjs';

const ed25519 = new Keyring({ type: 'ed25519' });
const sr25519 = new Keyring({ type: 'sr25519' });
const alice = ed25519.addFromUri('//polkadot-js//Alice');
const bob = sr25519.addFromUri('//polkadot-js//Bob');
const author = ed25519.addFromUri('//Alice');
const FIRST_ITEM = 0;

let api;
let block; // the block with the first rating

// Submits, and returns all statuses with the result that came with the last one.
function watch(transaction, signer, options = {}) {
  return new Promise((resolve, reject) => {
    const statuses = [];
    transaction
      .signAndSend(signer, options, (result) => {
        statuses.push(result.status.type);
        if (result.isError) reject(new Error(result.status.toString()));
        if (result.status.isFinalized) resolve({ result, statuses, block: result.status.asFinalized.toHex() });
      })
      .catch(reject);
  });
}

const names = (result) => result.events.map(({ event }) => `${event.section}.${event.method}`);

// The first value of a subscription that is good.
function first(subscribe, isGood) {
  return new Promise((resolve, reject) => {
    let end;
    const pending = subscribe((value) => {
      if (!isGood(value)) return;
      resolve(value);
      pending.then((stop) => stop());
    });
    pending.catch(reject);
  });
}

await run({
  'connect, and read the metadata': async () => {
    api = await ApiPromise.create({ provider: new WsProvider(url), throwOnConnect: true, noInitWarn: true });
    assert.equal(api.runtimeMetadata.version, 15);
    assert.equal(api.runtimeVersion.specName.toString(), 'mfchain');
    assert.equal(api.genesisHash.toHex(), (await api.rpc.chain.getBlockHash(0)).toHex());
    assert.equal(api.registry.chainSS58, 42);
    assert.equal((await api.rpc.state.getMetadata()).version, 14);
    assert.deepEqual(api.tx.matrixFactorization.submitRating.meta.args.map((argument) => argument.name.toString()), ['item', 'rating']);
    assert.match(api.tx.matrixFactorization.submitRating.meta.docs.toString(), /Rate an item/);
  },

  'what it says of the node': async () => {
    const [chain, name, version, properties, health, peers, type] = await Promise.all([
      api.rpc.system.chain(),
      api.rpc.system.name(),
      api.rpc.system.version(),
      api.rpc.system.properties(),
      api.rpc.system.health(),
      api.rpc.system.peers(),
      api.rpc.system.chainType(),
    ]);
    assert.equal(chain.toString(), 'mfchain Development');
    assert.ok(name.length && version.length);
    assert.equal(properties.ss58Format.unwrap().toNumber(), 42);
    assert.equal(health.isSyncing.isTrue, false);
    assert.equal(peers.length, 0);
    assert.equal(type.type, 'Development');
  },

  'constants': async () => {
    const { system, timestamp, matrixFactorization } = api.consts;
    assert.equal(system.blockHashCount.toNumber(), 4096);
    assert.equal(system.ss58Prefix.toNumber(), 42);
    assert.equal(system.version.specVersion.toNumber(), api.runtimeVersion.specVersion.toNumber());
    assert.ok(timestamp.minimumPeriod.toNumber() > 0);
    assert.equal(matrixFactorization.ratingMin.toNumber(), -1);
    assert.equal(matrixFactorization.fractionalBits.toNumber(), 24);
  },

  'storage and map entries': async () => {
    assert.equal((await api.query.matrixFactorization.itemCount()).toNumber(), 16);
    const entries = await api.query.matrixFactorization.items.entries();
    const titles = Object.fromEntries(entries.map(([key, item]) => [key.args[0].toNumber(), item.unwrap().title.toString()]));
    assert.equal(entries.length, 16);
    assert.equal(titles[0], 'Veep');
    assert.equal((await api.query.matrixFactorization.items.keysPaged({ args: [], pageSize: 5 })).length, 5);
    assert.equal((await api.query.matrixFactorization.items(99)).isNone, true);
    assert.equal((await api.query.system.account(ed25519.addFromUri('//nobody').address)).nonce.toNumber(), 0);
    const [one, two] = await api.query.matrixFactorization.items.multi([1, 2]);
    assert.deepEqual([one.unwrap().title.toString(), two.unwrap().title.toString()], ['Archer', '13 Reasons Why']);
  },

  'sign with ed25519, submit, watch to inBlock and finalized': async () => {
    const { result, statuses, block: hash } = await watch(api.tx.matrixFactorization.submitRating(FIRST_ITEM, 1), alice);
    block = hash;
    assert.deepEqual([statuses.at(0), statuses.at(-1)], ['Ready', 'Finalized']);
    assert.deepEqual(names(result), ['matrixFactorization.RatingSubmitted', 'system.NewAccount', 'system.ExtrinsicSuccess']);
    const [account, item, rating] = result.events[0].event.data;
    assert.deepEqual([account.toString(), item.toNumber(), rating.toNumber()], [alice.address, FIRST_ITEM, 1]);
    assert.equal(result.dispatchInfo.paysFee.isNo, true);
  },

  'sign with sr25519, and for ever': async () => {
    const { result, block: hash } = await watch(api.tx.matrixFactorization.submitRating(FIRST_ITEM, 1), bob, { era: 0 });
    const { extrinsics } = (await api.rpc.chain.getBlock(hash)).block;
    const sent = extrinsics.find((extrinsic) => extrinsic.isSigned);
    assert.equal(sent.hash.toHex(), result.txHash.toHex());
    assert.equal(sent.signature.toHex().length, 2 + 128);
    assert.equal(sent.era.isImmortalEra, true);
    assert.equal(sent.signer.toString(), bob.address);
  },

  'every status, without what is fetched meanwhile': async () => {
    const transaction = await api.tx.system.remark('0x00').signAsync(alice);
    const statuses = [];
    await first(
      (tell) => api.rpc.author.submitAndWatchExtrinsic(transaction, tell),
      (status) => statuses.push(status.type) && status.isFinalized,
    );
    assert.deepEqual(statuses, ['Ready', 'InBlock', 'Finalized']);
  },

  'the era is mortal unless it is said otherwise': async () => {
    const { block: hash } = await watch(api.tx.system.remark('0x01'), alice, { era: 8 });
    const sent = (await api.rpc.chain.getBlock(hash)).block.extrinsics.find((extrinsic) => extrinsic.isSigned);
    assert.equal(sent.era.asMortalEra.period.toNumber(), 8);
    assert.equal(sent.method.section, 'system');
  },

  "the seed's question: getPrediction, in 24 fractional bits": async () => {
    const { result } = await watch(api.tx.matrixFactorization.getPrediction(FIRST_ITEM), alice);
    const { event } = result.events.find(({ event }) => api.events.matrixFactorization.PredictionObtained.is(event));
    const [account, item, prediction] = event.data;
    assert.deepEqual([account.toString(), item.toNumber()], [alice.address, FIRST_ITEM]);
    const expected = prediction.toNumber() / 2 ** api.consts.matrixFactorization.fractionalBits.toNumber();
    assert.ok(expected > 0 && expected < 1, `${expected}`);
    const asked = (await api.call.matrixFactorizationApi.predict(alice.address, FIRST_ITEM)).unwrap();
    const bits = api.consts.matrixFactorization.posteriorFractionalBits.toNumber();
    assert.equal(asked.mean.toNumber() / 2 ** bits, expected);
  },

  'runtime APIs': async () => {
    const model = await api.call.matrixFactorizationApi.model();
    assert.equal(model.canonical.isTrue, true);
    assert.equal(model.digest.unwrap().toHex(), (await api.query.matrixFactorization.model()).digest.toHex());
    const recommended = await api.call.matrixFactorizationApi.recommend(alice.address, 3);
    assert.equal(recommended.length, 3);
    assert.equal((await api.call.matrixFactorizationApi.predict(alice.address, 99)).isNone, true);
    assert.deepEqual((await api.call.metadata.metadataVersions()).map((version) => version.toNumber()), [14, 15]);
    assert.equal((await api.call.core.version()).specVersion.toNumber(), api.runtimeVersion.specVersion.toNumber());
    const before = await api.at(block);
    assert.equal((await before.call.matrixFactorizationApi.model()).ratings.toNumber(), model.ratings.toNumber() - 1);
    assert.equal((await before.query.system.account(alice.address)).nonce.toNumber(), 1);
  },

  "calls of the node's own, which the page of RPC calls takes as they are": async () => {
    const provider = new WsProvider(url);
    const own = await ApiPromise.create({
      provider,
      noInitWarn: true,
      rpc: {
        mf: {
          predict: {
            description: 'A prediction',
            params: [{ name: 'account', type: 'AccountId' }, { name: 'item', type: 'u64' }],
            type: 'Json',
          },
        },
      },
    });
    const told = (await own.rpc.mf.predict(alice.address, FIRST_ITEM)).toHuman();
    assert.equal(told.title, 'Veep');
    await own.disconnect();
  },

  'a fee of zero': async () => {
    const info = await api.tx.matrixFactorization.submitRating(1, 1).paymentInfo(alice.address);
    assert.equal(info.partialFee.toString(), '0');
    assert.ok(info.weight.refTime.toBigInt() > 0n);
    assert.equal(info.class.isNormal, true);
  },

  'a dry run': async () => {
    const good = await api.tx.matrixFactorization.submitRating(1, 1).signAsync(alice);
    assert.equal((await api.rpc.system.dryRun(good.toHex())).asOk.isOk, true);
    const bad = await api.tx.matrixFactorization.submitRating(99, 1).signAsync(alice);
    assert.equal((await api.rpc.system.dryRun(bad.toHex())).asOk.isErr, true);
  },

  'an error by its name': async () => {
    const { result } = await watch(api.tx.matrixFactorization.submitRating(99, 1), alice);
    const { section, name, docs } = api.registry.findMetaError(result.dispatchError.asModule);
    assert.deepEqual([section, name, docs.join()], ['matrixFactorization', 'ItemDoesNotExist', 'There is no item of this id.']);
  },

  'two transactions of one account at once': async () => {
    const pair = ed25519.addFromUri('//polkadot-js//queue');
    const nonce = (await api.rpc.system.accountNextIndex(pair.address)).toNumber();
    const sent = [0, 1].map((ahead) => watch(api.tx.matrixFactorization.submitRating(3 + ahead, 1), pair, { nonce: nonce + ahead }));
    const done = await Promise.all(sent);
    assert.equal(done.every(({ result }) => result.dispatchError === undefined), true);
    assert.equal((await api.query.system.account(pair.address)).nonce.toNumber(), nonce + 2);
  },

  'one that comes too early waits': async () => {
    const pair = ed25519.addFromUri('//polkadot-js//future');
    const statuses = [];
    const done = new Promise((resolve, reject) => {
      api.tx.system.remark('0x02').signAndSend(pair, { nonce: 1 }, ({ status }) => {
        statuses.push(status.type);
        if (status.isFuture) api.tx.system.remark('0x01').signAndSend(pair, { nonce: 0 }).catch(reject);
        if (status.isFinalized) resolve();
      }).catch(reject);
    });
    await done;
    assert.deepEqual([...statuses.slice(0, 2), statuses.at(-1)], ['Future', 'Ready', 'Finalized']);
  },

  'errors of the pool': async () => {
    const pair = ed25519.addFromUri('//polkadot-js//errors');
    await watch(api.tx.system.remark('0x'), pair);
    const stale = await api.tx.system.remark('0x01').signAsync(pair, { nonce: 0 });
    assert.equal((await failure(stale.send())).message, '1010: Invalid Transaction: Transaction is outdated');
    const forged = (await api.tx.system.remark('0x02').signAsync(pair)).toU8a();
    forged[50] ^= 1; // within the signature
    const refused = await failure(api.rpc.author.submitExtrinsic(u8aToHex(forged)));
    assert.equal(refused.message, '1010: Invalid Transaction: Transaction has a bad signature');
    const waiting = (await api.rpc.system.accountNextIndex(pair.address)).toNumber() + 1;
    const future = await api.tx.system.remark('0x03').signAsync(pair, { nonce: waiting });
    await future.send();
    assert.match((await failure(future.send())).message, /^1013: Transaction Already Imported/);
    const other = await api.tx.system.remark('0x04').signAsync(pair, { nonce: waiting });
    assert.match((await failure(other.send())).message, /^1014: Priority is too low/);
    const { message } = await failure(api._rpcCore.provider.send('author_submitExtrinsic', ['0x0400']));
    assert.equal(message, '1001: Extrinsic has invalid format: extrinsic version byte is 0x00, known are 0x04 and 0x84');
  },

  'a signature whose era is over': async () => {
    const pair = ed25519.addFromUri('//polkadot-js//ancient');
    const born = (await api.rpc.chain.getHeader()).number.toNumber() - 9;
    const era = api.createType('ExtrinsicEra', { current: born, period: 8 });
    const blockHash = await api.rpc.chain.getBlockHash(born);
    const old = await api.tx.system.remark('0x01').signAsync(pair, { era, blockHash, nonce: 0 });
    // By now the same bytes stand for a later era, of which the signature does not speak.
    assert.equal((await failure(old.send())).message, '1010: Invalid Transaction: Transaction has a bad signature');
  },

  'blocks and headers, whose hashes it computes itself': async () => {
    const number = (await api.rpc.chain.getHeader()).number.toNumber();
    for (const at of [0, 1, number]) {
      const hash = await api.rpc.chain.getBlockHash(at);
      const { block } = await api.rpc.chain.getBlock(hash);
      assert.equal(block.header.hash.toHex(), hash.toHex());
      assert.equal(block.header.number.toNumber(), at);
    }
    const { block } = await api.rpc.chain.getBlock();
    const timestamp = block.extrinsics[0].method;
    assert.deepEqual([timestamp.section, timestamp.method], ['timestamp', 'set']);
  },

  'the author of a block': async () => {
    const header = await api.derive.chain.getHeader(block);
    assert.equal(header.author.toString(), author.address);
  },

  'events of a block, by their extrinsics': async () => {
    const { events } = await api.derive.tx.events(block);
    const phases = events.map(({ phase, event }) => [phase.toString(), event.method]);
    assert.ok(phases.some(([phase, method]) => phase.includes('1') && method === 'RatingSubmitted'), JSON.stringify(phases));
  },

  'subscriptions': async () => {
    const [head, finalized, any, version] = await Promise.all([
      first((tell) => api.rpc.chain.subscribeNewHeads(tell), () => true),
      first((tell) => api.rpc.chain.subscribeFinalizedHeads(tell), () => true),
      first((tell) => api.rpc.chain.subscribeAllHeads(tell), () => true),
      first((tell) => api.rpc.state.subscribeRuntimeVersion(tell), () => true),
    ]);
    assert.equal(head.hash.toHex(), finalized.hash.toHex());
    assert.equal(any.hash.toHex(), head.hash.toHex());
    assert.equal(version.specVersion.toNumber(), api.runtimeVersion.specVersion.toNumber());
    const pair = ed25519.addFromUri('//polkadot-js//subscriptions');
    const nonces = [];
    const seen = first(
      (tell) => api.query.system.account(pair.address, tell),
      (account) => nonces.push(account.nonce.toNumber()) && account.nonce.toNumber() === 1,
    );
    const next = first((tell) => api.rpc.chain.subscribeNewHeads(tell), (later) => later.number.toNumber() > head.number.toNumber());
    await watch(api.tx.system.remark('0x'), pair);
    await seen;
    assert.deepEqual(nonces, [0, 1]);
    assert.equal((await next).number.toNumber(), head.number.toNumber() + 1);
  },

  'every event and every error there can be': async () => {
    for (const { hex, records } of given.events) {
      const decoded = api.createType('Vec<FrameSystemEventRecord>', hex);
      assert.equal(decoded.toHex(), hex);
      const told = decoded.map(({ event }) => {
        const failed = api.events.system.ExtrinsicFailed.is(event) ? event.data[0] : undefined;
        const error = failed?.isModule ? api.registry.findMetaError(failed.asModule).name : failed?.type;
        return [event.section, event.method, error ?? null];
      });
      const expected = records.map(([pallet, event, error]) => [pallet[0].toLowerCase() + pallet.slice(1), event, error]);
      assert.deepEqual(told, expected);
    }
    assert.ok(given.events.length > 0);
  },

  'signing with a payload, as wallets do': async () => {
    const pair = sr25519.addFromUri('//polkadot-js//wallet');
    const signer = {
      signPayload: async (payload) => {
        const raw = api.registry.createType('ExtrinsicPayload', payload, { version: payload.version });
        return { id: 1, ...raw.sign(pair) };
      },
    };
    const { result } = await watch(api.tx.system.remark(u8aToHex(new Uint8Array(300))), pair.address, { signer });
    assert.deepEqual(names(result).slice(0, 1), ['system.Remarked']);
  },
});
