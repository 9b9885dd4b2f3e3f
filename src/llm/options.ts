import type { LlmConfig } from '../domain/campaign.ts';

/** One model at one endpoint. */
export interface Target {
  readonly baseUrl: string;
  readonly model: string;
  /** `env:NAME`, `globus` or a file name; absent: the service asks for no key. */
  readonly apiKey?: string;
  /** False: never offer tools here. */
  readonly tools?: boolean;
  /** Says which models of the service are loaded now; of the same origin as `baseUrl`. */
  readonly jobsUrl?: string;
}

/** The login for an inference service behind Globus (alcf.md section 10). */
export interface GlobusLogin {
  readonly clientId: string;
  readonly resourceServer: string;
  readonly scope: string;
  readonly sessionPolicy?: string;
  /** Folder of the token file below ~/.globus/app/<client>. */
  readonly app: string;
  /** Identity providers that the service accepts, for messages. */
  readonly domains: readonly string[];
}

/** `LlmConfig.options` as src/spec fills it in; see docs/guides/llm.md. */
export interface LlmOptions {
  readonly temperature: number;
  readonly maxTokens: number;
  /** Seconds. */
  readonly timeout: number;
  readonly tools: boolean;
  readonly responseFormat: 'auto' | ResponseFormat;
  readonly share: 'schedule' | 'bandit';
  readonly initialSamples: number;
  readonly explorationFactor: number;
  readonly exploitationRamp: number;
  readonly minExploration: number;
  readonly noise: boolean;
  readonly budget: { readonly calls: number; readonly tokens: number };
  /** Asked in this order when the first does not answer. */
  readonly fallback: readonly Target[];
  /** The first model's `jobsUrl`; absent when the campaign names that model itself. */
  readonly jobsUrl?: string;
  readonly globus?: GlobusLogin;
}

export type ResponseFormat = 'json_schema' | 'json_object' | 'text';

const DEFAULTS: LlmOptions = {
  temperature: 0.1,
  maxTokens: 1000,
  timeout: 60,
  tools: true,
  responseFormat: 'auto',
  share: 'schedule',
  initialSamples: 20,
  explorationFactor: 0.7,
  exploitationRamp: 0.05,
  minExploration: 0.2,
  noise: false,
  budget: { calls: 2000, tokens: 5_000_000 },
  fallback: [],
};

/** The options of the campaign file over the defaults. */
export function llmOptions(config: LlmConfig): LlmOptions {
  return { ...DEFAULTS, ...(config.options as Partial<LlmOptions>) };
}

/** The models in the order in which they are asked. The campaign's key goes only to addresses of the same origin; others need their own. */
export function targetsOf(config: LlmConfig): Target[] {
  const own = config.apiKey === undefined ? {} : { apiKey: config.apiKey };
  const origin = new URL(config.baseUrl).origin;
  const others = llmOptions(config).fallback.map((target) => (new URL(target.baseUrl).origin === origin ? { ...own, ...target } : target));
  const { jobsUrl } = llmOptions(config);
  return [{ baseUrl: config.baseUrl, model: config.model, ...own, ...(jobsUrl === undefined ? {} : { jobsUrl }) }, ...others];
}
