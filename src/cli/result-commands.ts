import { resolve } from 'node:path';
import { writeAtomically } from '../report/atomic.ts';
import { readHistory } from '../report/history.ts';
import type { ReportInput } from '../report/input.ts';
import { toOptunaJournal } from '../report/optuna.ts';
import { toCsv, toJsonLines, trialRecords } from '../report/trial-records.ts';
import { writeReport } from '../report/write.ts';
import { plural } from '../view/format.ts';
import { findCampaign } from './campaigns.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { writingTo } from './output-place.ts';

/** `holdfast report [CAMPAIGN] [--out FOLDER]`: tables, summary and page, made again from Temporal's history. */
export function report(name: string | undefined, options: CommonOptions & { readonly out?: string }, io: CliIo): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const input = await readHistory(client, campaign);
    const folder = options.out ?? input.launch?.localDirectory;
    if (folder === undefined)
      throw new CliError('failed', 'HF-NOT-PREPARED', `${campaign} has no results folder yet. Name one with --out FOLDER.`);
    const paths = await (options.out === undefined
      ? writeReport(folder, input)
      : writingTo('--out', folder, () => writeReport(folder, input)));
    print(
      io,
      options,
      { campaign, ...paths },
      `${plural(input.rows.length, 'trial')} of ${campaign}:\n${Object.values(paths)
        .map((path) => `  ${resolve(path)}`)
        .join('\n')}`,
    );
    return 'ok';
  });
}

/** Formats of `holdfast export`, by option. */
export const EXPORTS: Readonly<Record<string, { readonly summary: string; readonly render: (input: ReportInput) => string }>> = {
  csv: { summary: 'a table for pandas and spreadsheets', render: (input) => toCsv(trialRecords(input)) },
  jsonl: { summary: 'one JSON line per trial', render: (input) => toJsonLines(trialRecords(input)) },
  optuna: { summary: 'an Optuna journal: optuna-dashboard FILE', render: toOptunaJournal },
};

/** `holdfast export [CAMPAIGN] --csv FILE | --jsonl FILE | --optuna FILE`; `-` is the terminal. Several at once are fine. */
export function exportTrials(
  name: string | undefined,
  options: CommonOptions & Readonly<Record<string, unknown>>,
  io: CliIo,
): Promise<Exit> {
  const wanted = Object.entries(EXPORTS).flatMap(([format, { render }]) => {
    const file = options[format];
    return typeof file === 'string' ? [{ format, file, render }] : [];
  });
  if (wanted.length === 0)
    throw new CliError(
      'usage',
      'HF-USAGE',
      `Choose a format: ${Object.keys(EXPORTS)
        .map((format) => `--${format} FILE`)
        .join(', ')}.`,
    );
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    const input = await readHistory(client, campaign);
    for (const { format, file, render } of wanted) {
      if (file === '-') io.output.write(render(input));
      else await writingTo(`--${format}`, file, () => writeAtomically(file, render(input)));
    }
    const files = wanted.filter(({ file }) => file !== '-');
    if (files.length > 0)
      print(
        io,
        options,
        { campaign, trials: input.rows.length, files: files.map(({ file }) => file) },
        `${plural(input.rows.length, 'trial')} of ${campaign} written to ${files.map(({ file }) => file).join(', ')}.`,
      );
    return 'ok';
  });
}
