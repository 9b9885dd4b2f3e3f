import { ListingBuilder, type PbsListing } from './attributes.ts';

interface TextForm {
  /** First line of an object; group 1 is its name. */
  readonly heading: RegExp;
  readonly attribute: RegExp;
}

const FORMS = {
  job: { heading: /^Job Id: (\S+)$/, attribute: /^ {4}([A-Za-z_][A-Za-z0-9_.-]*) = (.*)$/ },
  queue: { heading: /^Queue: (\S+)$/, attribute: /^ {4}([A-Za-z_][A-Za-z0-9_.-]*) = (.*)$/ },
  server: { heading: /^Server: (\S+)$/, attribute: /^ {4}([A-Za-z_][A-Za-z0-9_.-]*) = (.*)$/ },
  /** `pbs_rstat -f`. */
  reservation: { heading: /^Resv ID: (\S+)$/, attribute: /^([A-Za-z_][A-Za-z0-9_.-]*) = (.*)$/ },
  node: { heading: /^([A-Za-z0-9][A-Za-z0-9._[\]-]*)$/, attribute: /^ {5}([A-Za-z_][A-Za-z0-9_.-]*) = (.*)$/ },
} as const satisfies Record<string, TextForm>;

/**
 * Reads `qstat -f -w` (`-Q -f`, `-B -f`, `pbsnodes -a`): a heading, one `    name = value` a line, an empty line behind each object. Folded
 * lines (without -w) begin with a tab. An object counts only when its empty line has come and every line of it was understood, so a cut or
 * mixed answer yields fewer objects, never wrong ones. Never throws. Layout: goldens query-E-text, state-R-text-wide.
 */
export function readPbsText(answer: Buffer | string, form: keyof typeof FORMS): PbsListing {
  const { heading, attribute } = FORMS[form];
  const listing = new ListingBuilder();
  let id: string | undefined;
  let attributes = new Map<string, string>();
  let last: string | undefined;
  let isDamaged = false;
  const close = (isWhole: boolean) => {
    if (id !== undefined) {
      if (isWhole && !isDamaged && attributes.size > 0) listing.add({ id, attributes });
      else listing.damage(id);
    }
    id = undefined;
    last = undefined;
    isDamaged = false;
    attributes = new Map();
  };
  const lines = answer.toString().split('\n');
  // Behind the last line break nothing may stand: a line without its break was cut.
  const rest = lines.pop() ?? '';
  for (const line of lines) {
    if (line === '') {
      close(true);
      continue;
    }
    const head = heading.exec(line);
    if (head) {
      close(false);
      id = head[1];
      continue;
    }
    if (id === undefined) {
      listing.damage(undefined);
      continue;
    }
    const match = attribute.exec(line);
    const name = match?.[1];
    if (name !== undefined && !attributes.has(name)) {
      attributes.set(name, match?.[2] ?? '');
      last = name;
    } else if (line.startsWith('\t') && last !== undefined) {
      attributes.set(last, (attributes.get(last) ?? '') + line.slice(1));
    } else {
      isDamaged = true;
    }
  }
  if (rest !== '') listing.damage(id);
  close(false);
  return listing.finish();
}

/** `qstat -f [-w]` of jobs. */
export function readQstatText(answer: Buffer | string): PbsListing {
  return readPbsText(answer, 'job');
}
