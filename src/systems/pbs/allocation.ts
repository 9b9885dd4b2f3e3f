import type { ExchangeAnswer } from './exchange.ts';

/** One row of an accounting system's list: what a project may still use of one machine, until when. */
export interface Allocation {
  readonly project: string;
  readonly resource: string;
  /** Node-hours; below zero where it is overdrawn. */
  readonly balance: number;
  /** Its last day, `2026-10-01`. */
  readonly end: string;
}

/**
 * Rows of `sbank-list-allocations` (ALCF): cells two or more blanks apart under a head that is underlined, in the form with suballocations and in the older one
 * (user guide, "sbank Example Commands"). File systems have a quota in place of a balance and are left out. Undefined when this is no such list.
 */
export function readAllocations(text: string): Allocation[] | undefined {
  const lines = text.split('\n');
  const rule = lines.findIndex((line) => /^\s*-{2,}(\s+-{2,})+\s*$/.test(line));
  const head = cellsOf(lines[rule - 1] ?? '').map((name) => name.toLowerCase());
  const at = (name: string) => head.indexOf(name);
  const [project, resource, end, balance] = [at('project'), at('resource'), at('end'), at('available balance')];
  if (project < 0 || resource < 0 || end < 0) return undefined;
  if (balance < 0) return [];
  const rows: Allocation[] = [];
  for (const line of lines.slice(rule + 1)) {
    if (line.trim() === '') break;
    const cells = cellsOf(line);
    const found = {
      project: cells[project] ?? '',
      resource: cells[resource] ?? '',
      balance: Number((cells[balance] ?? 'none').replaceAll(',', '')),
      end: cells[end] ?? '',
    };
    // A row that is not understood makes every sum wrong.
    if (cells.length !== head.length || Number.isNaN(found.balance) || !/^\d{4}-\d\d-\d\d$/.test(found.end)) return undefined;
    rows.push(found);
  }
  return rows;
}

function cellsOf(line: string): string[] {
  return line.trim().split(/\s{2,}/);
}

export interface Balance {
  /** For people: `ProjectX on polaris: 2,554 node-hours left until 2026-12-01`. */
  readonly words: string;
  /** Nothing is left, or the last of it ends within days. */
  readonly isShort: boolean;
}

const SOON_DAYS = 7;
const DAY = 86_400_000;

/**
 * One sentence a project: what is left where something is left, until when, and what is overdrawn. Of a project with several allocations only the site knows which
 * one a job is charged to, so they are never set off against each other. `projects`: those to speak of; absent: all.
 */
export function tellBalances(rows: readonly Allocation[], nowMs: number, projects?: readonly string[]): Balance[] {
  const today = new Date(nowMs).toISOString().slice(0, 10);
  const active = rows.filter((row) => row.end >= today);
  const told = projects ?? [...new Set(rows.map(({ project }) => project))];
  return [...new Set(told)].flatMap((project): Balance[] => {
    const own = active.filter((row) => row.project === project);
    if (own.length === 0) return [{ words: `${project} has no active allocation`, isShort: true }];
    return [...new Set(own.map(({ resource }) => resource))].map((resource) => {
      const here = own.filter((row) => row.resource === resource);
      const full = here.filter((row) => row.balance > 0);
      const overdrawn = here.filter((row) => row.balance < 0);
      const owed = sum(overdrawn);
      const where = `${project} on ${resource}`;
      if (full.length === 0) return { words: `${where}: no node-hours left (${hours(owed)})`, isShort: true };
      const until = full
        .map(({ end }) => end)
        .sort()
        .at(-1) as string;
      const days = Math.ceil((Date.parse(until) - nowMs) / DAY);
      const words = [
        `${where}: ${hours(sum(full))} node-hours left until ${until}`,
        ...(overdrawn.length === 0 ? [] : [`${overdrawn.length} of its ${here.length} allocations overdrawn by ${hours(-owed)}`]),
      ].join(', ');
      return { words, isShort: days <= SOON_DAYS };
    });
  });
}

function sum(rows: readonly Allocation[]): number {
  return rows.reduce((total, row) => total + row.balance, 0);
}

function hours(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 });
}

export type RemoteAllocation = NonNullable<ExchangeAnswer['allocation']>;

/** What of an answer can be told in a look: nothing where the command failed or said something else. Only accounts of open launches. */
export function allocationNotices({ list, accounts }: RemoteAllocation, nowMs: number): string[] {
  const rows = list.exit === 0 ? readAllocations(list.stdout) : undefined;
  if (rows === undefined || accounts.length === 0) return [];
  return tellBalances(rows, nowMs, accounts).map(({ words, isShort }) =>
    isShort
      ? `allocation ${words}. Jobs may be refused or wait as backfill: ask for more time, or stop in good order`
      : `allocation ${words}`,
  );
}
