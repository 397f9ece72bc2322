// The dashboard while much happens: how soon it shows something, whether it ever keeps a reader waiting, whether it grows.
//
//   node load.mjs PATH_OF_CLICKSTREAM MINUTES [OPTIONS of up…]
import { chromium } from 'playwright-core';
import { Up } from './up.mjs';

/** Bounds in milliseconds, and how much the heap may grow between the first and the last third of the time. */
const PAINT = 500;
const TASK = 50;
const GROWTH = 1.1;
const MINUTE = 60_000;

const [binary, minutes, ...options] = process.argv.slice(2);
const up = await Up.start(binary, options.length ? options : ['--rate', '5000']);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const problems = [];
const ms = (times) => times.map((time) => Math.round(time)).join(', ');

/** Runs in the page before anything else: notes when there is something to read, and every task that takes long. */
function observe() {
  window.seen = { shown: null, tasks: [] };
  new PerformanceObserver((list) => list.getEntries().forEach((task) => window.seen.tasks.push([task.startTime, task.duration]))).observe({ type: 'longtask', buffered: true });
  new PerformanceObserver((list) => list.getEntries().filter((frame) => frame.duration > 60).forEach((frame) => {
    const scripts = frame.scripts.map((script) => `${script.sourceFunctionName || script.invoker} ${Math.round(script.duration)}`);
    console.debug(`slow frame at ${Math.round(frame.startTime)}: ${Math.round(frame.duration)} ms, layout ${Math.round(frame.startTime + frame.duration - frame.styleAndLayoutStart)}, ${scripts.join('; ')}`);
  })).observe({ type: 'long-animation-frame' });
  const look = () => {
    if (document.querySelector('section[aria-labelledby=heading-top-pages] tbody tr')) {
      // painted when the frame after this one begins
      requestAnimationFrame(() => requestAnimationFrame(() => { window.seen.shown = performance.now(); }));
    } else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function open(hash = '/') {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const tab = await context.newPage();
  tab.on('console', (message) => { if (process.env.VERBOSE) console.log(`  ${message.text()}`); });
  tab.on('pageerror', (error) => problems.push(error.message));
  await tab.addInitScript(observe);
  await tab.goto(up.url + hash);
  return tab;
}

// the first picture, several times: nothing is in the browser's cache
const paints = [];
const tables = [];
for (let n = 0; n < 7; n += 1) {
  const tab = await open();
  await tab.waitForFunction(() => window.seen.shown !== null);
  paints.push(await tab.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
  tables.push(await tab.evaluate(() => window.seen.shown));
  await tab.context().close();
}
console.log(`first contentful paint after ${ms(paints)} ms, first table after ${ms(tables)} ms`);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
if (median(tables) > PAINT) problems.push(`the first table comes after ${Math.round(median(tables))} ms (median), more than ${PAINT}`);

async function live(name, tab, during) {
  const page = await tab.context().newCDPSession(tab);
  const heap = async () => {
    await page.send('HeapProfiler.collectGarbage');
    return (await page.send('Runtime.getHeapUsage')).usedSize / 1e6;
  };
  await tab.waitForTimeout(5_000);
  const from = await tab.evaluate(() => performance.now());
  const heaps = [await heap()];
  // to take the heap's measure stops the page: what is slow then is not its own doing
  const stops = [];
  for (let passed = 0; passed < during; passed += 1) {
    await tab.waitForTimeout(MINUTE);
    const began = await tab.evaluate(() => performance.now());
    heaps.push(await heap());
    stops.push([began - 100, await tab.evaluate(() => performance.now()) + 100]);
    if (process.env.VERBOSE) console.log(`  minute ${passed + 1}: ${heaps.at(-1).toFixed(2)} MB`);
  }
  const { tasks } = await tab.evaluate(() => window.seen);
  const own = tasks.filter(([at, time]) => at > from && !stops.some(([begin, end]) => at < end && at + time > begin));
  console.log(`${name}, ${during} min: ${own.length} tasks longer than ${TASK} ms (${ms(own.map(([, time]) => time))}); heap in MB ${heaps.map((heap) => heap.toFixed(1)).join(' ')}`);
  if (own.length) problems.push(`${name}: ${own.length} tasks took longer than ${TASK} ms`);
  const third = Math.floor(heaps.length / 3);
  const mean = (list) => list.reduce((sum, heap) => sum + heap, 0) / list.length;
  if (heaps.length >= 6 && mean(heaps.slice(-third)) > GROWTH * mean(heaps.slice(third, 2 * third))) problems.push(`${name}: the heap grows`);
}

const tab = await open();
await tab.waitForFunction(() => window.seen.shown !== null);
await live('analytics', tab, Number(minutes));
await tab.context().close();
await live('pipeline', await open('/#pipeline'), 1);

await browser.close();
await up.end();
for (const problem of problems) console.error(`✗ ${problem}`);
process.exit(problems.length ? 1 : 0);
