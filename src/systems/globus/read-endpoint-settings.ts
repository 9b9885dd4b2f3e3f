import { BadSpec } from '../../spec/bad-spec.ts';
import { problemsOf } from '../../spec/issues.ts';
import type { Problem } from '../../spec/problem.ts';
import { sourceFromText } from '../../spec/source.ts';
import { type EndpointSettings, endpointSettings } from './endpoint-settings.ts';

/** Keys of the guide's own file and of older endpoints: what takes their place. */
const OLD_KEYS: Readonly<Record<string, string>> = {
  description: 'Use display_name.',
  log_level: 'Start with `holdfast endpoint start NAME --debug`.',
  engine: 'Its keys stand at the top level here; Holdfast writes the engine block.',
  provider: 'Its keys stand at the top level here; Holdfast writes the provider block.',
  partition: 'Use queue.',
  max_workers: 'Use max_workers_per_node.',
};

/** Reads config/globus_endpoint.yaml; `path` is its name in messages. Throws BadSpec with all problems, each with its line and what was meant. */
export function readEndpointSettings(text: string, path: string): EndpointSettings {
  const source = sourceFromText(text, path);
  const parsed = endpointSettings.safeParse(source.value);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(parsed.error.issues, source.value, []).map(withOldName);
  throw new BadSpec(path, problems.map(source.place));
}

function withOldName(problem: Problem): Problem {
  const key = problem.path.at(-1);
  const next = problem.what === 'is not a key here' && typeof key === 'string' ? OLD_KEYS[key] : undefined;
  return next === undefined ? problem : { ...problem, next };
}
