import * as z from 'zod';
import { countFromZero, duration, number, positiveInteger, text } from './scalars.ts';
import { section } from './section.ts';

const baseUrl = () => z.url({ protocol: /^https?$/ }).meta({ description: 'Any OpenAI-compatible endpoint, with its /v1' });

const share = () => number(z.number().min(0).max(1));

/** The `llm` block of a campaign file: a proposer of points beside the sampler (docs/guides/llm.md). */
export const llmSchema = section({
  service: text().exactOptional().meta({ description: 'A profile of config/llm, like alcf: its models in order, and its login' }),
  base_url: baseUrl().exactOptional(),
  model: text().exactOptional().meta({ description: "Absent: the service's first" }),
  api_key: text()
    .exactOptional()
    .meta({ description: 'env:NAME, the name of a file, or globus (the login for ALCF inference); never the key itself' }),
  fallback: z
    .array(section({ base_url: baseUrl().exactOptional(), model: text(), api_key: text().exactOptional() }))
    .default([])
    .meta({ description: 'Asked in this order when the first model does not answer' }),
  temperature: number(z.number().min(0).max(2)).default(0.1),
  max_tokens: positiveInteger().default(1000).meta({ description: 'Of one answer' }),
  timeout: duration().prefault(60).meta({ description: 'Longest wait for one answer' }),
  tools: z.boolean().default(true).meta({ description: 'Offer tools (space, trials, statistics) to models that can call them' }),
  response_format: z.enum(['auto', 'json_schema', 'json_object', 'text']).default('auto').meta({
    description: 'auto: a JSON schema, and less where the service refuses it',
  }),
  share: z.enum(['schedule', 'bandit']).default('schedule').meta({
    description: 'schedule: the exploration factor decides when the model is asked; bandit: model and sampler earn their share by results',
  }),
  initial_samples: countFromZero().default(20).meta({ description: "Trials before the model is asked: the sampler's own" }),
  exploration_factor: share().default(0.7),
  exploitation_ramp: share().default(0.05).meta({ description: 'Taken off the factor every 10 trials' }),
  min_exploration: share().default(0.2),
  noise: z.boolean().default(false).meta({ description: "Vary the model's points a little while the factor is above 0.6" }),
  budget: section({
    calls: positiveInteger().default(2000),
    tokens: positiveInteger().default(5_000_000),
  })
    .prefault({})
    .meta({ description: 'Hard limits of the campaign; behind them the sampler goes on alone' }),
});

export type LlmBlock = z.output<typeof llmSchema>;
