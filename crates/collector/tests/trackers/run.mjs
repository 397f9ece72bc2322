// Drives the real trackers against a running collector, and looks at what comes out as rows.
//
//   node run.mjs COLLECTOR_URL DASHBOARD_URL
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { nodeTrackers } from './node.mjs';

const [collector, dashboard] = process.argv.slice(2);
const here = new URL('.', import.meta.url);

/** Page views, clicks, additions to the cart, purchases that each site must show, and its revenue. */
const EXPECTED = {
  'own-browser': [2, 1, 1, 0, 0],
  'plausible.example': [2, 1, 0, 1, 12.5],
  'segment-browser': [1, 0, 1, 0, 0],
  'segment-node': [1, 1, 0, 1, 19.9],
  'snowplow-browser': [1, 0, 0, 0, 0],
  'snowplow-node': [1, 1, 1, 0, 0],
};

/** Requests with events that the page makes: four of the snippet and the one that is refused, four of Plausible's (engagement aside), three of Segment's, one of Snowplow's. */
const BROWSER_REQUESTS = 13;

const files = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const file = pathname.startsWith('/modules/') ? pathname.replace('/modules/', 'node_modules/') : 'page.html';
  try {
    const body = await readFile(new URL(file, here));
    response.setHeader('content-type', file.endsWith('.js') ? 'text/javascript' : 'text/html');
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => { files.listen(0, '127.0.0.1', done); });
const page = `http://localhost:${files.address().port}/shop/?utm_source=test&collector=${encodeURIComponent(collector)}`;

const problems = await nodeTrackers(collector);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const tab = await browser.newPage();
  tab.setDefaultTimeout(120_000);
  const answers = [];
  tab.on('console', (message) => { if (message.type() === 'error' && !/429|ERR_CONNECTION_RESET/.test(message.text())) problems.push(`console: ${message.text()}`); });
  tab.on('pageerror', (error) => problems.push(`page: ${error.message}`));
  tab.on('response', (response) => {
    if (!response.url().startsWith(collector)) return;
    // how long somebody stayed: Plausible sends it whenever the page is left or looked at again, and no event comes of it
    if (/"n":"engagement"/.test(response.request().postData() ?? '')) return;
    answers.push(`${response.request().method()} ${new URL(response.url()).pathname} ${response.status()}`);
    if (!response.ok() && response.status() !== 429) problems.push(`${response.url()}: ${response.status()}`);
  });
  // the snippet's first event is refused for now, then lost on the way, then taken: the same event each time, and it counts once
  const first = [];
  const refused = [];
  await tab.route((url) => url.href.startsWith(`${collector}/v1/events`), async (route) => {
    const body = route.request().postData();
    if (first.length && body !== first[0] || first.length > 2) return route.continue();
    first.push(body);
    refused.push(Date.now());
    if (first.length === 1) return route.fulfill({ status: 429, headers: { 'retry-after': '1', 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Retry-After' }, body: '{}' });
    if (first.length === 2) return route.abort('connectionreset');
    return route.continue();
  });
  await tab.goto(page);
  await tab.waitForFunction(() => window.ready);
  await tab.click('#buy');
  // a place on the same page: nobody counts it as a view
  await tab.click('#below');
  await tab.evaluate(() => { history.pushState({}, '', '/shop/next'); window.cs('add_to_cart', { product_id: 'P9' }); });
  // the rest is in queues and beacons, which end with the browser: wait for the last of them
  const sent = () => answers.filter((line) => line.startsWith('POST')).length;
  const deadline = Date.now() + 120_000;
  while (sent() < BROWSER_REQUESTS && Date.now() < deadline) await tab.waitForTimeout(50);
  if (first.length !== 3 || new Set(first).size !== 1) problems.push(`the first event was sent ${first.length} times, as ${new Set(first).size}`);
  const waits = refused.slice(1).map((at, place) => at - refused[place]);
  if (!(waits[0] >= 1_900 && waits[1] >= 3_900)) problems.push(`it was repeated after ${waits} ms`);
  console.log(answers.sort().join('\n'));
} finally {
  await browser.close();
  files.close();
}

/** The newest window of a site that has an event in it. */
async function window(site) {
  const answer = await fetch(`${dashboard}/api/v1/site?limit=1&site_id=${encodeURIComponent(site)}`);
  return answer.ok ? (await answer.json()).rows?.[0] : undefined;
}

const deadline = Date.now() + 120_000;
const shown = {};
for (const [site, expected] of Object.entries(EXPECTED)) {
  do {
    const row = await window(site);
    shown[site] = row && [row.view_count, row.click_count, row.add_to_cart_count, row.purchase_count, Number(row.revenue)];
    if (JSON.stringify(shown[site]) === JSON.stringify(expected)) break;
    await new Promise((done) => { setTimeout(done, 250); });
  } while (Date.now() < deadline);
  if (JSON.stringify(shown[site]) !== JSON.stringify(expected)) problems.push(`${site}: ${JSON.stringify(shown[site])} instead of ${JSON.stringify(expected)}`);
}
console.table(shown);
for (const problem of problems) console.error(`✗ ${problem}`);
process.exit(problems.length ? 1 : 0);
