import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { packageRoot } from '../package-root.ts';
import type { ReportInput } from './input.ts';
import type { Summary } from './summary.ts';
import type { TrialRecord } from './trial-records.ts';

/** Curves beyond this many make the file large and the chart a carpet: the best are kept, and every k-th of the others. */
const MOST_CURVES = 200;
const BEST_CURVES = 60;

/** Parts of the page in the order in which they run; each is a classic script with d3 and Plot as globals. */
const PARTS = ['base', 'history', 'parallel', 'runs', 'table', 'start'] as const;

/** `report.html`: one file that opens without network, data and libraries inside. About 0.5 MB of libraries plus some 300 bytes a trial. */
export async function reportPage(input: ReportInput, records: readonly TrialRecord[], summary: Summary): Promise<string> {
  const folder = join(packageRoot(), 'src/report/page');
  const [css, d3, plot, ...parts] = await Promise.all([
    readFile(join(folder, 'page.css'), 'utf8'),
    library('d3', 'd3.min.js'),
    library('@observablehq/plot', 'plot.umd.min.js'),
    ...PARTS.map((name) => readFile(join(folder, `${name}.mjs`), 'utf8')),
  ]);
  const data = await pageData(input, records, summary);
  const scripts = [d3, plot, ...parts].map((script) => `<script>${script.replaceAll('</script', '<\\/script')}</script>`);
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">`,
    `<title>${htmlText(input.campaign)} · Holdfast</title>`,
    `<style>${css}</style></head><body><main></main>`,
    `<script type="application/json" id="data">${data}</script>`,
    ...scripts,
    '</body></html>\n',
  ].join('\n');
}

/** In several turns of the event loop: with 10,000 trials each step takes some tens of milliseconds. */
async function pageData(input: ReportInput, records: readonly TrialRecord[], summary: Summary): Promise<string> {
  const withCurve = records.filter((record) => record.curve.length > 1);
  const kept = keptCurves(withCurve, summary);
  const trials = records.map(({ files: _files, workflow_id: _workflow, metrics: _metrics, ...record }) => ({
    ...record,
    curve: kept.has(record.number) ? record.curve : [],
  }));
  const report = {
    summary,
    trials,
    parameters: input.spec.space.parameters,
    importance: input.importance ?? {},
    curvesLeftOut: withCurve.length - kept.size,
  };
  await nextTurn();
  const text = JSON.stringify(report);
  await nextTurn();
  // Inside a script element only `<` and the two line separators can end or break the text.
  return text.replace(/[<\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function keptCurves(records: readonly TrialRecord[], summary: Summary): Set<number> {
  if (records.length <= MOST_CURVES) return new Set(records.map((record) => record.number));
  const metric = summary.objectives[0]?.metric ?? '';
  const sign = summary.objectives[0]?.direction === 'minimize' ? 1 : -1;
  const worst = Number.POSITIVE_INFINITY;
  const ranked = [...records].sort((a, b) => sign * (a.values?.[metric] ?? sign * worst) - sign * (b.values?.[metric] ?? sign * worst));
  const others = ranked.slice(BEST_CURVES);
  const step = others.length / (MOST_CURVES - BEST_CURVES);
  const sample = Array.from({ length: MOST_CURVES - BEST_CURVES }, (_, index) => others[Math.floor(index * step)] as TrialRecord);
  return new Set([...ranked.slice(0, BEST_CURVES), ...sample].map((record) => record.number));
}

async function library(name: string, file: string): Promise<string> {
  // Neither package exports its package.json, so its folder is cut out of the entry's path.
  const entry = createRequire(import.meta.url).resolve(name);
  const folder = join('node_modules', ...name.split('/'));
  return readFile(join(entry.slice(0, entry.lastIndexOf(folder) + folder.length), 'dist', file), 'utf8');
}

function htmlText(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
