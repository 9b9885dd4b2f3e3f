import path from 'node:path';
import type { CampaignSpec } from '../domain/campaign.ts';
import { didYouMean } from '../spec/problem.ts';
import { quoteWord } from '../ssh/quote.ts';
import { listBundle } from '../systems/spool/bundle.ts';

/** A file that an interpreter or a launcher (torchrun, mpiexec) reads. */
const SCRIPT = /\.(py|pyw|sh|bash|zsh|r|jl|lua|pl|rb|js|mjs|cjs|m)$/i;

/** Where the words behind are no file: a module, code. Programs by their names, with options that may be written together (`bash -lc`). */
const READS_NO_FILE: readonly { readonly program: RegExp; readonly option: RegExp }[] = [
  { program: /^(python[\d.]*|\{python\})$/, option: /^-[A-Za-z]*[mc]$/ },
  { program: /^(ba|da|z|k|fi)?sh$/, option: /^-[A-Za-z]*c$/ },
  { program: /^(node|Rscript|R|julia|perl|ruby|lua)$/, option: /^(-[A-Za-z]*[eE]|--eval)$/ },
];

/** Another folder, or another file system, than the one in which the command is started. */
const LEAVES = /^(cd|--?(chdir|cwd|wdir|workdir|work-dir|working-dir|directory|pwd|project)(=.*)?|-C|-w|-wd|-D)$/;
const CONTAINERS = /^(apptainer|singularity|docker|podman|podman-hpc|shifter|charliecloud|ch-run|enroot)$/;

/**
 * A warning for a training script that will not be where the command looks for it. The command runs in the folder of `training.bundle`, without one
 * in the attempt's own empty folder; the agent chooses it for each attempt, so a `cd` in a profile's `setup` changes nothing. Silent where another
 * folder may be meant (an option that names one, a container, a module, code in an argument).
 */
export async function lostScript({ training, system }: CampaignSpec): Promise<string[]> {
  const script = scriptOf(training.command);
  if (script === undefined) return [];
  const inCode = script.startsWith('{code}/');
  const relative = path.posix.normalize(inCode ? script.slice('{code}/'.length) : script);
  if (path.posix.isAbsolute(relative) || relative.startsWith('~') || relative.includes('{')) return [];
  const { bundle } = training;
  const isOutside = relative.startsWith('../');
  if (bundle === undefined) {
    const [placed, folder] = isOutside ? [path.posix.basename(relative), path.posix.dirname(relative)] : [relative, 'the folder it is in'];
    return [
      `training.command: ${script} is looked for in the attempt's own new folder, where no code of yours lies: every trial would fail. Write {code}/${placed}, with training.bundle: ${folder}, or its absolute path on ${system.name}.`,
    ];
  }
  const files = await listBundle(bundle).catch(() => undefined);
  if (files === undefined) return [];
  const found = files.find((file) => file.path === relative);
  // A launcher may read what it is given; the program itself must be executable, and the mode travels with the code.
  if (found !== undefined)
    return found.isExecutable || script !== training.command[0]
      ? []
      : [
          `training.command: ${script} is not executable: every trial would fail. Run chmod +x ${quoteWord(path.join(bundle, relative))}, or put its interpreter before it: ${/\.pyw?$/.test(script) ? '{python}' : 'sh'} ${script}.`,
        ];
  const near = didYouMean(
    relative,
    files.map((file) => file.path).filter((file) => SCRIPT.test(file)),
  );
  return [
    [
      `training.command: ${script} is not in training.bundle (${bundle}), where the command runs: every trial would fail.`,
      near ?? `Put it there, or write its absolute path on ${system.name}.`,
    ].join(' '),
  ];
}

/** The word that names the training's script, as it stands in the command; undefined when none does, or it may be meant in another folder. */
function scriptOf(words: readonly string[]): string | undefined {
  const index = words.findIndex(namesScript);
  const before = words.slice(0, index);
  if (index < 0 || before.some((word) => LEAVES.test(word) || CONTAINERS.test(path.posix.basename(word)))) return undefined;
  const readsNoFile = before.some((word, place) => {
    const reader = READS_NO_FILE.find(({ program }) => program.test(path.posix.basename(word)));
    return reader !== undefined && before.slice(place + 1).some((each) => reader.option.test(each));
  });
  return readsNoFile ? undefined : words[index];
}

/** The first word with a slash is a path, without one a command on PATH. A word with blanks is a sentence, no file. */
function namesScript(word: string, index: number): boolean {
  if (/\s/.test(word) || word.startsWith('-')) return false;
  if (index > 0) return SCRIPT.test(word);
  return word.includes('/') && (SCRIPT.test(word) || !/^[/{]/.test(word));
}
