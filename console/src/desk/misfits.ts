// Which limits that nobody judges as they are meant say something of a point.
import type { Misfit } from '../door/desk';
import type { Point } from '../door/points';

/** The point's own, and those of which nobody knows whose they are: they may be the point's. */
export function misfitsOf(misfits: readonly Misfit[], { gateway, tag }: Pick<Point, 'gateway' | 'tag'>): readonly Misfit[] {
  const ownerless = `${gateway}//LIMITS`;
  return misfits.filter((misfit) => misfit.gateway === gateway && (misfit.tag === tag || misfit.alarm === ownerless));
}
