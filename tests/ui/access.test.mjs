// By keyboard, for screen readers, on telephones and projectors, light and dark.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { card, openWindow, startNode, until, waitForText } from "./support.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
const PROJECTOR = { viewport: { width: 1920, height: 1080 } };

let node = null;

before(async () => {
  node = await startNode("--dev");
  for (const item of [0, 1, 4, 6]) {
    await node.call("dev_rate", "//Alice", item, item < 2 ? 1 : -1);
    await node.call("dev_rate", "//Bob", item, item < 2 ? -1 : 1);
  }
});

/** See that axe finds nothing that matters. The page's own policy keeps injected scripts out, so axe comes by the debugger. */
async function check(page, what) {
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  const told = violations.map(
    ({ id, impact, nodes }) => `${what}: ${impact} ${id}: ${nodes.map(({ target }) => target).join(", ")}`,
  );
  assert.deepEqual(told, []);
}

async function open(path, options) {
  const page = await openWindow(new URL(path, node.url).href, { bypassCSP: true, ...options });
  await page.addScriptTag({ path: AXE });
  return page;
}

for (const [name, options] of [
  ["light, at a desk", { colorScheme: "light" }],
  ["dark, on a telephone", { colorScheme: "dark", ...PHONE }],
]) {
  test(`axe finds nothing: ${name}`, async () => {
    const page = await open("#rate", options);
    await card(page, "Veep").getByText("2 ratings").waitFor();
    await check(page, "the catalogue");
    await card(page, "Veep").getByRole("button", { name: "Veep", exact: true }).click();
    await page.getByRole("dialog").getByText("In the chain, exactly").waitFor();
    await check(page, "the drawer");
    await page.keyboard.press("Escape");
    await page.locator(".account-button").click();
    await check(page, "the accounts");
    await page.getByRole("button", { name: "Restore from a phrase" }).click();
    await check(page, "restoring an account");
    await page.keyboard.press("Escape");
    await page.getByRole("link", { name: "Watch" }).click();
    await page.locator(".block").first().waitFor();
    await waitForText(page.locator(".timeline-latest"), / now, /);
    await check(page, "watching");
  });
}

test("everything by keyboard: to an item, a rating, taken back", async () => {
  const page = await openWindow(node.url);
  await card(page, "Dark").getByText("2 ratings").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate(() => document.activeElement.closest("li.card")?.dataset.item ?? "");
  for (let tabs = 0; (await focused()) !== "5"; tabs += 1) {
    assert.ok(tabs < 60, "the card is reached by Tab");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  const pressed = card(page, "Community").getByRole("button", { pressed: true });
  await pressed.waitFor();
  assert.equal(await pressed.textContent(), "▼dislike");
  assert.equal(await focused(), "5", "the focus stays where it is");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await pressed.waitFor({ state: "detached" });
});

test("nothing is wider than a telephone, and what is touched is large enough", async () => {
  for (const path of ["#rate", "#watch"]) {
    const page = await openWindow(new URL(path, node.url).href, PHONE);
    await page
      .locator(path === "#rate" ? "li.card" : ".block")
      .first()
      .waitFor();
    const { width, small } = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      small: [...document.querySelectorAll("button, a, select, input")]
        .filter((one) => one.checkVisibility() && !one.matches(".skip"))
        .filter((one) => one.getBoundingClientRect().height < 24)
        .map((one) => one.outerHTML),
    }));
    assert.equal(width, PHONE.viewport.width);
    assert.deepEqual(small, []);
  }
});

test("a projector gets larger letters", async () => {
  const page = await openWindow(node.url, PROJECTOR);
  await page.locator("li.card").first().waitFor();
  const size = await page.evaluate(() => Number.parseFloat(getComputedStyle(document.documentElement).fontSize));
  assert.ok(size > 17, `${size} pixels`);
});

test("colours are the system's until somebody chooses", async () => {
  const page = await openWindow(node.url, { colorScheme: "dark" });
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.getByLabel("Colours").selectOption("Light");
  const light = await background();
  assert.notEqual(light, dark);
  await page.reload();
  await until(async () => (await background()) === light, "the choice after a reload");
});
