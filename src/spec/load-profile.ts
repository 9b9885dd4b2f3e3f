import { existsSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../package-root.ts';
import { BadSpec } from './bad-spec.ts';
import { type Environment, expandVariables } from './expand.ts';
import { problemsOf } from './issues.ts';
import { type Problem, suggest } from './problem.ts';
import { profileSchema, type SystemProfile } from './profile.ts';
import { checkProfile } from './profile-checks.ts';
import { isMapping, readSource, type Source, valueAt } from './source.ts';
import { yamlNames } from './yaml-names.ts';

export interface ProfileOptions {
  /** Folders that are searched, the first first. Default: `profileFolders(process.cwd())`. */
  readonly folders?: readonly string[];
  /** For `${VAR}`; default process.env. */
  readonly env?: Environment;
}

/** `config/systems` of the folder the process works in, then the one that ships with Holdfast. */
export function profileFolders(workingFolder: string): string[] {
  return [...new Set([path.join(workingFolder, 'config', 'systems'), path.join(packageRoot(), 'config', 'systems')])];
}

/** Names of the profiles in the folders. */
export function profileNames(folders: readonly string[]): string[] {
  return yamlNames(folders);
}

/**
 * Reads `<folder>/<name>.yaml` from the first folder that has it, or a file when `name` ends in .yaml.
 * @throws BadSpec with every problem and its line and column; for an unknown name, with the names that there are.
 */
export function loadProfile(name: string, options: ProfileOptions = {}): SystemProfile {
  const folders = options.folders ?? profileFolders(process.cwd());
  return readProfile(findProfile(name, folders), folders, options.env ?? process.env);
}

function findProfile(name: string, folders: readonly string[]): string {
  if (name.endsWith('.yaml')) return path.resolve(name);
  const found = fileOf(name, folders);
  if (found !== undefined) return found;
  const looked = `looked for ${name}.yaml in ${folders.map(shown).join(' and ')}`;
  throw new BadSpec(name, [{ path: '', what: `there is no system "${name}" (${looked})`, next: suggest(name, yamlNames(folders)) }]);
}

function fileOf(name: string, folders: readonly string[]): string | undefined {
  return folders.map((folder) => path.join(folder, `${name}.yaml`)).find((file) => existsSync(file));
}

/** As a person would name it from the folder they work in. */
function shown(file: string): string {
  const inside = path.relative(process.cwd(), file);
  return inside.startsWith('..') ? file : inside;
}

function readProfile(file: string, folders: readonly string[], environment: Environment): SystemProfile {
  const source = withBase(file, folders, []);
  const problems: Problem[] = [];
  const value = expandVariables(source.value, environment, problems);
  const parsed = profileSchema.safeParse(value);
  if (!parsed.success) problems.push(...problemsOf(parsed.error.issues, value, []));
  else problems.push(...checkProfile(parsed.data, path.basename(file, '.yaml')));
  if (!parsed.success || problems.length > 0) throw new BadSpec(source.name, problems.map(source.place));
  return parsed.data;
}

/** The file on top of the profile that it extends: mappings key by key, everything else replaced. A problem is told where its value stands. */
function withBase(file: string, folders: readonly string[], above: readonly string[]): Source {
  const own = readSource(shown(file), process.cwd());
  const { extends: base, ...rest } = own.value;
  if (base === undefined) return own;
  const refuse = (what: string, next: string) => new BadSpec(own.name, [own.place({ path: ['extends'], what, next })]);
  const others = folders.filter((folder) => path.join(folder, `${String(base)}.yaml`) !== file);
  const found = typeof base === 'string' ? fileOf(base, others) : undefined;
  if (found === undefined) throw refuse(`there is no profile ${JSON.stringify(base)}`, suggest(String(base), yamlNames(others)));
  if ([...above, file].includes(found)) throw refuse('goes round in a circle', 'One profile must stand alone.');
  const below = withBase(found, folders, [...above, file]);
  const place = (problem: Problem) =>
    (valueAt(rest, problem.path) === undefined && valueAt(below.value, problem.path) !== undefined ? below : own).place(problem);
  return { ...own, value: merged(below.value, rest), place };
}

function merged(below: Readonly<Record<string, unknown>>, above: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const lower = result[key];
    result[key] = isMapping(lower) && isMapping(value) ? merged(lower, value) : value;
  }
  return result;
}
