// A failure in the words of the screen. What is no expected failure stays one and is thrown on.
import { ANSWER_MAX_MS, NoAnswer } from '../door/api';
import { WrongShape } from '../door/shape';
import { say } from './say.svelte';

export function why(error: unknown): string {
  if (error instanceof WrongShape) return say('why_shape', { what: error.message });
  if (!(error instanceof NoAnswer)) throw error;
  switch (error.reason) {
    case 'timeout':
      return say('why_timeout', { s: ANSWER_MAX_MS / 1000 });
    case 'unreachable':
      return say('why_unreachable');
    case 'log_in':
      return say('why_log_in');
    case 'refused':
      return error.message;
  }
}
