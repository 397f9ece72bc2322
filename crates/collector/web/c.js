// clickstream: page views, also of single-page applications, clicks on [data-cs], and cs(type, fields) for the rest
(() => {
  const script = document.currentScript, { site, key } = script.dataset;
  const url = new URL('/v1/events?key=' + encodeURIComponent(key || ''), script.src).href;
  const random = () => Date.now().toString(36) + Math.random().toString(36).slice(2);
  const id = (store) => {
    try { return window[store].cs_id ||= random(); } catch { /* none: the collector makes one */ }
  };
  let last, from = document.referrer;
  const cs = window.cs = (event_type, more) => {
    const body = JSON.stringify({
      event_id: random(), site_id: site, event_type, page_url: location.href, referrer: from,
      user_id: id('localStorage'), session_id: id('sessionStorage'), ...more,
    });
    navigator.sendBeacon?.(url, body) || fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {});
  };
  const view = () => {
    if (location.href === last) return;
    from = last || from;
    last = location.href;
    cs('page_view');
  };
  for (const name of ['pushState', 'replaceState']) {
    const before = history[name];
    history[name] = function () { before.apply(this, arguments); view(); };
  }
  addEventListener('popstate', view);
  addEventListener('click', (event) => {
    const data = event.target.closest?.('[data-cs]')?.dataset;
    if (data) cs('click', { element: data.cs, product_id: data.csProduct });
  }, true);
  view();
})();
