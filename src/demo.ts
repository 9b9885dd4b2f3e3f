import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pino from 'pino';
import { listCampaigns } from './cli/campaigns.ts';
import { processIo } from './cli/io.ts';
import { watchCampaign } from './cli/watch.ts';
import { startDev } from './dev.ts';
import { TASK_QUEUE } from './domain/ids.ts';
import { cacheFolder } from './package-root.ts';

const CAMPAIGN_FILE = 'config/campaigns/digits.yaml';

/**
 * `npm run demo`: a campaign on this computer from start to report, with live progress. Interrupted and run again, it goes on with the same
 * campaign; run again after its end, it starts the next one. Returns the exit status.
 */
export async function runDemo({ say }: { readonly say: (text: string) => void }): Promise<number> {
  const logFile = path.join(cacheFolder(), 'dev', 'worker.log');
  const logger = pino({ level: 'info' }, pino.destination({ dest: logFile, mkdir: true, sync: false }));
  const io = processIo();
  const dev = await startDev({ systems: ['local'], logger, say, signal: io.interrupted });
  if (dev === undefined) {
    say('Interrupted before anything was started.');
    return 130;
  }
  say(`Temporal server at ${dev.address}, Web UI at ${dev.uiUrl}, worker's log in ${path.relative(process.cwd(), logFile)}`);
  const connection = await Connection.connect({ address: dev.address });
  const client = new Client({ connection });
  try {
    const campaign = await startOrContinue(client, say);
    say(`Watch it in the Web UI: ${dev.uiUrl}/namespaces/default/workflows/${encodeURIComponent(campaign)}`);
    dev.ended.catch((error: Error) => say(error.message));
    const exit = await watchCampaign(client, campaign, io, { isWorkerHere: true });
    if (io.interrupted.aborted) {
      say('Interrupted; the campaign is safe. `npm run demo` goes on with it.');
      return 130;
    }
    say('Look at it again: `npx holdfast dev` starts the server with its Web UI again and says where.');
    return exit === 'ok' ? 0 : 1;
  } finally {
    await connection.close();
    await dev.stop();
  }
}

/** The demonstration's campaign that still runs, or a new one under the next free number. */
async function startOrContinue(client: Client, say: (text: string) => void): Promise<string> {
  const earlier = (await listCampaigns(client, 1000, 'digits-')).filter(({ campaign }) => /^digits-\d+$/.test(campaign));
  const running = earlier.find(({ status }) => status === 'RUNNING');
  if (running !== undefined) {
    say(`${running.campaign} goes on where it was.`);
    return running.campaign;
  }
  const last = Math.max(0, ...earlier.map(({ campaign }) => Number(campaign.slice('digits-'.length))));
  const campaign = `digits-${last + 1}`;
  await client.workflow.start('hpoCampaign', {
    taskQueue: TASK_QUEUE,
    workflowId: campaign,
    args: [CAMPAIGN_FILE],
    staticSummary: 'The demonstration: an MLP on handwritten digits',
  });
  say(`${campaign} started from ${CAMPAIGN_FILE}.`);
  return campaign;
}
