// What the desk may claim. An empty list is quiet only with proof; every other empty list says why
// it is not.
import type { Gateway, Proof } from '../door/desk';
import type { LinkState } from '../link/link';

/** Data older than this prove nothing: supervision must show its loss within 30 s. */
export const DATA_AGE_MAX_MS = 30_000;

/** More points without data than this share, and an empty list says nothing. Below it, the quiet
 * line names their number. */
export const MISSING_MAX_SHARE = 0.1;

/** Why an empty list is not quiet. */
export type Doubted =
  | { readonly kind: 'blind'; readonly gateways: readonly Gateway[] }
  | { readonly kind: 'no_gateway' }
  | { readonly kind: 'no_point' }
  | { readonly kind: 'points_blind'; readonly points: number }
  | { readonly kind: 'old_data'; readonly ageMs: number | null }
  | { readonly kind: 'journal' }
  | { readonly kind: 'engine' }
  | { readonly kind: 'storage'; readonly gateways: readonly Gateway[] }
  | { readonly kind: 'misread'; readonly messages: number };

export type Verdict =
  | { readonly kind: 'starting' }
  | { readonly kind: 'broken' }
  | { readonly kind: 'rows' }
  | { readonly kind: 'filtered'; readonly hidden: number }
  | { readonly kind: 'doubted'; readonly reasons: readonly Doubted[] }
  | { readonly kind: 'quiet'; readonly proof: Proof; readonly ageMs: number };

/** What the verdict is made from. */
export interface Evidence {
  readonly link: LinkState['kind'];
  /** Alarms on the desk, and rows that are left after the search. */
  readonly alarms: number;
  readonly rows: number;
  readonly gateways: readonly Gateway[];
  readonly misread: number;
  readonly proof: Proof | null;
  /** Age of the newest data now. */
  readonly ageMs: number | null;
}

export function verdict(from: Evidence): Verdict {
  if (from.link === 'broken') return { kind: 'broken' };
  if (from.link === 'starting' || from.proof === null) return { kind: 'starting' };
  if (from.rows > 0) return { kind: 'rows' };
  if (from.alarms > 0) return { kind: 'filtered', hidden: from.alarms };
  const reasons = doubts(from, from.proof);
  if (reasons.length > 0 || from.ageMs === null) return { kind: 'doubted', reasons };
  return { kind: 'quiet', proof: from.proof, ageMs: from.ageMs };
}

/** Gateways that the centre does not hear. */
export function blindGateways(gateways: readonly Gateway[]): readonly Gateway[] {
  return gateways.filter((gateway) => gateway.state !== 'online');
}

/** Points that cannot be seen behind a gateway. */
export function blindPoints(gateway: Gateway): number {
  return gateway.blind > 0 ? gateway.blind : gateway.points;
}

function doubts(from: Evidence, proof: Proof): readonly Doubted[] {
  const reasons: Doubted[] = [];
  if (!proof.engineOk) reasons.push({ kind: 'engine' });
  const blind = blindGateways(from.gateways);
  if (blind.length > 0) reasons.push({ kind: 'blind', gateways: blind });
  if (proof.gateways === 0) reasons.push({ kind: 'no_gateway' });
  else if (proof.points === 0) reasons.push({ kind: 'no_point' });
  const missing = proof.points - proof.reporting;
  if (blind.length === 0 && (missing > proof.points * MISSING_MAX_SHARE || proof.gatewaysOnline < proof.gateways)) {
    reasons.push({ kind: 'points_blind', points: missing });
  }
  if (from.ageMs === null || from.ageMs > DATA_AGE_MAX_MS) reasons.push({ kind: 'old_data', ageMs: from.ageMs });
  const disks = from.gateways.filter((gateway) => gateway.storage !== 'fine' && gateway.storage !== 'thinning');
  if (disks.length > 0) reasons.push({ kind: 'storage', gateways: disks });
  if (!proof.journalOk) reasons.push({ kind: 'journal' });
  if (from.misread > 0) reasons.push({ kind: 'misread', messages: from.misread });
  return reasons;
}
