// The trackers for servers, as their makers ship them.
import { Analytics } from '@segment/analytics-node';
import { buildPageView, buildSelfDescribingEvent, buildStructEvent, newTracker } from '@snowplow/node-tracker';

/** Sends a few events with each; resolves when all are answered. */
export async function nodeTrackers(collector) {
  const errors = [];
  const segment = new Analytics({ writeKey: 'segment-node', host: collector, flushAt: 3 });
  segment.on('error', (error) => errors.push(`segment: ${JSON.stringify(error)}`));
  segment.page({ anonymousId: 'a1', properties: { url: 'https://shop.example/node/?utm_source=x' } });
  segment.track({ anonymousId: 'a1', event: 'Order Completed', properties: { revenue: 19.9, currency: 'EUR', products: [{ product_id: 'P7' }] } });
  segment.track({ userId: 'u2', event: 'Signed Up' });
  segment.identify({ userId: 'u2', traits: { name: 'N' } });
  await segment.closeAndFlush();

  const { hostname, port } = new URL(collector);
  const snowplow = newTracker(
    { namespace: 'n', appId: 'snowplow-node', encodeBase64: true },
    { endpoint: hostname, port: Number(port), protocol: 'http', bufferSize: 1, eventMethod: 'post', onRequestFailure: (failed) => errors.push(`snowplow: ${JSON.stringify(failed)}`) },
  );
  snowplow.setDomainUserId('d1');
  snowplow.track(buildPageView({ pageUrl: 'https://shop.example/snow', referrer: 'https://search.example/' }));
  snowplow.track(buildStructEvent({ category: 'shop', action: 'add-to-cart', label: 'P3' }));
  snowplow.track(buildSelfDescribingEvent({ event: { schema: 'iglu:com.acme/viewed_offer/jsonschema/1-0-0', data: { n: 1 } } }));
  await snowplow.flush();
  return errors;
}
