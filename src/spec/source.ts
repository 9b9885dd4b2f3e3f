import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Document, isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { BadSpec } from './bad-spec.ts';
import { didYouMean, type Path, type PlacedProblem, type Problem, pathText } from './problem.ts';

/** Larger files are no configuration. */
const LARGEST_FILE_BYTES = 1024 * 1024;
/** More than this many expansions of one anchor is taken for an attack. */
const MOST_ALIASES = 100;

/** A mapping with the knowledge where each part of it stands. */
export interface Source {
  /** For messages: the file's name as the user gave it, or `The specification`. */
  readonly name: string;
  readonly file?: string;
  readonly value: Readonly<Record<string, unknown>>;
  place(problem: Problem): PlacedProblem;
}

const YAML_PROBLEMS: Readonly<Record<string, readonly [what: string, next: string]>> = {
  DUPLICATE_KEY: ['the same key stands here a second time', 'Keep one of them.'],
  TAB_AS_INDENT: ['a tab is used to indent', 'YAML indents with blanks only.'],
  MULTIPLE_DOCS: ['the file holds more than one YAML document', 'Keep one and remove the line "---" between them.'],
  BAD_INDENT: ['the indentation does not fit', 'Indent the keys of one mapping equally.'],
  MISSING_CHAR: ['a closing quote, bracket or colon is missing', 'Check this line and the one before.'],
  BLOCK_AS_IMPLICIT_KEY: ['a second colon makes this line no plain value', 'Put the value in quotes.'],
  MULTILINE_IMPLICIT_KEY: ['this line is no "key: value"', 'Is a colon missing behind the key?'],
  BAD_ALIAS: ['an alias names an anchor that is not there', 'Define &name before *name.'],
  UNRESOLVED_ALIAS: ['an alias names an anchor that is not there', 'Define &name before *name.'],
  TAG_RESOLVE_FAILED: ['a tag like !!name is not known here', 'Write the plain value.'],
};

const OPEN_BRACKET: readonly [what: string, next: string] = [
  'a bracket or brace that was opened before is not closed',
  'Look for the [ or { without its partner.',
];

/** The parser reads on into the next lines, and blames their indentation. */
function isOpenBracket({ code, message }: { readonly code: string; readonly message: string }): boolean {
  return code === 'BAD_INDENT' && /^Flow (map|sequence)/.test(message);
}

/** Reads a YAML or JSON file. Throws BadSpec when it is not there or is no mapping. */
export function readSource(file: string, folder: string): Source {
  const absolute = path.resolve(folder, file);
  let text: string;
  try {
    const { size } = statSync(absolute);
    if (size > LARGEST_FILE_BYTES)
      throw new BadSpec(file, [
        { path: '', what: `${file} has ${size} bytes, more than any configuration`, next: 'Is it the right file?' },
      ]);
    text = readFileSync(absolute, 'utf8');
  } catch (error) {
    if (error instanceof BadSpec) throw error;
    throw new BadSpec(file, [missing(file, absolute, folder, error)]);
  }
  return sourceFromText(text, file);
}

function missing(file: string, absolute: string, folder: string, error: unknown): PlacedProblem {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EISDIR') return { path: '', what: `${file} is a folder`, next: 'Name the file in it.' };
  if (code !== 'ENOENT' && code !== 'ENOTDIR')
    return { path: '', what: `${file} cannot be read: ${code ?? String(error)}`, next: 'Check its permissions.' };
  const siblings = listing(path.dirname(absolute)).filter((name) => /\.(ya?ml|json)$/.test(name));
  const near = didYouMean(path.basename(file), siblings)?.replace(
    /"(.*)"/,
    (_, name: string) => `"${path.join(path.dirname(file), name)}"`,
  );
  return {
    path: '',
    what: `${file} is not there (looked in ${folder})`,
    next: near ?? 'Name a file relative to that folder, or an absolute path.',
  };
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return [];
  }
}

/** Reads YAML 1.2 or JSON text; `file` is its name in messages. Throws BadSpec with the syntax errors. */
export function sourceFromText(text: string, file: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, merge: true, prettyErrors: true, version: '1.2' });
  const all = [...document.errors, ...document.warnings];
  // One slip makes the parser stumble over all that follows: of its plain words the first is the cause.
  const isFirst = (kind: (fault: (typeof all)[number]) => boolean) => (fault: (typeof all)[number]) =>
    !kind(fault) || fault === all.find(kind);
  const faults = all
    .filter(isFirst(isOpenBracket))
    .filter(isFirst((fault) => !isOpenBracket(fault) && YAML_PROBLEMS[fault.code] === undefined));
  if (faults.length > 0) {
    throw new BadSpec(
      file,
      faults.map((fault): PlacedProblem => {
        const [what, next] = (isOpenBracket(fault) ? OPEN_BRACKET : YAML_PROBLEMS[fault.code]) ?? [
          `is no YAML: ${(fault.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '')}`,
          'A text that holds braces, brackets, commas or colons needs quotes around it.',
        ];
        const at = lines.linePos(fault.pos[0]);
        return { path: '', what, file, line: at.line, column: at.col, ...(next === undefined ? {} : { next }) };
      }),
    );
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new BadSpec(file, [{ path: '', what: `anchors cannot be expanded: ${message}`, file, next: 'Write the values out.' }]);
  }
  if (value === null || value === undefined)
    throw new BadSpec(file, [{ path: '', what: `${file} is empty`, next: 'Start from config/campaigns/digits.yaml.' }]);
  if (!isMapping(value)) {
    throw new BadSpec(file, [
      {
        path: '',
        what: `${file} holds a ${Array.isArray(value) ? 'list' : typeof value === 'string' ? 'text' : typeof value}, not a mapping of keys`,
        file,
        line: 1,
        column: 1,
        next: 'Start with "name: …" in the first column.',
      },
    ]);
  }
  return { name: file, file, value, place: (problem) => placed(problem, file, positionOf(document, lines, problem)) };
}

/** An object given inline, e.g. as JSON input of a workflow. */
export function sourceFromObject(value: Readonly<Record<string, unknown>>, name = 'The specification'): Source {
  return { name, value, place: (problem) => placed(problem, undefined, undefined) };
}

/** Whether a value is a mapping (of YAML or JSON), neither a list nor null. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function placed(problem: Problem, file: string | undefined, at: { line: number; col: number } | undefined): PlacedProblem {
  return {
    path: pathText(problem.path),
    what: problem.what,
    ...(problem.next === undefined ? {} : { next: problem.next }),
    ...(file === undefined ? {} : { file }),
    ...(at === undefined ? {} : { line: at.line, column: at.col }),
  };
}

/** Line and column of the value at the path (or of its key); of the nearest part above it that is there, when it is not. */
function positionOf(document: Document, lines: LineCounter, problem: Problem): { line: number; col: number } | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined = isNode(node) ? node.range?.[0] : undefined;
  const last = problem.path.length - 1;
  for (const [depth, part] of problem.path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part));
      if (!pair) break;
      const key = isNode(pair.key) ? pair.key.range?.[0] : undefined;
      node = pair.value;
      const value = isNode(node) ? node.range?.[0] : undefined;
      const wantsKey = depth < last || problem.atKey === true || isMap(node) || isSeq(node);
      offset = (wantsKey ? key : value) ?? key ?? offset;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = (isNode(node) ? node.range?.[0] : undefined) ?? offset;
    } else break;
  }
  return offset === undefined ? undefined : lines.linePos(offset);
}

/** The part of a value at a path; undefined when it is not there. */
export function valueAt(value: unknown, at: Path): unknown {
  return at.reduce<unknown>(
    (part, key) => (typeof part === 'object' && part !== null ? (part as Record<string | number, unknown>)[key] : undefined),
    value,
  );
}
