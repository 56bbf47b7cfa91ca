// The view that watches the chain: blocks, figures, the map, an item's posterior, the ring.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ALICE, DAVE, card, openTab, openWindow, startNode, until, waitForText } from "./support.mjs";

const TASTES = [
  ["//Alice", [0, 1, 5, 10]],
  ["//Bob", [0, 1, 5, 12]],
  ["//Charlie", [4, 6, 8]],
  ["//Dave", [4, 6, 8, 7]],
];

let node = null;

before(async () => {
  node = await startNode("--dev");
  for (const [suri, liked] of TASTES) {
    for (const item of [0, 1, 4, 5, 6, 8]) {
      await node.call("dev_rate", suri, item, liked.includes(item) ? 1 : -1);
    }
  }
});

const watch = (path = "#watch") => openWindow(new URL(path, node.url).href);
const tile = (page, name) => page.locator(".tile").filter({ hasText: name }).locator(".tile-value");

test("figures and blocks follow the chain", async () => {
  const page = await watch();
  const model = await until(async () => {
    const told = await node.call("mf_model");
    return told.ratings === 24 && told.canonical && told;
  }, "24 ratings");
  await waitForText(tile(page, "Ratings"), /^24$/);
  await waitForText(tile(page, "Best block"), new RegExp(`^${model.block.number}$`));
  await waitForText(tile(page, "Finalized"), new RegExp(`^${model.block.number}$`));
  await waitForText(tile(page, "Pool"), /^0$/);
  await page.getByText("canonical model").waitFor();
  await waitForText(page.locator(".digest"), new RegExp(model.digest));

  await node.call("dev_rate", "//Ferdie", 14, -1);
  const newest = page.locator(".block").first();
  await newest.getByText("Ferdie").waitFor();
  assert.match(await newest.textContent(), /by Alice · \d\d:\d\d:\d\dFerdie rated Money Heistdislike$/);
  await waitForText(tile(page, "Ratings"), /^25$/);
});

test("an account that nobody has named is shown by its address", async () => {
  const page = await watch();
  await node.call("dev_rate", "//Somebody", 3, 1);
  await page
    .locator(".block")
    .first()
    .getByText(/^5[1-9A-HJ-NP-Za-km-z]{5}…[1-9A-HJ-NP-Za-km-z]{4}$/)
    .waitFor();
});

test("the map places what is liked alike together, and is used by keyboard", async () => {
  const page = await watch();
  const map = page.getByRole("img", { name: /items placed by two principal components/ });
  await map.waitFor();
  await map.focus();
  await page.keyboard.press("ArrowRight");
  const tip = page.locator(".map-tip");
  await waitForText(tip, /\S+ · \d+ ratings · /);
  const [title] = (await tip.textContent()).split(" · ");
  await page.keyboard.press("Enter");
  await until(
    async () => (await page.getByLabel("What the chain believes of").locator("option:checked").textContent()) === title,
    "the item of the map below it",
  );
});

test("principal components and their alignment", async () => {
  const page = await watch();
  const told = await page.evaluate(async () => {
    const { principal, aligned } = await import("/ui/pca.js");
    const points = [
      [3, 0, 0],
      [-3, 0, 0],
      [0, 1, 0],
      [0, -1, 0],
      [0, 0, 0.1],
      [0, 0, -0.1],
    ];
    const { positions, share } = principal(points);
    const names = [0, 1, 2, 3, 4, 5];
    const turned = new Map(positions.map(([x, y], index) => [index, [-y, -x]]));
    return {
      positions,
      share,
      aligned: aligned(positions, names, turned),
      turned: [...turned.values()],
      same: principal([
        [1, 2],
        [1, 2],
        [1, 2],
      ]),
    };
  });
  const near = (left, right) =>
    left.flat().forEach((value, index) => assert.ok(Math.abs(value - right.flat()[index]) < 1e-9));
  near(
    told.positions.map((place) => place.map(Math.abs)),
    [
      [3, 0],
      [3, 0],
      [0, 1],
      [0, 1],
      [0, 0],
      [0, 0],
    ],
  );
  assert.ok(Math.abs(told.share - 20 / 20.02) < 1e-9);
  near(told.aligned, told.turned);
  assert.deepEqual(told.same, {
    positions: [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    share: 0,
  });
});

test("an item's posterior over time, from old blocks and new ones", async () => {
  const page = await watch("#watch/6");
  const picture = page.locator("svg.timeline");
  await until(
    async () => / now, 90% between /.test(await page.locator(".timeline-latest").textContent()),
    "a posterior",
  );
  await until(
    async () => (await picture.locator(".timeline-mean").getAttribute("d")).split("L").length > 5,
    "older blocks",
  );
  const before = await picture.getAttribute("aria-label");
  await node.call("dev_rate", "//Eve", 6, 1);
  await until(async () => (await picture.getAttribute("aria-label")) !== before, "a posterior that moved");
  const told = await node.call("mf_item", 6);
  const mean = told.bias.mean.toFixed(2).replace("-", "−");
  await waitForText(page.locator(".timeline-latest"), new RegExp(`^\\+?${mean} now, .* from ${told.ratings} ratings$`));
  await page.getByRole("button", { name: "Rate it" }).click();
  await page.getByRole("dialog", { name: "Dark" }).waitFor();
});

test("no ring is shown where there is none, and a ring where there is one", async () => {
  const plain = await watch();
  await plain.locator(".block").first().waitFor();
  assert.ok(await plain.getByRole("heading", { name: "Ring of producers" }).isHidden());

  const page = await openTab((await openWindow(node.url)).context(), new URL("#watch", node.url).href, (tab) =>
    answer(tab, "ring_status", RING),
  );
  await page.getByText("Alice has the next turn").waitFor();
  await page.getByText("Epoch 4: justified 3, final 2. 1 account waits to join.").waitFor();
  const members = page.locator(".ring-list li");
  assert.deepEqual(await members.allTextContents(), ["Alicevotes on finality", "Davemissed 2 turns"]);
  await page.getByRole("img", { name: "2 producers take turns" }).waitFor();
});

const RING = {
  ring: [ALICE, DAVE],
  voters: [ALICE],
  nextVoters: [],
  queue: ["5GoNkf6WdbxCFnPdAnYYQyCjAKPJgLNxXwPjwTh6DGg6gN3E"],
  slot: 41,
  epoch: 4,
  turn: ALICE,
  missed: { [DAVE]: 2 },
  justified: { epoch: 3, number: 30, hash: `0x${"33".repeat(32)}` },
  finalized: { epoch: 2, number: 20, hash: `0x${"22".repeat(32)}` },
};

/** Answer one more method than the node does. */
function answer(page, method, result) {
  return page.routeWebSocket(/.*/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const asked = JSON.parse(message);
      if (asked.method === method) {
        socket.send(JSON.stringify({ jsonrpc: "2.0", id: asked.id, result }));
      } else {
        server.send(message);
      }
    });
    server.onMessage((message) => socket.send(message.replace('"rpc_methods"', `"rpc_methods","${method}"`)));
  });
}

test("what is seen in one view holds in the other", async () => {
  const page = await watch();
  await page.getByRole("link", { name: "Rate and predict" }).click();
  await card(page, "Veep")
    .getByText(/ratings$/)
    .waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Map of items" }).waitFor();
});
