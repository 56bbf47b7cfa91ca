// Prints what the page costs: bytes, time to the first view, main-thread work of each view. Not a test.
//
//     node measure.mjs http://127.0.0.1:9944 [runs]
//
// A long task is main-thread work of more than 50 ms at a stretch, as the Performance API tells it.

import { argv } from "node:process";
import { openWindow, closeAll } from "./support.mjs";

const [, , url = "http://127.0.0.1:9944", runs = "3"] = argv;

function observe(page) {
  return page.addInitScript(() => {
    window.longTasks = [];
    new PerformanceObserver((list) =>
      window.longTasks.push(...list.getEntries().map(({ duration }) => Math.round(duration))),
    ).observe({ type: "longtask", buffered: true });
  });
}

/** Longest task and all work of the main thread while something is done and for a while after it. */
async function work(page, session, name, act) {
  await page.evaluate(() => window.longTasks.splice(0));
  const spent = async () =>
    (await session.send("Performance.getMetrics")).metrics.find((one) => one.name === "TaskDuration").value;
  const before = await spent();
  await act();
  await page.waitForTimeout(3_000);
  const total = Math.round(((await spent()) - before) * 1_000);
  const tasks = await page.evaluate(() => window.longTasks);
  console.log(
    `${name.padEnd(44)} longest task ${String(Math.max(0, ...tasks)).padStart(4)} ms, ${String(total).padStart(5)} ms in 3 s`,
  );
}

for (let run = 0; run < Number(runs); run += 1) {
  const page = await openWindow("about:blank", { reducedMotion: "no-preference" });
  await observe(page);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  await session.send("Network.enable");
  let received = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => {
    received += encodedDataLength;
  });
  const began = Date.now();
  await page.goto(url, { waitUntil: "commit" });
  await page.locator("li.card .lean").filter({ hasText: "90%" }).first().waitFor();
  console.log(
    `first prediction on the page after ${Date.now() - began} ms, ${Math.round(received / 1024)} KiB received`,
  );
  const tasks = await page.evaluate(() => window.longTasks);
  console.log(`${"loading".padEnd(44)} longest task ${String(Math.max(0, ...tasks)).padStart(4)} ms`);
  await work(page, session, "rate: at rest", async () => {});
  await work(page, session, "rate: search, one letter", () => page.getByRole("searchbox").fill("s"));
  await work(page, session, "rate: order by best guess", () => page.getByLabel("Order").selectOption("Best guess"));
  await work(page, session, "rate: a rating", async () => {
    await page.getByRole("searchbox").fill("");
    await page
      .locator("li.card")
      .first()
      .getByRole("button", { name: /^(4|like)$/ })
      .click();
  });
  await work(page, session, "rate: one item", async () => {
    await page.locator("li.card h3 button").first().click();
  });
  await page.keyboard.press("Escape");
  await work(page, session, "watch", () => page.getByRole("link", { name: "Watch" }).click());
  await work(page, session, "watch: another item", async () => {
    await page.locator("canvas").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
  });
  await work(page, session, "back to rate", () => page.getByRole("link", { name: "Rate and predict" }).click());
  console.log(`${Math.round(received / 1024)} KiB received in all\n`);
}
await closeAll();
