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
  tab.setDefaultTimeout(120_000);
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

/** Waits until an asynchronous condition holds: `waitForFunction` takes its promise for a yes. */
async function until(tab, holds, argument) {
  const deadline = Date.now() + 120_000;
  while (!(await tab.evaluate(holds, argument))) {
    assert.ok(Date.now() < deadline, `not within two minutes: ${holds}`);
    await tab.waitForTimeout(50);
  }
}

async function accessible(tab) {
  await tab.addScriptTag({ path: axe });
  // WCAG 2.2 asks for targets of 24 px, or room around them; axe leaves that out unless it is asked
  const found = await tab.evaluate(async () => (await window.axe.run({ rules: { "target-size": { enabled: true } } })).violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.length} × ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary?.slice(0, 200)}`));
  assert.deepEqual(found, [], 'axe');
}

const number = (text) => Number(text.replace(/[^0-9.-]/g, ''));
const top = (tab) => tab.$$eval('section[aria-labelledby=heading-top-pages] tbody tr', (rows) => rows.map((row) => ({
  page: row.querySelector('.pick').textContent,
  views: row.querySelectorAll('td.n')[0].textContent,
})));

await check('live', {}, async (tab) => {
  await shown(tab);
  const bytes = await tab.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .filter((entry) => !entry.name.includes('/api/')).reduce((sum, entry) => sum + entry.transferSize, 0));
  console.log(`  the dashboard itself is ${Math.round(bytes / 1000)} kB over the wire`);
  assert.ok(bytes > 20_000 && bytes < 250_000, `${bytes} bytes`);
  assert.equal(await tab.evaluate(() => window.early.size), 0, 'what early.js asks for is what is shown first');
  const before = await tab.textContent('#window');
  await tab.waitForFunction((old) => document.querySelector('#window').textContent !== old, before, { timeout: 120_000 });
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
  const flow = await tab.$$eval('.flow g.node title', (titles) => titles.map((title) => title.textContent));
  const flowEnd = await tab.evaluate(async () => (await import('/web/state.js')).state.latest['page-transitions'].window_end).catch(() => null);
  await tab.context().setOffline(false);
  assert.ok(end, 'the window that is shown is known');
  const rest = await up.get(`/pages/top?window_end=${end}`);
  assert.deepEqual(list.map((row) => [row.page, number(row.views)]), rest.rows.map((row) => [row.page_url, row.view_count]));
  const site = (await up.get(`/site?from=${end}&to=${end}`)).rows[0];
  const shownKpis = Object.fromEntries(kpis);
  assert.equal(number(shownKpis['Page views']), site.view_count);
  assert.equal(number(shownKpis['Current visitors']), site.unique_users);
  assert.equal(number(shownKpis.Sessions), site.active_sessions);
  const pages = await up.get(`/pages?window_end=${end}&limit=1000`);
  assert.equal(pages.rows.reduce((sum, row) => sum + row.view_count, 0), site.view_count, 'pages add up to the site');
  // a page of the flow has all of its departures, also those that no list has room for
  const [, from, departures] = flow[0].match(/^(.*): ([\d.,\s]+); show only this page$/);
  const of = `window_end=${flowEnd}&page_url=${encodeURIComponent(from)}&limit=1000`;
  const ways = (await up.get(`/transitions?${of}`)).rows.filter((row) => row.from_page === from);
  const [doors] = (await up.get(`/entry-exit?${of}`)).rows;
  assert.equal(number(departures), ways.reduce((sum, row) => sum + row.transition_count, 0) + doors.exits, `departures from ${from}`);
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

await check('a page that there is not', {}, async (tab) => {
  await shown(tab);
  await tab.fill('#page', '/nosuch');
  await tab.press('#page', 'Enter');
  await tab.waitForFunction(() => /nothing happened on a page “\/nosuch”/i.test(document.querySelector('#analytics .notice:not([hidden])')?.textContent));
  await tab.waitForFunction(() => document.querySelector('.kpi[aria-label="Page views"] .value').textContent === '0');
  const said = await tab.textContent('#analytics');
  assert.ok(!/No session has closed yet|No results yet|no results yet/.test(said), 'what is not there is not said to be still to come');
  await accessible(tab);
});

await check('comparison', {}, async (tab) => {
  // windows of 20 s: with a full one 20 s before only after 40 s, which have not passed yet, or have
  await shown(tab);
  const { history, compared } = await tab.evaluate(async () => {
    const { state, before } = await import('/web/state.js');
    return { history: state.history.map((row) => row.window_end), compared: before().row?.window_end ?? null };
  });
  const first = Date.parse(history[0]);
  const newest = Date.parse(history.at(-1));
  assert.equal(compared !== null, newest - 40_000 >= first, `${history[0]} to ${history.at(-1)}, compared with ${compared}`);
  const change = await tab.textContent('.kpi[aria-label="Page views"] .change');
  assert.match(change, compared ? /vs\. .* ago/ : /to be compared from \d\d:\d\d on$/);
});

await check('without bots', {}, async (tab) => {
  await shown(tab);
  const marked = () => tab.$$eval('.bots:not([hidden])', (marks) => marks.map((mark) => mark.closest('.kpi, .panel').querySelector('h2, .name').firstChild.textContent));
  assert.deepEqual(await marked(), []);
  await tab.check('#people');
  await tab.waitForSelector('.kpi .bots');
  await tab.waitForFunction(() => document.querySelectorAll('.panel .bots:not([hidden])').length >= 7);
  assert.deepEqual((await marked()).sort(), ['Bounce rate', 'Common paths', 'Funnel', 'Journeys', 'Sessions', 'Sessions', 'Time on page', 'Trending']);
  await accessible(tab);
});

await check('looking back', {}, async (tab) => {
  await shown(tab);
  const ends = async () => tab.evaluate(async () => {
    const { state, now } = await import('/web/state.js');
    return { at: state.at, newest: now()?.window_end, top: state.latest['top-pages']?.window_end };
  });
  const before = await ends();
  await tab.click('#earlier');
  await tab.waitForFunction(() => /looking back/.test(document.querySelector('#live').textContent));
  await until(tab, async () => {
    const { state, now } = await import('/web/state.js');
    return state.at && now()?.window_end === state.at && state.latest['top-pages']?.window_end === state.at;
  });
  const back = await ends();
  assert.ok(back.at < before.newest, 'an earlier window');
  // what comes meanwhile changes nothing
  await tab.waitForTimeout(4_500);
  assert.deepEqual(await ends(), back);
  const rest = await up.get(`/pages/top?window_end=${back.at}`);
  assert.deepEqual((await top(tab)).map((row) => [row.page, number(row.views)]), rest.rows.map((row) => [row.page_url, row.view_count]));
  await accessible(tab);
  // so long ago there is nothing: the oldest window is shown, and it is said
  await tab.fill('#moment', '2020-01-01T00:00:00');
  await tab.waitForFunction(() => /nothing of before .* is kept/.test(document.querySelector('#live').textContent));
  await tab.click('#newest');
  await tab.waitForFunction((old) => document.querySelector('#later').hidden && document.querySelector('#live').textContent.includes('live'), null);
  await until(tab, async (old) => (await import('/web/state.js')).state.latest['top-pages']?.window_end > old, before.newest);
});

/** Opens an explanation, waits for its events, and gives its text; no request may fail. */
async function explained(tab, button) {
  await button.click();
  await tab.waitForFunction(() => document.querySelector('#why').open && /as partition:offset|counted\n|No |nothing/.test(document.querySelector('#why').textContent) && !/asking the log/.test(document.querySelector('#why').textContent), null, { timeout: 120_000 });
  const text = await tab.textContent('#why');
  await tab.click('#why .button.main');
  return text;
}

await check('why of everything', {}, async (tab) => {
  await shown(tab);
  await until(tab, async () => (await import('/web/state.js')).state.status?.slide_ms);
  const kpi = await explained(tab, tab.locator('.kpi .why').first());
  assert.match(kpi, /clickstream explain --site shop --window-end \S+Z --metric unique_users --data-dir \S+/);
  const header = await explained(tab, tab.locator('section[aria-labelledby=heading-funnel] header .why'));
  assert.match(header, /as partition:offset/);
  const session = await explained(tab, tab.locator('section[aria-labelledby=heading-sessions] tbody .why').first());
  assert.match(session, /--session \S+ --window-end/);
  assert.match(session, /as partition:offset/);
  const bot = tab.locator('section[aria-labelledby=heading-anomalies] li:has(.badge.bot) .why').first();
  await bot.waitFor({ timeout: 120_000 });
  const user = await explained(tab, bot);
  assert.match(user, /--user \S+ --window-end/);
  assert.match(user, /Rule “(declared|fast|metronome|repeated|crawl)”/);
  assert.doesNotMatch(user, /spike|drop/);
  assert.doesNotMatch(user, /no window ends at/);
});

await check('a log of the past', {}, async (tab) => {
  await shown(tab);
  // as if it were a fortnight later: neither is it live, nor may a time stand without its day
  await tab.evaluate(async () => {
    const { state, changed } = await import('/web/state.js');
    const now = Date.now;
    Date.now = () => now() + 14 * 86_400_000;
    (await import('/web/format.js')).useUtc(true);
    const old = state.status;
    Object.defineProperty(state, 'status', { get: () => ({ ...old, at: new Date(Date.now()).toISOString() }), set() {} });
    changed('connection', 'page', 'site-metrics', 'anomalies', 'sessions');
  });
  await tab.waitForFunction(() => /newest results 1[34] days old/.test(document.querySelector('#live').textContent));
  assert.match(await tab.textContent('#window'), /window \w+,? \d+ \w+ \d{4}, \d\d:\d\d:\d\d – \d\d:\d\d:\d\d/);
  assert.match(await tab.textContent('section[aria-labelledby=heading-top-pages] header'), /\d+ \w{3} \d\d:\d\d:\d\d/);
});

await check('why', {}, async (tab) => {
  await shown(tab);
  const [{ page }] = await top(tab);
  await tab.click('section[aria-labelledby=heading-top-pages] tbody .why');
  await tab.waitForFunction((name) => document.querySelector('#why').open && document.querySelector('#why').textContent.includes(name) && /partition|offset/i.test(document.querySelector('#why').textContent), page, { timeout: 120_000 });
  // the list behind it is drawn anew with the next window; who closes the dialog is where it was opened all the same
  const before = await tab.textContent('#window');
  await tab.waitForFunction((old) => document.querySelector('#window').textContent !== old, before);
  await tab.keyboard.press('Escape');
  assert.match(await tab.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName), /^Why this number: Views of /);
});

await check('dark', { colorScheme: 'dark' }, async (tab) => {
  await shown(tab);
  const [r, g, b] = (await tab.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  assert.ok(r + g + b < 200, `the page is dark: ${r} ${g} ${b}`);
  await accessible(tab);
});

await check('proof marks', { viewport: { width: 390, height: 844 } }, async (tab) => {
  await shown(tab);
  await until(tab, async () => (await import('/web/state.js')).state.status?.proof.state === 'proven');
  assert.match(await tab.locator('#legend').innerText(), /✓ .+ ○ /);
  // who looks back gets no more rows: what a mark says may only come from the proof
  await tab.click('#earlier');
  await until(tab, async () => {
    const { state, now } = await import('/web/state.js');
    return state.at && now()?.window_end === state.at && state.latest['top-pages']?.window_end === state.at;
  });
  await tab.waitForTimeout(2_500);
  // and no reports but ours
  await tab.evaluate(async () => {
    const { state } = await import('/web/state.js');
    let status = state.status;
    Object.defineProperty(state, 'status', { get: () => status, set: (next) => { if (next.ours) status = next; } });
  });
  const marks = (upTo) => tab.evaluate(async (up_to) => {
    const { report, state } = await import('/web/state.js');
    report({ ...state.status, ours: true, proof: { ...state.status.proof, state: 'proven', up_to } });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)));
    return [...document.querySelectorAll('.mark')].filter((mark) => mark.checkVisibility()).map((mark) => `${mark.textContent} ${mark.title.split('up to ')[1]}`);
  }, upTo);
  const clock = (text) => tab.evaluate(async (at) => (await import('/web/format.js')).clock(at), text);
  for (const [upTo, sign] of [['2020-01-01T00:00:00.000Z', '○'], ['2999-01-01T00:00:00.000Z', '✓']]) {
    const found = await marks(upTo);
    assert.ok(found.length >= 12, `${found.length} marks`);
    assert.deepEqual(new Set(found), new Set([`${sign} ${await clock(upTo)}`]));
    assert.match(await tab.textContent('#proof'), new RegExp(await clock(upTo)));
  }
});

/** A job of Flink with more tasks than fit side by side. */
const JOB = {
  state: 'RUNNING',
  vertices: Array.from({ length: 9 }, (_, depth) => Array.from({ length: depth ? 7 : 1 }, (_, n) => ({
    id: `${depth}-${n}`, name: `SlidingUserCounts[${10 * depth + n}] -> Calc[1]`, parallelism: 2, status: 'RUNNING', inputs: depth ? [depth > 1 ? `${depth - 1}-${n}` : '0-0'] : [],
    per_second: [1000, 500], busy: 0.4, back_pressured: 0.02, idle: 0.58,
  }))).flat(),
};

for (const [name, width, height] of [['phone', 390, 844], ['desk', 1280, 900]]) {
  await check(`the job on a ${name}`, { hash: '/#pipeline', viewport: { width, height } }, async (tab) => {
    await until(tab, async () => (await import('/web/state.js')).state.status?.slide_ms);
    await tab.evaluate(async (job) => {
      const { report, state } = await import('/web/state.js');
      let status = { ...state.status, engine: 'flink', job };
      Object.defineProperty(state, 'status', { get: () => status, set: (next) => { status = { ...next, engine: 'flink', job }; } });
      report(state.status);
    }, JOB);
    await tab.waitForSelector('.task');
    await tab.waitForTimeout(600);
    const seen = () => tab.evaluate(() => {
      const [box, first] = [document.querySelector('.job'), document.querySelector('.task')].map((element) => element.getBoundingClientRect());
      const job = document.querySelector('.job');
      const hint = job.parentElement.querySelector('.more');
      return { left: first.left - box.left, top: first.top - box.top, wide: job.scrollWidth - job.clientWidth, hint: hint.checkVisibility() ? hint.textContent : '', screen: document.documentElement.scrollWidth };
    });
    const at = await seen();
    assert.ok(at.left < 20 && at.top < 40, `the first task stands at the top left: ${JSON.stringify(at)}`);
    assert.ok(at.screen <= width, 'the page is not wider than the screen');
    if (name === 'phone') assert.ok(at.wide <= 0, `a list needs no scrolling sideways: ${at.wide}`);
    else {
      assert.ok(at.wide > 100 && /right/.test(at.hint), `what is cut says so: ${JSON.stringify(at)}`);
      await tab.$eval('.job', (job) => { job.scrollLeft = job.scrollWidth; });
      await tab.waitForFunction(() => /left/.test(document.querySelector('.job').parentElement.querySelector('.more').textContent));
    }
    await accessible(tab);
  });
}

await check('phone', { viewport: { width: 390, height: 844 } }, async (tab) => {
  await shown(tab);
  assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
  await accessible(tab);
});

await check('pipeline', { hash: '/#pipeline' }, async (tab) => {
  await tab.waitForSelector('#pipeline:not([hidden])');
  await tab.waitForFunction(() => /events/.test(document.querySelector('#pipeline').textContent));
  await tab.waitForFunction(() => /duplicates since the start[1-9]/.test(document.querySelector('#pipeline').textContent));
  assert.doesNotMatch(await tab.textContent('#pipeline .stages h2 + .figure, #pipeline .stages'), /Kafka/);
  await accessible(tab);
});

await check('a second site', {}, async (tab) => {
  const shown = await tab.evaluate(async () => (await (await fetch('/api/v1/sites')).json()).default);
  let asked = 0;
  await tab.route('**/api/v1/sites?*', (route) => {
    asked += 1;
    const sites = asked > 1 ? ['a-first-by-name', shown] : [shown];
    return route.fulfill({ json: { default: shown, total: sites.length, sites } });
  });
  await tab.reload();
  await tab.waitForSelector('#site-field:not([hidden])');
  assert.equal(await tab.inputValue('#site'), shown, 'the site named is the one that is shown');
});

await check('dead letters of one reason', {}, async (tab) => {
  await shown(tab);
  const chip = tab.locator('[data-reason="late"]');
  await chip.click();
  await tab.waitForSelector('[data-reason="late"][aria-pressed="true"]');
  const reasons = await tab.$$eval('section[aria-labelledby=heading-dead-letters] tbody td:first-child', (cells) => cells.map((cell) => cell.textContent));
  assert.ok(reasons.length && reasons.every((reason) => reason === 'late'), reasons.join());
  assert.equal(await tab.evaluate(() => document.activeElement.dataset.reason), 'late');
  await chip.click();
  await tab.waitForSelector('[data-reason="late"][aria-pressed="false"]');
});

await check('reconnect', {}, async (tab) => {
  await shown(tab);
  await up.stop();
  await tab.waitForSelector('.live:not(.on)', { timeout: 120_000 });
  await up.again();
  await tab.waitForSelector('.live.on', { timeout: 120_000 });
  const before = await tab.textContent('#window');
  await tab.waitForFunction((old) => document.querySelector('#window').textContent !== old, before, { timeout: 120_000 });
}, { expected: /ERR_|Failed to/ });

await browser.close();
await up.end();
process.exit(failed ? 1 : 0);
