// A ladder of calls in the shape of GET /api/v1/calls/{alarm}/{occurrence}: the mock's script writes
// it, answers recorded by hand change it.

/** Digits that every called person reads back. */
export const DIGITS = '4821';

const SLOTS = { duty: '值班员', lead: '带班领导' };

export function newLadder(alarm, stamp, now) {
  return {
    alarm: alarm.alarm, occurrence: alarm.occurrence, priority: alarm.priority, state: 'calling', opened_at: stamp(now - 90_000),
    reply_due: null, reply_within: stamp(now + 600_000),
    next: {
      at: stamp(now + 45_000), person: 'li', name: '李强', slot: 'lead', kind: 'voice', reason: { key: 'unanswered', zh: '无人接，换下一人' },
      channels: ['phone'],
    },
    attempts: [
      attempt(1, stamp(now - 90_000), 'wang', '王芳', 'duty', 'message', 'delivered', 'sms'),
      attempt(2, stamp(now - 30_000), 'wang', '王芳', 'duty', 'voice', 'sent', 'phone'),
    ],
  };
}

function attempt(number, at, person, name, slot, kind, state, channel) {
  return {
    attempt: number, at, seq: 200 + number, person, name, slot: { key: slot, zh: SLOTS[slot] }, kind,
    reason: number === 1 ? { key: 'first', zh: '首次' } : { key: 'unread', zh: '未读' }, round: 1, by: '', state, outcome: null,
    answered_at: null, confirmed_at: null, wrong_digits: 0, recorded_by: '', reply: null,
    sends: [{ channel, again: 0, receipt: 'r', accepted_at: at, delivered_at: state === 'delivered' ? at : null, read_at: null, failed: null }],
  };
}

export function ladderOf({ reply_within: _, ...ladder }) {
  return {
    ...ladder, installations: ['1#罐区'], count: 1, members: [{ alarm: ladder.alarm, occurrence: ladder.occurrence }], late: false, round: 1,
    answered_at: null, confirmed_at: null, replied_at: null, settled: null,
  };
}

/** Records an answer; what is wrong with it, or nothing. */
export function answerCall(ladder, body, by, now) {
  const one = ladder.attempts.find(({ attempt }) => attempt === body.attempt);
  if (one === undefined) return '没有这一次';
  one.outcome = body.outcome;
  one.recorded_by = by;
  if (body.outcome !== 'answered') return '';
  one.answered_at ??= now;
  one.state = 'answered';
  if (body.digits !== '' && body.digits !== DIGITS) {
    one.wrong_digits += 1;
    return '';
  }
  if (body.digits === DIGITS) {
    one.confirmed_at = now;
    one.state = 'confirmed';
    [ladder.state, ladder.next, ladder.reply_due] = ['awaiting_feedback', null, ladder.reply_within];
  }
  const said = body.reply.commander !== '' || body.reply.text !== '' || body.reply.affected !== null;
  if (said) {
    one.reply = { at: now, ...body.reply };
    one.state = 'replied';
    [ladder.state, ladder.next, ladder.reply_due] = ['reached', null, null];
  }
  return '';
}
