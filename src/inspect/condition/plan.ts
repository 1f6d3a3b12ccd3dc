/**
 * When a condition has to be looked at. It can become true only where something in it changes: at writes to the memory
 * it reads, where its instruction is about to execute, when its text is printed, at its events; or, if it hangs on
 * registers alone, after any instruction at all.
 */
import { evaluate, type Place } from './evaluate.ts';
import type { ConsoleAtom, EventAtom, Node } from './node.ts';

export interface Plan {
  /** It holds in single moments only, those of `probes` and `events`; else it may go on holding. */
  readonly momentary: boolean;
  /** It must be looked at after every instruction. */
  readonly always: boolean;
  /** RIPs. */
  readonly probes: readonly bigint[];
  readonly watches: readonly { readonly address: bigint; readonly length: number }[];
  readonly consoles: readonly ConsoleAtom[];
  readonly events: readonly EventAtom[];
}

const NOTHING: Plan = { momentary: false, always: false, probes: [], watches: [], consoles: [], events: [] };

/** @param symbol address of a name, undefined if there is none: where it is needed the condition never holds */
export function planOf(node: Node, symbol: (name: string) => bigint | undefined): Plan {
  const fixed: Place = {
    register: () => undefined,
    memory: () => undefined,
    symbol,
    printed: () => false,
    happening: () => false,
  };
  const constant = (each: Node) => (depends(each) ? undefined : evaluate(each, fixed));
  const plan = (each: Node): Plan => {
    switch (each.kind) {
      case 'number':
      case 'symbol':
        return NOTHING;
      case 'register':
        return { ...NOTHING, always: true };
      case 'memory': {
        const address = constant(each.address);
        if (address === undefined) return union(plan(each.address), { ...NOTHING, always: true });
        return { ...NOTHING, watches: [{ address: BigInt.asUintN(64, address), length: each.length }] };
      }
      case 'unary':
        return lasting(plan(each.operand));
      case 'console':
        return { ...NOTHING, consoles: [each] };
      case 'event':
        return { ...NOTHING, momentary: true, events: [each] };
      case 'binary': {
        const rip = ripOf(each);
        if (rip !== undefined) {
          const at = constant(rip);
          if (at !== undefined) return { ...NOTHING, momentary: true, probes: [BigInt.asUintN(64, at)] };
        }
        const left = plan(each.left);
        const right = plan(each.right);
        if (each.operator === '&&') {
          // Where one side holds in moments only, those are enough.
          if (left.momentary) return left;
          if (right.momentary) return right;
          return union(left, right);
        }
        if (each.operator === '||') return { ...union(left, right), momentary: left.momentary && right.momentary };
        return union(lasting(left), lasting(right));
      }
    }
  };
  return plan(node);
}

/** The other side of `rip == …`. */
function ripOf({ operator, left, right }: Extract<Node, { kind: 'binary' }>): Node | undefined {
  if (operator !== '==') return undefined;
  const isRip = (node: Node) => node.kind === 'register' && node.register.name === 'rip';
  if (isRip(left)) return right;
  return isRip(right) ? left : undefined;
}

/** Symbols in a condition. */
export function symbolsIn(node: Node): string[] {
  switch (node.kind) {
    case 'symbol':
      return [node.name];
    case 'memory':
      return symbolsIn(node.address);
    case 'unary':
      return symbolsIn(node.operand);
    case 'binary':
      return [...symbolsIn(node.left), ...symbolsIn(node.right)];
    default:
      return [];
  }
}

function depends(node: Node): boolean {
  switch (node.kind) {
    case 'number':
    case 'symbol':
      return false;
    case 'unary':
      return depends(node.operand);
    case 'binary':
      return depends(node.left) || depends(node.right);
    default:
      return true;
  }
}

/** Of a part that something is computed from: what held in a moment only would now hold outside it. */
function lasting(plan: Plan): Plan {
  return plan.momentary ? { ...NOTHING, always: true } : plan;
}

function union(a: Plan, b: Plan): Plan {
  return {
    momentary: false,
    always: a.always || b.always,
    probes: [...a.probes, ...b.probes],
    watches: [...a.watches, ...b.watches],
    consoles: [...a.consoles, ...b.consoles],
    events: [...a.events, ...b.events],
  };
}
