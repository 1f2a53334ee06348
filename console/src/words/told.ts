// What became of a command, in the words of the desk.
import type { AckResult, Given } from '../door/commands';
import type { Order } from '../door/api';
import type { Alarm } from '../door/desk';
import { say } from './say.svelte';

/** Words of a notice under the list. */
export interface Notice {
  readonly text: string;
  readonly refused: boolean;
}

export function nameOf(alarm: Alarm): string {
  return `${alarm.tag === '' ? alarm.gateway : alarm.tag} ${say(alarm.kind)}`;
}

/** `fresh`: an acknowledgement was meant, not only a note. */
export function ackTold(results: readonly AckResult[] | string, acks: readonly Alarm[], fresh: boolean): Notice {
  if (typeof results === 'string') return { text: say('ack_unsent', { why: results }), refused: true };
  const wrong = results.flatMap(({ alarm, occurrence, outcome, why }) => {
    const meant = acks.find((ack) => ack.alarm === alarm && ack.occurrence === occurrence);
    const tag = meant === undefined ? alarm : nameOf(meant);
    switch (outcome) {
      case 'acknowledged':
        return [];
      case 'stale':
        return [say('ack_stale', { tag })];
      case 'refused':
        return [say(fresh ? 'ack_refused' : 'note_refused', { tag, why })];
      case 'unknown':
        return [say('ack_unknown', { tag })];
    }
  });
  const done = results.length - wrong.length;
  const good = done === 0 ? [] : [fresh ? say('done_ack', { n: done }) : say('done_note')];
  return { text: [...wrong, ...good].join('；'), refused: wrong.length > 0 };
}

export function orderTold(result: Given | string, order: Order, alarm: Alarm): Notice {
  const tag = nameOf(alarm);
  if (typeof result === 'string') return { text: say('order_unsent', { tag, why: result }), refused: true };
  switch (result.outcome) {
    case 'done':
      return { text: say(`done_${order.kind}`, { tag }), refused: false };
    case 'refused':
      return { text: say('order_refused', { tag, why: result.why }), refused: true };
    case 'unknown':
      return { text: say('order_unknown', { tag }), refused: true };
  }
}
