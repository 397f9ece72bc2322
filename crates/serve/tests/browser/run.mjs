// Looks at the dashboard of a running pipeline as its readers do.
//
//   node run.mjs PATH_OF_CLICKSTREAM
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Up } from './up.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const shots = process.env.SCREENSHOTS ?? '.';
const DESK = { viewport: { width: 1400, height: 900 }, bypassCSP: true, colorScheme: 'light' };

const up = await Up.start(process.argv[2]);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
let failed = 0;

/** Runs one check in a tab of its own; anything on the console is a failure, unless it is expected. */
async function check(name, options, act, { expected = /^$/ } = {}) {
  const context = await browser.newContext({ ...DESK, ...options });
  const tab = await context.newPage();
  const problems = [];
  tab.on('console', (message) => { if (['error', 'warning'].includes(message.type()) && !expected.test(message.text())) problems.push(message.text()); });
  tab.on('pageerror', (error) => problems.push(error.stack ?? error.message));
  tab.on('response', (answer) => { if (answer.status() >= 400) problems.push(`${answer.status()} ${answer.url()}`); });
  tab.on('request', (request) => { if (!request.url().startsWith(up.url) && !request.url().startsWith('data:')) problems.push(`external request: ${request.url()}`); });
  try {
    await tab.goto(up.url + (options.hash ?? '/'));
    await act(tab);
    await tab.screenshot({ path: join(shots, `${name.replaceAll(' ', '-')}.png`), fullPage: true });
    assert.deepEqual(problems, []);
    console.log(`✓ ${name}`);
  } catch (error) {
    failed += 1;
    console.error(`✗ ${name}: ${error.message}`);
    await tab.screenshot({ path: join(shots, `failed-${name.replaceAll(' ', '-')}.png`) }).catch(() => {});
  }
  await context.close();
}

/** Waits until a table has rows and the stream is connected. */
async function shown(tab) {
  await tab.waitForSelector('.live.on');
  await tab.waitForSelector('section[aria-labelledby=heading-top-pages] tbody tr');
}

async function accessible(tab) {
  await tab.addScriptTag({ path: axe });
  const found = await tab.evaluate(async () => (await window.axe.run()).violations.map((v) => `${v.impact} ${v.id}: ${v.nodes[0].html.slice(0, 160)}`));
  assert.deepEqual(found, [], 'axe');
}

const number = (text) => Number(text.replace(/[^0-9.-]/g, ''));
const top = (tab) => tab.$$eval('section[aria-labelledby=heading-top-pages] tbody tr', (rows) => rows.map((row) => ({
  page: row.querySelector('.pick').textContent,
  views: row.querySelectorAll('td.n')[0].textContent,
})));

await check('live', {}, async (tab) => {
  await shown(tab);
  const before = await tab.textContent('#window');
  await tab.waitForFunction((old) => document.querySelector('#window').textContent !== old, before, { timeout: 15_000 });
  await accessible(tab);
});

await check('numbers', {}, async (tab) => {
  await shown(tab);
  // stop the stream, so that what is shown stands still
  await tab.waitForTimeout(2_500);
  await tab.context().setOffline(true);
  const list = await top(tab);
  const kpis = await tab.$$eval('.kpi', (cards) => cards.map((card) => [card.getAttribute('aria-label'), card.querySelector('.value').textContent]));
  const end = await tab.evaluate(async () => (await import('/web/state.js')).state.latest['top-pages'].window_end).catch(() => null);
  await tab.context().setOffline(false);
  assert.ok(end, 'the window that is shown is known');
  const rest = await up.get(`/pages/top?window_end=${end}`);
  assert.deepEqual(list.map((row) => [row.page, number(row.views)]), rest.rows.map((row) => [row.page_url, row.view_count]));
  const site = (await up.get(`/site?from=${end}&to=${end}`)).rows[0];
  const shownKpis = Object.fromEntries(kpis);
  assert.equal(number(shownKpis['Page views']), site.view_count);
  assert.equal(number(shownKpis.Users), site.unique_users);
  assert.equal(number(shownKpis['Current visitors']), site.active_sessions);
  const pages = await up.get(`/pages?window_end=${end}&limit=1000`);
  assert.equal(pages.rows.reduce((sum, row) => sum + row.view_count, 0), site.view_count, 'pages add up to the site');
}, { expected: /ERR_INTERNET_DISCONNECTED|Failed to (load|fetch)/ });

await check('filter', {}, async (tab) => {
  await shown(tab);
  const [{ page }] = await top(tab);
  await tab.fill('#page', page);
  await tab.press('#page', 'Enter');
  await tab.waitForSelector('.kpi[aria-label="Click-through"]');
  assert.equal(await tab.inputValue('#page'), page);
  await tab.keyboard.press('Escape');
  await tab.click('#clear');
  await tab.waitForSelector('.kpi[aria-label="Current visitors"]');
});

await check('why', {}, async (tab) => {
  await shown(tab);
  const [{ page }] = await top(tab);
  await tab.click('section[aria-labelledby=heading-top-pages] tbody .why');
  await tab.waitForFunction((name) => document.querySelector('#why').open && document.querySelector('#why').textContent.includes(name) && /partition|offset/i.test(document.querySelector('#why').textContent), page, { timeout: 15_000 });
  await tab.keyboard.press('Escape');
});

await check('dark', { colorScheme: 'dark' }, async (tab) => {
  await shown(tab);
  const [r, g, b] = (await tab.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  assert.ok(r + g + b < 200, `the page is dark: ${r} ${g} ${b}`);
  await accessible(tab);
});

await check('phone', { viewport: { width: 390, height: 844 } }, async (tab) => {
  await shown(tab);
  assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
  await accessible(tab);
});

await check('pipeline', { hash: '/#pipeline' }, async (tab) => {
  await tab.waitForSelector('#pipeline:not([hidden])');
  await tab.waitForFunction(() => /events/.test(document.querySelector('#pipeline').textContent));
  await accessible(tab);
});

await check('reconnect', {}, async (tab) => {
  await shown(tab);
  await up.stop();
  await tab.waitForSelector('.live:not(.on)', { timeout: 15_000 });
  await up.again();
  await tab.waitForSelector('.live.on', { timeout: 30_000 });
  const before = await tab.textContent('#window');
  await tab.waitForFunction((old) => document.querySelector('#window').textContent !== old, before, { timeout: 30_000 });
}, { expected: /ERR_|Failed to/ });

await browser.close();
await up.end();
process.exit(failed ? 1 : 0);
