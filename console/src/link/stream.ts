// The stream over `EventSource`. Its own reconnection is not used: after any end the link reads a
// snapshot first.
import { EVENT_NAMES } from '../door/stream';
import type { Stream, StreamEar } from './link';

export function openStream(after: number, ear: StreamEar): Stream {
  const source = new EventSource(`/api/v1/stream?after=${after}`);
  source.onopen = () => ear.opened();
  source.onerror = () => {
    source.close();
    ear.ended();
  };
  for (const name of EVENT_NAMES) {
    source.addEventListener(name, (event) => {
      if (event instanceof MessageEvent) ear.heard(name, String(event.data));
    });
  }
  return { close: () => source.close() };
}
