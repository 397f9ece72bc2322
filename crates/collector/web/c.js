// clickstream: page views, also of single-page applications, clicks on [data-cs], and cs(type, fields) for the rest.
// Every line stands for itself and comments have lines of their own: both are taken out before it is served.
(() => {
  const { dataset: { site, key }, src } = document.currentScript;
  const url = new URL('/v1/events?key=' + encodeURIComponent(key || ''), src).href;
  const random = () => Date.now().toString(36) + Math.random().toString(36).slice(2);
  // without a store there is no id, and the collector makes one
  const id = (store) => { try { return window[store].cs_id ||= random(); } catch {} };
  // what has not been taken, at most fifty; a repeat has the same event_id, so it counts once
  const queue = [];
  let last, from = document.referrer, tries = 0, busy;
  const send = async () => {
    const body = queue[0];
    if (busy || !body) return;
    busy = 1;
    let wait = 0;
    const answer = await fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {});
    if (answer && answer.status != 429 && answer.status != 503 || ++tries > 4) {
      tries = 0;
      // it may have left with the page
      if (queue[0] == body) queue.shift();
    } else wait = Math.max(answer?.headers.get('retry-after') | 0, 2 ** tries);
    setTimeout(() => { busy = 0; send(); }, wait * 1e3);
  };
  const cs = window.cs = (event_type, more) => {
    queue[49] || queue.push(JSON.stringify({
      event_id: random(), site_id: site, event_type, page_url: location.href, referrer: from,
      user_id: id('localStorage'), session_id: id('sessionStorage'), ...more,
    }));
    send();
  };
  const view = () => {
    let { href, hash } = location;
    // a fragment is a place on the page, unless it looks like a path (#/cart, #!/cart), as the collector has it
    if (hash.replace('!', '')[1] != '/') [href] = href.split('#');
    if (href == last) return;
    from = last || from;
    last = href;
    cs('page_view');
  };
  for (const name of ['pushState', 'replaceState']) {
    const before = history[name];
    history[name] = function () { before.apply(this, arguments); view(); };
  }
  const on = addEventListener;
  on('popstate', view);
  // what is left goes with the page: nobody will be there for an answer
  on('pagehide', () => queue.splice(0).map((body) => navigator.sendBeacon(url, body)));
  on('click', ({ target }) => {
    const data = target.closest?.('[data-cs]')?.dataset;
    data && cs('click', { element: data.cs, product_id: data.csProduct });
  }, true);
  view();
})();
