// Rating, taking back, and what happens when the node does not agree.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import {
  ALICE,
  card,
  guessOf,
  openTab,
  openWindow,
  rate,
  rateAndWait,
  speakAs,
  startNode,
  until,
  waitForText,
} from "./support.mjs";

let node = null;

before(async () => {
  node = await startNode("--dev");
});

const toast = (page, title) => page.locator(".toast").filter({ hasText: title });

test("what somebody rates elsewhere moves the needle here", async () => {
  const page = await openWindow(node.url);
  await waitForText(guessOf(page, "Dark"), /^0\.00/);
  await node.call("dev_rate", "//Eve", 6, 1);
  await card(page, "Dark").getByText("1 rating", { exact: true }).waitFor();
  await until(async () => !(await guessOf(page, "Dark").textContent()).startsWith("0.00"), "a prediction that moved");
});

test("the page listens before it reads, so that it misses no rating in between", async () => {
  const page = await openWindow("about:blank");
  const told = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => told.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => told.push(JSON.parse(payload)));
  });
  await page.goto(node.url);
  await waitForText(guessOf(page, "Dark"), /\d/);

  const all = told.flat();
  const placeOf = (method) => all.findIndex((one) => one.method === method);
  const { id } = all[placeOf("mf_subscribeModel")];
  const listensSince = all.findIndex((one) => one.id === id && "result" in one);
  assert.ok(listensSince >= 0, "the page listens");
  for (const method of ["mf_model", "mf_items", "mf_user", "mf_predictBatch"]) {
    assert.ok(placeOf(method) > listensSince, method);
  }
});

for (const width of [1280, 900, 412]) {
  test(`nothing moves on a page ${width} pixels wide when the predictions come`, async () => {
    const page = await openWindow("about:blank", { viewport: { width, height: 900 } });
    const release = await holdPredictions(page);
    await page.goto(node.url);
    const option = card(page, "Dark").getByRole("button", { name: "like", exact: true });
    await option.waitFor();
    const before = await option.boundingBox();
    assert.equal(await guessOf(page, "Dark").textContent(), "");

    release();
    await waitForText(guessOf(page, "Dark"), /\d/);
    await page.locator(".picks .link").first().waitFor();
    assert.deepEqual(await option.boundingBox(), before);
  });
}

/** Keep the node's predictions from the page until what is returned is called. */
async function holdPredictions(page) {
  let release = null;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  await page.routeWebSocket(/.*/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage(async (message) => {
      // Only mf_predictBatch answers with an array of means.
      if (message.includes('"mean":[')) {
        await released;
      }
      socket.send(message);
    });
  });
  return release;
}

test("a rating taken back leaves no trace in the predictions", async () => {
  const page = await openWindow(node.url);
  await speakAs(page, "Charlie");
  await rateAndWait(page, "Vikings", "like");
  const after = await guessOf(page, "Vikings").textContent();
  await rateAndWait(page, "Vikings", "dislike");
  await until(async () => (await guessOf(page, "Vikings").textContent()) !== after, "another prediction");
  await rateAndWait(page, "Vikings", "like");
  await until(async () => (await guessOf(page, "Vikings").textContent()) === after, "the same prediction again");

  const { digest } = await node.call("mf_model");
  await rateAndWait(page, "Ozark", "dislike");
  await card(page, "Ozark").getByRole("button", { name: "Undo your rating of Ozark" }).click();
  await toast(page, "Ozark: rating taken back")
    .getByText(/^In block \d+$/)
    .waitFor();
  await card(page, "Ozark").getByText("no ratings").waitFor();
  assert.equal(await card(page, "Ozark").getByRole("button", { pressed: true }).count(), 0);
  assert.equal((await node.call("mf_model")).digest, digest);
});

test("recommendations leave out what is rated, and follow their order", async () => {
  const page = await openWindow(node.url);
  await speakAs(page, "Dave");
  const picks = page.locator(".picks .link");
  await until(async () => (await picks.count()) === 6, "six recommendations");
  const first = await picks.first().textContent();
  await rateAndWait(page, first, "like");
  await until(async () => !(await picks.allTextContents()).includes(first), "recommendations without it");
  for (const [button, order] of [
    ["Explore", "optimistic"],
    ["Play safe", "pessimistic"],
  ]) {
    await page.getByRole("button", { name: button }).click();
    const address = await page.evaluate(() => sessionStorage.getItem("mfchain.current"));
    const expected = await node.call("mf_recommend", JSON.parse(address), 6, { order });
    const titles = expected.map(({ title }) => title);
    await until(
      async () => (await picks.allTextContents()).join() === titles.join(),
      () => `the order of ${order}`,
    );
  }
});

test("the drawer of an item tells everything, and its address leads back to it", async () => {
  const page = await openWindow(node.url);
  await card(page, "Archer").getByRole("button", { name: "Archer" }).click();
  const drawer = page.getByRole("dialog", { name: "Archer" });
  // Only what has been rated is like anything.
  await node.call("dev_rate", "//Eve", 1, 1);
  await node.call("dev_rate", "//Eve", 6, 1);
  await card(page, "Archer").getByText("1 rating", { exact: true }).waitFor();
  const told = await node.call("mf_predict", ALICE, 1);
  await drawer.getByText(`${told.raw.mean} · ${told.raw.variance}`).waitFor();
  assert.equal(new URL(page.url()).hash, "#rate/1");
  await page.reload();
  await drawer.getByText("What Alice would give it").waitFor();
  await drawer.locator(".similar .link").first().click();
  await drawer.waitFor({ state: "hidden" });
  assert.notEqual(new URL(page.url()).hash, "#rate/1");
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "hidden" });
  // A browser says that a dialog was closed a moment after it has gone.
  await until(() => new URL(page.url()).hash === "#rate", () => `the address of the catalogue, not ${page.url()}`);
});

test("the catalogue is searched, filtered and ordered", async () => {
  const page = await openWindow(node.url);
  const titles = page.locator(".cards h3");
  await until(async () => (await titles.count()) === 16, "all titles");
  await page.getByRole("searchbox").fill("the");
  await page.getByText("3 of 16 items.").waitFor();
  assert.deepEqual(await titles.allTextContents(), ["The Office", "The 100", "Avatar: The Last Airbender"]);
  await page.getByRole("searchbox").fill("no such title");
  await page.getByText("Nothing in the catalogue has that in its title.").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByLabel("Order").selectOption("By title");
  assert.equal(await titles.first().textContent(), "13 Reasons Why");
  await speakAs(page, "Ferdie");
  await rateAndWait(page, "Ozark", "like");
  await page.getByLabel("Show").selectOption("Rated by me");
  await page.getByText("1 of 16 items.").waitFor();
});

test("a transaction that the chain refuses says why, and nothing changes", async () => {
  const page = await openWindow(node.url);
  await page.getByText("Add a title").click();
  const title = "long ".repeat(60).trim();
  await page.getByLabel("Title of the new item").fill(title);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page
    .getByRole("alert")
    .getByText("Not done. The title is too long for the chain. Choose a shorter one.")
    .waitFor();
  assert.equal(await page.getByLabel("Title of the new item").inputValue(), title, "what was typed is still there");
  await page.getByLabel("Title of the new item").fill("Severance");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await card(page, "Severance").waitFor();
});

test("a transaction that the node refuses says why, and nothing changes", async () => {
  const page = await openTab((await openWindow(node.url)).context(), node.url, spoilSignatures);
  await rate(page, "Community", "like");
  const alert = page.getByRole("alert").filter({ hasText: "Community: like" });
  await alert.getByText(/Not done\. The signature does not fit the chain\./).waitFor();
  await card(page, "Community").locator("[aria-busy=false]").first().waitFor();
  assert.equal(await card(page, "Community").getByRole("button", { pressed: true }).count(), 0);
  await alert.getByRole("button", { name: "Dismiss" }).click();
  assert.equal(await page.getByRole("alert").count(), 0);
});

/** Turn a bit of every transaction's signature on its way to the node. */
function spoilSignatures(page) {
  return page.routeWebSocket(/.*/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const asked = JSON.parse(message);
      if (asked.method === "author_submitAndWatchExtrinsic") {
        const [hex] = asked.params;
        const at = 120;
        asked.params[0] = hex.slice(0, at) + (hex[at] === "0" ? "1" : "0") + hex.slice(at + 1);
      }
      server.send(JSON.stringify(asked));
    });
  });
}

test("several ratings at once all come into blocks", async () => {
  const page = await openWindow(node.url);
  await speakAs(page, "Eve");
  const titles = ["Veep", "Archer", "Space Force", "Community"];
  await page.evaluate((wanted) => {
    for (const one of document.querySelectorAll("li.card")) {
      if (wanted.includes(one.querySelector("h3").textContent)) {
        one.querySelector(".option.up").click();
      }
    }
  }, titles);
  for (const title of titles) {
    await card(page, title).getByRole("button", { name: "like", exact: true, pressed: true }).waitFor();
  }
});
