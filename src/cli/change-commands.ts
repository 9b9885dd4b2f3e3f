import { readFile } from 'node:fs/promises';
import type { Client } from '@temporalio/client';
import { parse } from 'yaml';
import { enqueueUpdate, type RetryRequest, retryUpdate, setBudgetUpdate, setConcurrencyUpdate } from '../../workflows/messages.ts';
import type { Budget } from '../domain/campaign.ts';
import type { Parameter, ParameterValue, Point } from '../domain/space.ts';
import { parseDuration } from '../spec/durations.ts';
import { quoteWord } from '../ssh/quote.ts';
import { askDescription } from './ask-campaign.ts';
import { findCampaign, trialArgument } from './campaigns.ts';
import { CliError, type Exit } from './exit-codes.ts';
import { type CliIo, type CommonOptions, print, withClient } from './io.ts';
import { refuseEnded, told } from './steer-commands.ts';

/** `holdfast enqueue CAMPAIGN name=value …` or `--file points.yaml` (a point or a list of points): tried next. */
export function enqueue(
  name: string,
  pairs: readonly string[],
  options: CommonOptions & { readonly file?: string },
  io: CliIo,
): Promise<Exit> {
  return withClient<Exit>(async (client) => {
    const points = options.file === undefined ? [pointOf(pairs)] : await pointsOf(options.file);
    const campaign = await findCampaign(client, name);
    const next = await goOn(client, campaign);
    await refuseEnded(client, campaign, `It tries no further point. Write the point under \`enqueue:\` of ${next}`);
    const { parameters } = (await askDescription(client, campaign)).spec.space;
    const known = new Set(parameters.map((parameter) => parameter.name));
    const strange = [...new Set(points.flatMap((point) => Object.keys(point)))].find((parameter) => !known.has(parameter));
    if (strange !== undefined) {
      throw new CliError('usage', 'HF-POINT', `"${strange}" is no parameter of ${campaign}. Its parameters: ${[...known].join(', ')}.`);
    }
    const args: [Point[]] = [points.map((point) => withConstants(point, parameters))];
    const answer = await told(client, campaign, () => client.workflow.getHandle(campaign).executeUpdate(enqueueUpdate, { args }));
    print(io, options, { campaign, points, answer }, `${campaign}: ${answer}`);
    return 'ok';
  });
}

/** The way on from the results of a campaign that has ended. */
async function goOn(client: Client, campaign: string, more = ''): Promise<string> {
  const { memo } = await client.workflow.getHandle(campaign).describe();
  const file = typeof memo?.file === 'string' ? quoteWord(memo.file) : 'FILE';
  return `another campaign that begins with its results: \`holdfast run ${file} --from ${campaign}${more}\`.`;
}

/** Constants need not be typed: a point without one gets it. */
export function withConstants(point: Point, parameters: readonly Parameter[]): Point {
  const constants = parameters.flatMap((parameter) =>
    parameter.type === 'constant' && parameter.when === undefined ? [[parameter.name, parameter.value] as const] : [],
  );
  return { ...Object.fromEntries(constants), ...point };
}

/** `lr=0.01 model=resnet18 amp=true`: values are read as YAML scalars. */
export function pointOf(pairs: readonly string[]): Point {
  if (pairs.length === 0) throw new CliError('usage', 'HF-POINT', 'No point was given. Write name=value pairs, or --file points.yaml.');
  return Object.fromEntries(
    pairs.map((pair) => {
      const split = pair.indexOf('=');
      if (split < 1) throw new CliError('usage', 'HF-POINT', `"${pair}" is no name=value pair. For example: learning_rate=0.01`);
      return [pair.slice(0, split), scalar(parse(pair.slice(split + 1)), pair)];
    }),
  );
}

async function pointsOf(file: string): Promise<Point[]> {
  let value: unknown;
  try {
    value = parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new CliError(
      'usage',
      'HF-POINT',
      `${file} cannot be read as YAML or JSON (${cause instanceof Error ? cause.message.split('\n')[0] : cause}).`,
      { cause },
    );
  }
  const list = Array.isArray(value) ? value : [value];
  return list.map((item: unknown, index) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) {
      throw new CliError(
        'usage',
        'HF-POINT',
        `${file}: entry ${index + 1} is no point. Write parameters as a mapping: {learning_rate: 0.01}.`,
      );
    }
    return Object.fromEntries(Object.entries(item).map(([key, entry]) => [key, scalar(entry, key)]));
  });
}

function scalar(value: unknown, where: string): ParameterValue {
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  throw new CliError('usage', 'HF-POINT', `${where}: a parameter is a number, a text, true or false.`);
}

export interface RetryOptions extends CommonOptions {
  readonly class?: string;
}

/** `holdfast retry CAMPAIGN [TRIAL…] [--class infrastructure]`: failed trials run again, each from its last checkpoint. */
export function retry(name: string, trials: readonly string[], options: RetryOptions, io: CliIo): Promise<Exit> {
  const numbers = trials.map((trial) => trialArgument(name, trial).number);
  const classes = options.class?.split(',').map((word) => word.trim());
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    await refuseEnded(
      client,
      campaign,
      `Failed trials run again only while their campaign runs. By hand: \`holdfast repro ${campaign} ${numbers[0] ?? 'TRIAL'}\` prints the script. Else start ${await goOn(client, campaign)}`,
    );
    const request = { ...(numbers.length === 0 ? {} : { numbers }), ...(classes === undefined ? {} : { classes }) };
    const handle = client.workflow.getHandle(campaign);
    const answer = await told(client, campaign, () => handle.executeUpdate<string, [RetryRequest]>(retryUpdate.name, { args: [request] }));
    print(io, options, { campaign, ...request, answer }, `${campaign}: ${answer}`);
    return 'ok';
  });
}

/** `holdfast set concurrency CAMPAIGN N`. */
export function setConcurrency(name: string, value: string, options: CommonOptions, io: CliIo): Promise<Exit> {
  const concurrency = Number(value);
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new CliError('usage', 'HF-USAGE', `${value} is no number of trials at once. Give a whole number of at least 1.`);
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    await refuseEnded(client, campaign);
    const answer = await told(client, campaign, () =>
      client.workflow.getHandle(campaign).executeUpdate(setConcurrencyUpdate, { args: [concurrency] }),
    );
    print(io, options, { campaign, concurrency, answer }, `${campaign}: ${answer}`);
    return 'ok';
  });
}

export interface BudgetOptions extends CommonOptions {
  readonly trials?: string;
  readonly nodeHours?: string;
  readonly wall?: string;
  readonly until?: string;
}

/** `holdfast set budget CAMPAIGN --trials 80 --wall 6h --node-hours 40 --until 2026-12-20T18:00:00Z`: what is not named stays. */
export function setBudget(name: string, options: BudgetOptions, io: CliIo): Promise<Exit> {
  const change = budgetOf(options);
  return withClient<Exit>(async (client) => {
    const campaign = await findCampaign(client, name);
    await refuseEnded(client, campaign, `To go on, start ${await goOn(client, campaign, ' --trials N')}`);
    const answer = await told(client, campaign, () =>
      client.workflow.getHandle(campaign).executeUpdate(setBudgetUpdate, { args: [change] }),
    );
    print(io, options, { campaign, budget: change, answer }, `${campaign}: ${answer}`);
    return 'ok';
  });
}

/** Reads the options of `set budget`; throws CliError for a value that is no limit and when none is given. */
export function budgetOf(options: BudgetOptions): Budget {
  const positive = (option: string, text: string, value: number | undefined) => {
    if (value !== undefined && Number.isFinite(value) && value > 0) return value;
    throw new CliError(
      'usage',
      'HF-USAGE',
      `${option} ${text} is no limit. Give a positive value, for example --trials 80, --wall 6h, --node-hours 40.`,
    );
  };
  const budget: Budget = {
    ...(options.trials === undefined
      ? {}
      : { trials: positive('--trials', options.trials, Number.isInteger(Number(options.trials)) ? Number(options.trials) : Number.NaN) }),
    ...(options.nodeHours === undefined ? {} : { nodeHours: positive('--node-hours', options.nodeHours, Number(options.nodeHours)) }),
    ...(options.wall === undefined ? {} : { wallSeconds: positive('--wall', options.wall, parseDuration(options.wall)) }),
    ...(options.until === undefined ? {} : { deadline: instantOf(options.until) }),
  };
  if (Object.keys(budget).length === 0)
    throw new CliError(
      'usage',
      'HF-USAGE',
      'No limit was given. For example: --trials 80, --wall 6h, --node-hours 40, --until 2026-12-20T18:00:00Z.',
    );
  return budget;
}

function instantOf(text: string): string {
  const instant = Date.parse(text);
  if (!Number.isNaN(instant)) return new Date(instant).toISOString();
  throw new CliError('usage', 'HF-USAGE', `--until ${text} is no instant. Write it as 2026-12-20T18:00:00Z.`);
}
