// Calls for one occurrence: who was tried, how far each attempt came, what comes next and when.
import { field, fields, list, listOf, moment, oneOf, orNull, text, textOrEmpty, whole, type Door, type Fields } from './shape';

export const OUTCOMES = ['answered', 'no_answer', 'busy', 'invalid_number'] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const DELIVERIES = ['intended', 'failed', 'sent', 'delivered', 'read', 'answered', 'confirmed', 'replied'] as const;
export type Delivery = (typeof DELIVERIES)[number];

export const CALL_STATES = ['not_called', 'calling', 'awaiting_feedback', 'reached', 'quiet', 'spoken_for', 'settled'] as const;
export type CallState = (typeof CALL_STATES)[number];

/** A word of the dictionary, and how the centre says it in Chinese. */
export interface Word {
  readonly key: string;
  readonly zh: string;
}

export interface Send {
  readonly channel: string;
  readonly failed: string | null;
}

export interface Attempt {
  readonly attempt: number;
  readonly at: number;
  /** The name, or the id where there is none. */
  readonly person: string;
  readonly slot: Word;
  readonly reason: Word;
  readonly state: Delivery;
  readonly outcome: Outcome | null;
  readonly answeredAt: number | null;
  readonly confirmedAt: number | null;
  readonly wrongDigits: number;
  readonly recordedBy: string;
  readonly reply: string;
  readonly sends: readonly Send[];
}

export interface NextCall {
  readonly at: number;
  readonly person: string;
  readonly slot: Word;
  readonly reason: Word;
  readonly channels: readonly string[];
}

export interface Calls {
  /** Names the ladder; a package has its own name. */
  readonly alarm: string;
  readonly occurrence: number;
  /** Occurrences that share it. */
  readonly count: number;
  readonly state: CallState;
  readonly replyDue: number | null;
  readonly next: NextCall | null;
  readonly attempts: readonly Attempt[];
}

/** A word alone, or with its Chinese. */
const word: Door<Word> = (value, where) => {
  if (typeof value === 'string') return { key: value, zh: '' };
  const of = fields(value, where);
  return { key: field(of, 'key', textOrEmpty, where), zh: field(of, 'zh', textOrEmpty, where) };
};

function person(of: Fields, where: string): string {
  const name = field(of, 'name', textOrEmpty, where);
  return name === '' ? field(of, 'person', text, where) : name;
}

const send: Door<Send> = (value, where) => {
  const of = fields(value, where);
  const failed = of['failed'] ?? null;
  const why = failed === null ? null : field(fields(failed, `${where}.failed`), 'why', textOrEmpty, where);
  return { channel: field(of, 'channel', text, where), failed: why };
};

const reply: Door<string> = (value, where) => {
  const of = fields(value, where);
  const affected = field(of, 'affected', orNull(whole), where);
  const said = [field(of, 'commander', textOrEmpty, where), affected === null ? '' : String(affected), field(of, 'text', textOrEmpty, where)];
  return said.filter((part) => part !== '').join(' · ');
};

const attempt: Door<Attempt> = (value, where) => {
  const of = fields(value, where);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    attempt: get('attempt', whole),
    at: get('at', moment),
    person: person(of, where),
    slot: get('slot', word),
    reason: get('reason', word),
    state: get('state', oneOf(...DELIVERIES)),
    outcome: get('outcome', orNull(oneOf(...OUTCOMES))),
    answeredAt: get('answered_at', orNull(moment)),
    confirmedAt: get('confirmed_at', orNull(moment)),
    wrongDigits: get('wrong_digits', orNull(whole)) ?? 0,
    recordedBy: get('recorded_by', textOrEmpty),
    reply: get('reply', orNull(reply)) ?? '',
    sends: get('sends', listOf(send)),
  };
};

const nextCall: Door<NextCall> = (value, where) => {
  const of = fields(value, where);
  return {
    at: field(of, 'at', moment, where),
    person: person(of, where),
    slot: field(of, 'slot', word, where),
    reason: field(of, 'reason', word, where),
    channels: field(of, 'channels', listOf(text), where),
  };
};

/** An occurrence that was put into a package is called for as the package. */
export const calls: Door<Calls> = (value, where) => {
  const own = fields(value, where);
  const of = own['package'] === undefined || own['package'] === null ? own : fields(own['package'], `${where}.package`);
  const get = <T>(name: string, door: Door<T>): T => field(of, name, door, where);
  return {
    alarm: get('alarm', text),
    occurrence: get('occurrence', whole),
    count: Math.max(get('count', orNull(whole)) ?? 0, get('members', orNull(list))?.length ?? 0),
    state: get('state', oneOf(...CALL_STATES)),
    replyDue: get('reply_due', orNull(moment)),
    next: get('next', orNull(nextCall)),
    attempts: get('attempts', listOf(attempt)),
  };
};
