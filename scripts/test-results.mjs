// Counting: results of the suites' files and checks, a second try of what failed, and what stands at the end of `npm test`.

/**
 * One file or check: `{ file, group, seconds, passed, skipped, failures }`, failures being names.
 * A run: `{ files, unhandled }`, `unhandled` being errors that belong to no file.
 */

/** More failing files than this are no matter of chance: they are not tried again. */
export const MOST_TRIED_AGAIN = 6;

/** Files that deserve a second try. */
export function filesToTryAgain({ files, unhandled }) {
  const failed = files.filter(({ failures }) => failures.length > 0).map(({ file }) => file);
  return unhandled.length > 0 || failed.length > MOST_TRIED_AGAIN ? [] : failed;
}

/** The first run with the files of the second in place of its own. What passed only then is told by `recovered`. */
export function merge(first, second) {
  const again = new Map(second.files.map((each) => [each.file, each]));
  const tried = first.files.map((each) => {
    const later = again.get(each.file);
    return later === undefined ? each : { ...later, seconds: each.seconds + later.seconds };
  });
  // What failed only in the second run, as a bad end of the whole, has failed all the same.
  const known = new Set(first.files.map(({ file }) => file));
  const files = [...tried, ...second.files.filter(({ file, failures }) => failures.length > 0 && !known.has(file))];
  const recovered = first.files
    .filter(({ file }) => again.get(file)?.failures.length === 0)
    .flatMap(({ file, failures }) => failures.map((name) => `${file} > ${name}`));
  return { files, unhandled: [...first.unhandled, ...second.unhandled], recovered };
}

/** Sums over everything: `{ passed, failed, skipped }`. */
export function total({ files, unhandled }) {
  const sum = (count) => files.reduce((so, each) => so + count(each), 0);
  return {
    passed: sum(({ passed }) => passed),
    failed: sum(({ failures }) => failures.length) + unhandled.length,
    skipped: sum(({ skipped }) => skipped),
  };
}

/** `file > test` of everything that failed. */
export function failures({ files, unhandled }) {
  return [
    ...files.flatMap((each) => each.failures.map((name) => `${each.file} > ${name}`)),
    ...unhandled.map((text) => `unhandled error: ${text}`),
  ];
}

/** The files that took longest, a line each. */
export function slowest({ files }, count = 10) {
  return [...files]
    .sort((one, other) => other.seconds - one.seconds)
    .slice(0, count)
    .map(({ file, seconds }) => `${String(Math.round(seconds)).padStart(5)} s  ${file}`);
}

/** A suite's result from pytest's JUnit XML, file by file; undefined `xml`: it left none. */
export function readJunit(xml, name, status) {
  if (xml === undefined) return [{ file: name, group: 'pytest', seconds: 0, passed: 0, skipped: 0, failures: ['pytest left no report'] }];
  const files = new Map();
  for (const [, attributes, body = ''] of xml.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const read = (key) => plainText(new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? '');
    const file = read('classname') || name;
    const entry = files.get(file) ?? { file, group: 'pytest', seconds: 0, passed: 0, skipped: 0, failures: [] };
    files.set(file, entry);
    entry.seconds += Number(read('time'));
    if (/<(failure|error)\b/.test(body)) entry.failures.push(read('name'));
    else if (/<skipped\b/.test(body)) entry.skipped += 1;
    else entry.passed += 1;
  }
  const found = [...files.values()];
  if (status !== 0 && found.every((each) => each.failures.length === 0))
    found.push({ file: name, group: 'pytest', seconds: 0, passed: 0, skipped: 0, failures: [`pytest ended with ${status}`] });
  return found;
}

/** The file whose tests JUnit's XML names `test.python.test_agent_spool`, or `test_data` where the suite's folder has settings of its own. */
export function pytestFile(name, suite) {
  const file = `${name.replaceAll('.', '/')}.py`;
  return file.includes('/') ? file : `${suite}/${file}`;
}

const ENTITIES = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&amp;': '&' };

function plainText(text) {
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (entity) => ENTITIES[entity]);
}
