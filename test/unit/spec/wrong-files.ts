/** Wrong campaign files: what is changed in a good one, and what its owner is told. */
export interface WrongFile {
  readonly title: string;
  /** The whole file, or replacements in GOOD_FILE: [what stands there, what stands there instead]. */
  readonly file?: string;
  readonly change?: readonly (readonly [string, string])[];
  /** Every problem, in the order of the file; <samplers> and <pruners> stand for the names of those. */
  readonly told: readonly string[];
}

export const GOOD_FILE = `name: good
objective: {metric: val_accuracy, direction: maximize}
search_space:
  lr:
    type: float
    min: 1e-4
    max: 0.1
    log: true
  layers: {type: int, min: 1, max: 8}
  act: {type: categorical, values: [relu, tanh, gelu]}
training:
  command: "{python} train.py --lr {lr}"
budget:
  trials: 10
`;

export const WRONG_FILES: readonly WrongFile[] = [
  {
    title: 'an empty file',
    file: '',
    told: ['c.yaml is empty. Start from config/campaigns/digits.yaml.'],
  },
  {
    title: 'only a comment',
    file: '# nothing\n',
    told: ['c.yaml is empty. Start from config/campaigns/digits.yaml.'],
  },
  {
    title: 'a list instead of a mapping',
    file: '- a\n- b\n',
    told: ['c.yaml holds a list, not a mapping of keys (c.yaml:1:1). Start with "name: …" in the first column.'],
  },
  {
    title: 'a text instead of a mapping',
    file: 'hello\n',
    told: ['c.yaml holds a text, not a mapping of keys (c.yaml:1:1). Start with "name: …" in the first column.'],
  },
  {
    title: 'a tab as indentation',
    change: [['  trials: 10', '\ttrials: 10']],
    told: ['a tab is used to indent (c.yaml:14:1). YAML indents with blanks only.'],
  },
  {
    title: 'range keys of other tools',
    change: [['    min: 1e-4\n    max: 0.1', '    low: 1e-4\n    high: 0.1']],
    told: [
      'search_space.lr.low: is not a key here (c.yaml:6:5). Write min.',
      'search_space.lr.high: is not a key here (c.yaml:7:5). Write max.',
    ],
  },
  {
    title: 'a key of another tool in the right section',
    change: [['  trials: 10', '  max_iterations: 10']],
    told: ['budget.max_iterations: is not a key here (c.yaml:14:3). Write budget.trials.'],
  },
  {
    title: 'a key without its colon',
    change: [['budget:', 'budget']],
    told: ['this line is no "key: value" (c.yaml:13:1). Is a colon missing behind the key?'],
  },
  {
    title: 'a bracket that is never closed',
    change: [['values: [relu, tanh, gelu]}\ntraining:', 'values: [relu, tanh, gelu\ntraining:']],
    told: ['a bracket or brace that was opened before is not closed (c.yaml:11:1). Look for the [ or { without its partner.'],
  },
  {
    title: 'two variables in one text that are not set',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own form
    change: [['name: good', 'name: "${FIRST}-${SECOND}"']],
    told: [
      'name: the environment variable FIRST is not set (c.yaml:1:7). Set it (export FIRST=…) where the worker runs, or write the value.',
      'name: the environment variable SECOND is not set (c.yaml:1:7). Set it (export SECOND=…) where the worker runs, or write the value.',
    ],
  },
  {
    title: 'a webhook by its URL, two ways in one entry, an event that is none',
    change: [
      [
        'budget:',
        'notify:\n  - webhook: https://hooks.example.org/T0/B0/x\n  - {mail: me@example.org, command: say}\n  - {mail: me@example.org, on: [finished]}\nbudget:',
      ],
    ],
    told: [
      'notify[0]: must not hold the URL itself: it would stand in the history (c.yaml:14:5). Write env:NAME and set NAME where the worker runs.',
      'notify[1]: must have exactly one of mail, webhook and command (c.yaml:15:5). Write one entry for each.',
      'notify[2].on[0]: is "finished", but must be one of needs-login, breaker, first-result, best, budget, done (c.yaml:16:33).',
    ],
  },
  {
    title: 'a key twice',
    change: [['budget:', 'name: again\nbudget:']],
    told: ['the same key stands here a second time (c.yaml:13:1). Keep one of them.'],
  },
  {
    title: 'a command with a placeholder that needs quotes, which makes the parser stumble over all that follows',
    change: [['training:\n  command: "{python} train.py --lr {lr}"', 'training: {command: python3 {code}/train.py}']],
    told: [
      'is no YAML: Unexpected flow-map-start at node end (c.yaml:11:29). A text that holds braces, brackets, commas or colons needs quotes around it.',
    ],
  },
  {
    title: 'a quote that is not closed',
    change: [['name: good', 'name: "good']],
    told: ['a closing quote, bracket or colon is missing (c.yaml:1:12). Check this line and the one before.'],
  },
  {
    title: 'two documents',
    change: [['budget:', '---\nbudget:']],
    told: ['the file holds more than one YAML document (c.yaml:13:1). Keep one and remove the line "---" between them.'],
  },
  {
    title: 'an unknown tag',
    change: [['name: good', 'name: !!python/object:os.system good']],
    told: ['a tag like !!name is not known here (c.yaml:1:7). Write the plain value.'],
  },
  {
    title: 'a bomb of anchors',
    file: 'a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n',
    told: ['anchors cannot be expanded: Excessive alias count indicates a resource exhaustion attack (c.yaml). Write the values out.'],
  },
  {
    title: 'an anchor that is not there',
    change: [['name: good', 'name: *nobody']],
    told: [
      'anchors cannot be expanded: Unresolved alias (the anchor must be set before the alias): nobody (c.yaml). Write the values out.',
    ],
  },
  {
    title: 'bad indentation',
    change: [['  trials: 10', '  trials: 10\n wall_time: 1h']],
    told: ['the indentation does not fit (c.yaml:15:1). Indent the keys of one mapping equally.'],
  },
  {
    title: 'an unknown key at the top',
    change: [['budget:', 'max_iteratons: 3\nbudget:']],
    told: ['max_iteratons: is not a key here (c.yaml:13:1). Did you mean budget.trials?'],
  },
  {
    title: 'a misspelt section',
    change: [['search_space:', 'serach_space:']],
    told: ['serach_space: is not a key here (c.yaml:3:1). Did you mean "search_space"?'],
  },
  {
    title: 'a key of the prototype',
    change: [['budget:', 'max_concurrent: 3\nbudget:']],
    told: ['max_concurrent: is not a key here (c.yaml:13:1). Write concurrency.'],
  },
  {
    title: 'a key at the wrong level',
    change: [['budget:', 'seed: 3\nbudget:']],
    told: ['seed: is not a key here (c.yaml:13:1). Write sampler.seed.'],
  },
  {
    title: 'an unknown key without a likely meaning',
    change: [['budget:', 'zzz: 3\nbudget:']],
    told: [
      'zzz: is not a key here (c.yaml:13:1). Known: version, name, description, tags, experiment, system, globus_compute, objective, metric_constraints, search_space, constraints, sampler, pruner, llm, warm_start, enqueue, allow_duplicates, training, deploy, data, budget, stop, concurrency, ramp, spacing, limits, retries, notify, working_dirs.',
    ],
  },
  {
    title: 'an unknown key in a section',
    change: [['  trials: 10', '  trails: 10']],
    told: ['budget.trails: is not a key here (c.yaml:14:3). Did you mean "trials"?'],
  },
  {
    title: 'an unknown key of a parameter',
    change: [['    log: true', '    logg: true']],
    told: ['search_space.lr.logg: is not a key here (c.yaml:8:5). Did you mean "log"?'],
  },
  {
    title: 'a misspelt type',
    change: [['type: int,', 'type: integer,']],
    told: [
      'search_space.layers.type: is "integer", but must be one of float, uniform, log_uniform, int, int_uniform, categorical, choice, ordinal, constant (c.yaml:9:18). Did you mean "int"?',
    ],
  },
  {
    title: 'a misspelt direction',
    change: [['direction: maximize', 'direction: maximise']],
    told: ['objective.direction: is "maximise", but must be one of maximize, minimize (c.yaml:2:46). Did you mean "maximize"?'],
  },
  {
    title: 'a type that is missing',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: {min: 1, max: 8}']],
    told: [
      'search_space.layers.type: is missing (c.yaml:9:3). It must be one of float, uniform, log_uniform, int, int_uniform, categorical, choice, ordinal, constant.',
    ],
  },
  {
    title: 'min above max',
    change: [['    min: 1e-4\n    max: 0.1\n    log: true\n', '    min: 0.1\n    max: 0.01\n    log: true\n']],
    told: ['search_space.lr: min 0.1 is above max 0.01 (c.yaml:4:3). Swap them?'],
  },
  {
    title: 'a range that is wider than numbers',
    change: [['    min: 1e-4\n    max: 0.1\n    log: true\n', '    min: -1.7e308\n    max: 1.7e308\n']],
    told: ['search_space.lr: the range from -1.7e+308 to 1.7e+308 is wider than numbers are (c.yaml:4:3). Narrow it.'],
  },
  {
    title: 'min equal to max',
    change: [['min: 1, max: 8', 'min: 8, max: 8']],
    told: ['search_space.layers: min and max are both 8 (c.yaml:9:3). Write {type: constant, value: 8} for a fixed value.'],
  },
  {
    title: 'log of zero',
    change: [['    min: 1e-4\n    max: 0.1\n    log: true\n', '    min: 0\n    max: 0.1\n    log: true\n']],
    told: [
      'search_space.lr.min: is 0, but a logarithmic scale needs a min above 0 (c.yaml:6:10). Give a small number above 0, or leave log out.',
    ],
  },
  {
    title: 'log of a negative number',
    change: [['    min: 1e-4\n    max: 0.1\n    log: true\n', '    min: -1\n    max: 0.1\n    log: true\n']],
    told: [
      'search_space.lr.min: is -1, but a logarithmic scale needs a min above 0 (c.yaml:6:10). Give a small number above 0, or leave log out.',
    ],
  },
  {
    title: 'a text where a number is due',
    change: [['    max: 0.1', '    max: much']],
    told: ['search_space.lr.max: is "much", but must be a number (c.yaml:7:10).'],
  },
  {
    title: 'a number that is not whole',
    change: [['min: 1, max: 8', 'min: 1, max: 8.5']],
    told: ['search_space.layers.max: is 8.5, but must be a whole number (c.yaml:9:36).'],
  },
  {
    title: 'an infinite bound',
    change: [['    max: 0.1', '    max: .inf']],
    told: ['search_space.lr.max: is Infinity, but must be a number (c.yaml:7:10).'],
  },
  {
    title: 'an empty value',
    change: [['    max: 0.1', '    max:']],
    told: ['search_space.lr.max: is empty, but must be a number (c.yaml:7:5).'],
  },
  {
    title: 'yes for a boolean',
    change: [['    log: true', '    log: yes']],
    told: ['search_space.lr.log: is "yes", but must be true or false (c.yaml:8:10). YAML 1.2 knows only true and false.'],
  },
  {
    title: 'an empty space',
    file: 'objective: {metric: a, direction: maximize}\nsearch_space: {}\ntraining: {command: train}\nbudget: {trials: 1}\n',
    told: [
      'search_space: is empty (c.yaml:2:1). Write one entry per hyperparameter, like "lr: {type: float, min: 1e-4, max: 0.1, log: true}".',
    ],
  },
  {
    title: 'no space',
    file: 'objective: {metric: a, direction: maximize}\ntraining: {command: train}\nbudget: {trials: 1}\n',
    told: [
      'search_space: is missing (c.yaml:1:1). Write one entry per hyperparameter, like "lr: {type: float, min: 1e-4, max: 0.1, log: true}".',
    ],
  },
  {
    title: 'a parameter that is a number',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: 3']],
    told: ['search_space.layers: is 3, but must be a mapping (c.yaml:9:11). Write {type: constant, value: 3}.'],
  },
  {
    title: 'a parameter that is a list of numbers',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: [1, 2, 4]']],
    told: ['search_space.layers: is a list, but must be a mapping (c.yaml:9:3). Write {type: ordinal, values: [1, 2, 4]}.'],
  },
  {
    title: 'a parameter that is a list of words',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: [adam, sgd]']],
    told: ['search_space.layers: is a list, but must be a mapping (c.yaml:9:3). Write {type: categorical, values: ["adam", "sgd"]}.'],
  },
  {
    title: 'a training, an objective and a budget without their keys',
    file: 'objective: score\nsearch_space: {lr: {type: float, min: 1, max: 2}}\ntraining: train {lr}\nbudget: 20\n',
    told: [
      'objective: is "score", but must be a mapping or a list (c.yaml:1:12). Write {metric: score, direction: maximize} (or minimize).',
      'training: is "train {lr}", but must be a mapping (c.yaml:3:11). Write {command: "train {lr}"}.',
      'budget: is 20, but must be a mapping (c.yaml:4:9). Write {trials: 20}.',
    ],
  },
  {
    title: 'a parameter whose name is no name',
    change: [['  layers:', '  n-layers:']],
    told: ['search_space.n-layers: is no name for a parameter (c.yaml:9:3). Use letters, digits and _, as in a Python variable.'],
  },
  {
    title: 'a parameter that would change every object',
    change: [['  layers:', '  __proto__:']],
    told: ['search_space.__proto__: is no name for a parameter (c.yaml:9:3). Use letters, digits and _, as in a Python variable.'],
  },
  {
    title: 'a parameter with the name of a placeholder',
    change: [['  layers:', '  slot:']],
    told: ['search_space.slot: has the name of the placeholder {slot} (c.yaml:9:3). Give the parameter another name.'],
  },
  {
    title: "the prototype's adaptive",
    change: [['min: 1, max: 8', 'min: 1, max: 8, adaptive: true']],
    told: [
      'search_space.layers.adaptive: had no effect in the prototype and is not a key here (c.yaml:9:39). Remove it; a pruner adapts the number of epochs.',
    ],
  },
  {
    title: 'too few weights',
    change: [['gelu]}', 'gelu], weights: [1, 2]}']],
    told: ['search_space.act.weights: has 2 weights for 3 values (c.yaml:10:56). Give one weight per value.'],
  },
  {
    title: 'weights that are all zero',
    change: [['gelu]}', 'gelu], weights: [0, 0, 0]}']],
    told: ['search_space.act.weights: are all zero (c.yaml:10:56). Give at least one value a weight above 0.'],
  },
  {
    title: 'a negative weight',
    change: [['gelu]}', 'gelu], weights: [1, -1, 1]}']],
    told: ['search_space.act.weights[1]: is -1, but must be at least 0 (c.yaml:10:69).'],
  },
  {
    title: 'no values',
    change: [['[relu, tanh, gelu]', '[]']],
    told: ['search_space.act.values: is an empty list (c.yaml:10:28). List at least one value.'],
  },
  {
    title: 'a value twice',
    change: [['[relu, tanh, gelu]', '[relu, tanh, relu]']],
    told: ['search_space.act.values[2]: "relu" stands here a second time (c.yaml:10:49). Use weights to favour a value.'],
  },
  {
    title: 'a default outside',
    change: [['gelu]}', 'gelu], default: rely}']],
    told: ['search_space.act.default: is "rely", which is not among the values (c.yaml:10:65).'],
  },
  {
    title: 'a suggestion outside',
    change: [['min: 1, max: 8', 'min: 1, max: 8, initial_suggestions: [2, 9]']],
    told: ['search_space.layers.initial_suggestions[1]: is 9, which is not from 1 to 8 (c.yaml:9:64).'],
  },
  {
    title: 'a default that is not on a step',
    change: [['min: 1, max: 8', 'min: 1, max: 9, step: 2, default: 4']],
    told: ['search_space.layers.default: is 4, which is not a step of 2 from 1 to 9 (c.yaml:9:57).'],
  },
  {
    title: 'a step that is too large',
    change: [['min: 1, max: 8', 'min: 1, max: 8, step: 20']],
    told: ['search_space.layers.step: is 20, more than the range from 1 to 8 (c.yaml:9:45).'],
  },
  {
    title: 'a step of zero',
    change: [['min: 1, max: 8', 'min: 1, max: 8, step: 0']],
    told: ['search_space.layers.step: is 0, but must be above 0 (c.yaml:9:45).'],
  },
  {
    title: 'when with an unknown parent',
    change: [['min: 1, max: 8', 'min: 1, max: 8, when: {akt: relu}']],
    told: ['search_space.layers.when.akt: is no parameter (c.yaml:9:46). Did you mean "act"?'],
  },
  {
    title: 'when with a value that the parent never has',
    change: [['min: 1, max: 8', 'min: 1, max: 8, when: {act: rely}']],
    told: [
      'search_space.layers.when.act: asks for "rely", which is not among its values "relu", "tanh", "gelu" (c.yaml:9:51). Did you mean "relu"?',
    ],
  },
  {
    title: 'when in a circle',
    change: [
      ['layers: {type: int, min: 1, max: 8}', 'layers: {type: int, min: 1, max: 8, when: {act: relu}}'],
      ['gelu]}', 'gelu], when: {layers: 3}}'],
    ],
    told: ['search_space.layers.when: goes round in a circle: layers, act (c.yaml:9:39). One of them must exist without the others.'],
  },
  {
    title: 'a constraint that cannot be read',
    change: [['budget:', "constraints: ['lr * < 3']\nbudget:"]],
    told: [
      'constraints[0]: constraint "lr * < 3" cannot be read: expected expression after * at character 6 (c.yaml:13:15). For example: "batch_size * hidden_units <= 65536".',
    ],
  },
  {
    title: 'a constraint with an unknown name',
    change: [['budget:', "constraints: ['layer <= 3']\nbudget:"]],
    told: ['constraints[0]: names layer, which is no parameter (c.yaml:13:15). Did you mean "layers"?'],
  },
  {
    title: 'a constraint that is a number',
    change: [['budget:', "constraints: ['layers * 3']\nbudget:"]],
    told: [
      'constraints[0]: constraint "layers * 3" is a number, but must be true or false for a point, like "a <= b" (c.yaml:13:15). For example: "batch_size * hidden_units <= 65536".',
    ],
  },
  {
    title: 'a constraint that nothing keeps',
    change: [['budget:', "constraints: ['layers > 20']\nbudget:"]],
    told: [
      'constraints: no point among 10000 drawn keeps them all (c.yaml:13:1). Loosen them, or narrow the parameters to where they hold.',
    ],
  },
  {
    title: 'an assignment as a constraint',
    change: [['budget:', "constraints: ['layers = 3']\nbudget:"]],
    told: [
      'constraints[0]: constraint "layers = 3" cannot be read: unexpected "=" at character 8 (c.yaml:13:15). For example: "batch_size * hidden_units <= 65536".',
    ],
  },
  {
    title: 'an unknown function',
    change: [['budget:', "constraints: ['sin(layers) > 0']\nbudget:"]],
    told: [
      'constraints[0]: constraint "sin(layers) > 0" calls "sin"; known are abs, ceil, exp, floor, log, log10, log2, max, min, pow, round, sqrt (c.yaml:13:15). For example: "batch_size * hidden_units <= 65536".',
    ],
  },
  {
    title: 'an unknown sampler',
    change: [['budget:', 'sampler: sobool\nbudget:']],
    told: ['sampler: is "sobool", but must be one of <samplers> (c.yaml:13:10). Did you mean "sobol"?'],
  },
  {
    title: 'an unknown option of a sampler',
    change: [['budget:', 'sampler: {type: sobol, defalt_first: true}\nbudget:']],
    told: ['sampler.defalt_first: is not a key here (c.yaml:13:24). Did you mean "default_first"?'],
  },
  {
    title: 'a grid over a continuous parameter',
    change: [['budget:', 'sampler: grid\nbudget:']],
    told: ['search_space.lr: is continuous, and the sampler is grid (c.yaml:4:3). Give it a step, or list its values as ordinal.'],
  },
  {
    title: 'an unknown pruner',
    change: [['budget:', 'pruner: {type: ahsa, max_steps: 30}\nbudget:']],
    told: ['pruner.type: is "ahsa", but must be one of <pruners> (c.yaml:13:16). Did you mean "asha"?'],
  },
  {
    title: 'a pruner without the steps of a whole training',
    change: [['budget:', 'pruner: {type: asha}\nbudget:']],
    told: ['pruner.max_steps: is missing (c.yaml:13:1). Write how many steps (epochs) a whole training has, like max_steps: 50.'],
  },
  {
    title: 'a pruner whose required key is misspelt, beside a wrong type and a misspelt option',
    change: [['budget:', 'pruner: {type: asha, max_step: 30, min_steps: x, min_result: 2}\nbudget:']],
    told: [
      'pruner.max_step: is not a key here (c.yaml:13:22). Did you mean "max_steps"?',
      'pruner.min_steps: is "x", but must be a number (c.yaml:13:47).',
      'pruner.min_result: is not a key here (c.yaml:13:50). Did you mean "min_results"?',
    ],
  },
  {
    title: 'an unknown pruner whose other keys are wrong too',
    change: [['budget:', 'pruner: {type: ahsa, max_step: 30}\nbudget:']],
    told: [
      'pruner.type: is "ahsa", but must be one of <pruners> (c.yaml:13:16). Did you mean "asha"?',
      'pruner.max_step: is not a key here (c.yaml:13:22). Did you mean "max_steps"?',
    ],
  },
  {
    title: 'a pruner whose key is not known and nothing like the one that is missing',
    change: [['budget:', 'pruner: {type: asha, epochs: 30}\nbudget:']],
    told: [
      'pruner.max_steps: is missing (c.yaml:13:1). Write how many steps (epochs) a whole training has, like max_steps: 50.',
      'pruner.epochs: is not a key here (c.yaml:13:22). Known: form, rank, min_results, type, min_steps, max_steps, reduction_factor.',
    ],
  },
  {
    title: 'a pruner of trainings that have one step',
    change: [['budget:', 'pruner: {type: asha, max_steps: 1}\nbudget:']],
    told: ['pruner.max_steps: is 1: a training of one step is never stopped early (c.yaml:13:33). Remove the pruner.'],
  },
  {
    title: 'a pruner by its name alone',
    change: [['budget:', 'pruner: asha\nbudget:']],
    told: [
      'pruner: is "asha", but must be a mapping (c.yaml:13:9). Write {type: asha, max_steps: 50}, with the steps (epochs) of a whole training.',
    ],
  },
  {
    title: 'a language model without its address',
    change: [['budget:', 'llm: {model: some-model}\nbudget:']],
    told: ['llm: has no address for its model (c.yaml:13:1). Set llm.service, or llm.base_url and llm.model.'],
  },
  {
    title: 'an unknown pruner with keys that no pruner has',
    change: [['budget:', 'pruner: {type: ahsa, max_steps: 30, min_step: 3, zzz: 1, percentile: 25}\nbudget:']],
    told: [
      'pruner.type: is "ahsa", but must be one of <pruners> (c.yaml:13:16). Did you mean "asha"?',
      'pruner.min_step: is not a key here (c.yaml:13:37). Did you mean "min_steps"?',
      'pruner.zzz: is not a key here (c.yaml:13:50). No pruner has it: remove it.',
    ],
  },
  {
    title: 'a sampler whose type is misspelt, beside a wrong type and a misspelt key',
    change: [['budget:', 'sampler: {typ: gp, seed: x, initial_point: 3}\nbudget:']],
    told: [
      'sampler.typ: is not a key here (c.yaml:13:11). Did you mean "type"?',
      'sampler.seed: is "x", but must be a number (c.yaml:13:26).',
      'sampler.initial_point: is not a key here (c.yaml:13:29). Did you mean "initial_points"?',
    ],
  },
  {
    title: 'a stop rule with a wrong type and a misspelt option',
    change: [['budget:', 'stop: {patience: x, rul: best}\nbudget:']],
    told: [
      'stop.patience: is "x", but must be a number (c.yaml:13:18).',
      'stop.rul: is not a key here (c.yaml:13:21). Did you mean "rule"?',
    ],
  },
  {
    title: 'a misspelt patience is told once, not as missing too',
    change: [['budget:', 'stop: {patince: 5, rule: best}\nbudget:']],
    told: ['stop.patince: is not a key here (c.yaml:13:8). Did you mean "patience"?'],
  },
  {
    title: 'a system whose name is misspelt, beside a misspelt setting',
    change: [['budget:', 'system: {nme: aurora, quue: x, walltime: 1h}\nbudget:']],
    told: [
      'system.nme: is not a key here (c.yaml:13:10). Did you mean "name"?',
      'system.quue: is not a key here (c.yaml:13:23). Did you mean "queue"?',
    ],
  },
  {
    title: 'a parameter whose type is misspelt, beside other mistakes in it',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: {type: flaot, mni: 1, maximum: 8}']],
    told: [
      'search_space.layers.type: is "flaot", but must be one of float, uniform, log_uniform, int, int_uniform, categorical, choice, ordinal, constant (c.yaml:9:18). Did you mean "float"?',
      'search_space.layers.mni: is not a key here (c.yaml:9:25). Did you mean "min"?',
      'search_space.layers.maximum: is not a key here (c.yaml:9:33). Write max.',
    ],
  },
  {
    title: 'a parameter with a misspelt key and a range upside down',
    change: [['layers: {type: int, min: 1, max: 8}', 'layers: {type: int, min: 9, max: 8, stpe: 2}']],
    told: [
      'search_space.layers: min 9 is above max 8 (c.yaml:9:3). Swap them?',
      'search_space.layers.stpe: is not a key here (c.yaml:9:39). Did you mean "step"?',
    ],
  },
  {
    title: 'results to start from with misspelt keys',
    change: [['budget:', 'warm_start: [{parms: {lr: 0.01}, valus: {val_accuracy: 1}}]\nbudget:']],
    told: [
      'warm_start[0].parms: is not a key here (c.yaml:13:15). Did you mean "params"?',
      'warm_start[0].valus: is not a key here (c.yaml:13:34). Did you mean "values"?',
    ],
  },
  {
    title: 'a pruner that first compares at the end',
    change: [['budget:', 'pruner: {type: asha, min_steps: 30, max_steps: 30}\nbudget:']],
    told: [
      'pruner.min_steps: 30 is not below max_steps 30 (c.yaml:13:33). Set it to an eighth or a quarter of max_steps, or leave it out.',
    ],
  },
  {
    title: 'an own point outside the space',
    change: [['budget:', 'enqueue: [{lr: 0.01, layers: 9, act: relu}]\nbudget:']],
    told: ['enqueue[0].layers: is 9, but it goes from 1 to 8 (c.yaml:13:30).'],
  },
  {
    title: 'an own point with an unknown parameter',
    change: [['budget:', 'enqueue: [{lr: 0.01, layers: 3, act: relu, depth: 1}]\nbudget:']],
    told: ['enqueue[0].depth: is no parameter (c.yaml:13:44). Known: lr, layers, act.'],
  },
  {
    title: 'an own point that lacks a parameter',
    change: [['budget:', 'enqueue: [{lr: 0.01, layers: 3}]\nbudget:']],
    told: ['enqueue[0]: lacks act (c.yaml:13:11). Give every active parameter a value.'],
  },
  {
    title: 'an empty command',
    change: [['"{python} train.py --lr {lr}"', '""']],
    told: ['training.command: is empty (c.yaml:12:12). Name the program that trains, like "{python} {code}/train.py".'],
  },
  {
    title: 'an empty list as command',
    change: [['"{python} train.py --lr {lr}"', '[]']],
    told: ['training.command: is empty (c.yaml:12:3). Name the program that trains, like "{python} {code}/train.py".'],
  },
  {
    title: 'a shell operator in the command',
    change: [['"{python} train.py --lr {lr}"', '"cd x && python train.py"']],
    told: [
      'training.command: has "&", but no shell reads the command (c.yaml:12:12). Put it in a script and call that, or write the words as a list.',
    ],
  },
  {
    title: 'a quote in the command that is not closed',
    change: [['"{python} train.py --lr {lr}"', "python 'train.py"]],
    told: ["training.command: has a ' that is not closed (c.yaml:12:12). Put it in a script and call that, or write the words as a list."],
  },
  {
    title: 'a placeholder that names nothing',
    change: [['--lr {lr}', '--lr {learning_rate}']],
    told: [
      'training.command: has {learning_rate}, which names nothing (c.yaml:12:12). Known: python, code, out, params_file, data_dir, trial, attempt, slot, lr, layers, act.',
    ],
  },
  {
    title: 'a misspelt placeholder',
    change: [['--lr {lr}', '--out {otu}']],
    told: ['training.command: has {otu}, which names nothing (c.yaml:12:12). Did you mean "out"?'],
  },
  {
    title: '{code} without a bundle',
    change: [['train.py', '{code}/train.py']],
    told: ['training.command: has {code}, but there is no training.bundle (c.yaml:12:12). Name the folder of your training code.'],
  },
  {
    title: '{data_dir} without data',
    change: [['--lr {lr}', '--data {data_dir}']],
    told: ['training.command: has {data_dir}, but there is no training.data_dir (c.yaml:12:12). Name the folder of the data set.'],
  },
  {
    title: 'a conditional parameter in the command',
    change: [
      ['min: 1, max: 8', 'min: 1, max: 8, when: {act: relu}'],
      ['--lr {lr}', '--layers {layers}'],
    ],
    told: [
      'training.command: has {layers}, which is missing from points where its `when` does not hold (c.yaml:12:12). Read it from {params_file}.',
    ],
  },
  {
    title: 'no budget',
    change: [['budget:\n  trials: 10\n', '']],
    told: ['budget: names no bound (c.yaml:1:1). Set budget.trials, node_hours, wall_time or until.'],
  },
  {
    title: 'a budget without a bound',
    change: [['budget:\n  trials: 10\n', 'budget: {}\n']],
    told: ['budget: names no bound (c.yaml:13:1). Set budget.trials, node_hours, wall_time or until.'],
  },
  {
    title: 'no trials',
    change: [['trials: 10', 'trials: 0']],
    told: ['budget.trials: is 0, but must be above 0 (c.yaml:14:11).'],
  },
  {
    title: 'a deadline that has passed',
    change: [['  trials: 10', '  until: 2026-11-01']],
    told: ['budget.until: is 2026-11-01T23:59:59.000Z, which has passed (now 2026-11-23T00:00:00.000Z) (c.yaml:14:10).'],
  },
  {
    title: 'a deadline that is no date',
    change: [['  trials: 10', '  until: next week']],
    told: [
      'budget.until: is "next week", but must be a day like 2026-12-20 or an instant with its zone like 2026-12-20T18:00:00Z (c.yaml:14:10).',
    ],
  },
  {
    title: 'a wall time that is no time',
    change: [['  trials: 10', '  wall_time: 6 parsecs']],
    told: [
      'budget.wall_time: is "6 parsecs", but must be a time above zero: seconds, or a text like 90s, 15m, 6h, 2d, 01:30:00 (c.yaml:14:14).',
    ],
  },
  {
    title: 'until and deadline',
    change: [['  trials: 10', '  until: 2027-01-01\n  deadline: 2027-01-02']],
    told: [
      'budget.until: is "2027-01-01T23:59:59.000Z", but budget.deadline is "2027-01-02T23:59:59.000Z" (c.yaml:14:10). They mean the same: keep one.',
    ],
  },
  {
    title: 'node-hours where nobody counts them',
    change: [['  trials: 10', '  node_hours: 10\nglobus_compute: {enabled: true, endpoint_id: 5b2f7b2e-5e5c-4d5e-9a53-1c5f6f4e7a10}']],
    told: [
      'budget.node_hours: has no effect behind a Globus Compute endpoint, which does not tell what its blocks cost (c.yaml:14:3). Set budget.wall_time or budget.trials.',
    ],
  },
  {
    title: 'a window for a rule without windows',
    change: [['  trials: 10', '  trials: 10\nstop: {patience: 3, window: 4}']],
    told: ['stop.window: is for rule windowed only (c.yaml:15:21). Set stop.rule: windowed, or leave it out.'],
  },
  {
    title: 'a variable that is not set',
    change: [['name: good', 'name: \x24{CAMPAIGN_NAME}']],
    told: [
      'name: the environment variable CAMPAIGN_NAME is not set (c.yaml:1:7). Set it (export CAMPAIGN_NAME=…) where the worker runs, or write the value.',
    ],
  },
  {
    title: 'a variable with a bad name',
    change: [['name: good', 'name: \x24{CAMPAIGN NAME}']],
    told: [
      'name: \x24{CAMPAIGN NAME} is no variable (c.yaml:1:7). Write a name of letters, digits and _ in it, or two dollar signs for the characters themselves.',
    ],
  },
  {
    title: 'an unknown system',
    change: [['budget:', 'system: auroa\nbudget:']],
    told: ['system: there is no system "auroa" (looked for auroa.yaml in config/systems) (c.yaml:13:9). Did you mean "aurora"?'],
  },
  {
    title: 'a setting that the system does not have',
    change: [['budget:', 'system: {name: local, queue: debug}\nbudget:']],
    told: ['system.queue: is not a key here (c.yaml:13:23). A system of kind local has no settings; copy its profile to change it.'],
  },
  {
    title: 'no account',
    change: [['budget:', 'system: aurora\nbudget:']],
    told: ['system: aurora needs an account (the allocation that pays) (c.yaml:13:9). Write system: {name: aurora, account: …}.'],
  },
  {
    title: 'a queue that is not there',
    change: [['budget:', 'system: {name: aurora, account: P, queue: debugg}\nbudget:']],
    told: ['system.queue: "debugg" is no queue of aurora (c.yaml:13:43). Did you mean "debug"?'],
  },
  {
    title: 'more nodes than the queue takes',
    change: [['budget:', 'system: {name: aurora, account: P, queue: debug, nodes: 3}\nbudget:']],
    told: [
      'system.nodes: 3 nodes asked for, but queue debug takes 1-2 nodes for 5 min to 1 h, 1 job queued or running per user (c.yaml:13:57). It would fit debug-scaling, capacity.',
    ],
  },
  {
    title: "a walltime above the queue's",
    change: [['budget:', 'system: {name: aurora, account: P, queue: debug, walltime: 6h}\nbudget:']],
    told: [
      'system.walltime: 6 h asked for, but queue debug takes 1-2 nodes for 5 min to 1 h, 1 job queued or running per user (c.yaml:13:60). It would fit capacity.',
    ],
  },
  {
    title: 'a walltime that the routed queue does not take',
    change: [['budget:', 'system: {name: polaris, account: P, queue: prod, nodes: 10, walltime: 6h}\nbudget:']],
    told: [
      'system.walltime: 6 h asked for, but with 10 nodes prod routes it on, and queue small takes 10-24 nodes for at most 3 h (c.yaml:13:71). The site would take the job and lose it: ask for what fits.',
    ],
  },
  {
    title: 'a queue behind a routing queue',
    change: [['budget:', 'system: {name: aurora, account: P, queue: small, nodes: 256}\nbudget:']],
    told: ['system.queue: "small" takes jobs only through the queue prod (c.yaml:13:43). Write queue: prod.'],
  },
  {
    title: 'more jobs than the queue takes',
    change: [['budget:', 'system: {name: aurora, account: P, queue: capacity, max_pilots: 6}\nbudget:']],
    told: [
      'system.max_pilots: is 6, but queue capacity takes 1-16 nodes for 5 min to 7 d, 5 jobs queued or running per user, 2 running (c.yaml:13:65). At most 5.',
    ],
  },
  {
    title: 'a file system of another machine',
    change: [['budget:', 'system: {name: aurora, account: P, filesystems: [eagle]}\nbudget:']],
    told: [
      'system.filesystems: "eagle" is no file system of aurora (c.yaml:13:36). Known: home, flare, daos_user_fs, daos_user, daos_perf.',
    ],
  },
  {
    title: 'two names for the account',
    change: [['budget:', 'system: {name: aurora, account: P, project: Q}\nbudget:']],
    told: ['system.project: is "Q", but account is "P" (c.yaml:13:45). They mean the same: keep one.'],
  },
  {
    title: 'Globus Compute and a PBS system',
    change: [
      [
        'budget:',
        'system: {name: aurora, account: P}\nglobus_compute: {enabled: true, endpoint_id: 00000000-0000-4000-8000-0000000000e1}\nbudget:',
      ],
    ],
    told: [
      'globus_compute.enabled: is true, but system "aurora" is of kind pbs (c.yaml:14:27). Remove `system`, or set globus_compute.enabled to false.',
    ],
  },
  {
    title: "the guide's placeholder as endpoint",
    change: [['budget:', 'globus_compute: {enabled: true, endpoint_id: your-endpoint-id-here}\nbudget:']],
    told: [
      'globus_compute.endpoint_id: is still the guide\'s placeholder "your-endpoint-id-here" (c.yaml:13:46). Put in the UUID that `holdfast endpoint status` shows.',
    ],
  },
  {
    title: 'two time limits',
    change: [
      [
        'budget:',
        'globus_compute: {enabled: true, endpoint_id: 00000000-0000-4000-8000-0000000000e1, function_timeout: 60}\nlimits: {trial_seconds: 90}\nbudget:',
      ],
    ],
    told: ['limits.trial_seconds: is 90, but globus_compute.function_timeout is 60 (c.yaml:14:25). They mean the same: keep one.'],
  },
  {
    title: 'Globus Compute without an endpoint',
    change: [['budget:', 'globus_compute: {enabled: true}\nbudget:']],
    told: ['globus_compute: lacks endpoint_id (c.yaml:13:1). Put in the UUID that `holdfast endpoint status` shows.'],
  },
  {
    title: 'an unknown way to authenticate',
    change: [['budget:', 'globus_compute: {auth_method: native}\nbudget:']],
    told: [
      'globus_compute.auth_method: is "native", but must be one of native_client, confidential_client, client_credentials (c.yaml:13:31). Did you mean "native_client"?',
    ],
  },
  {
    title: "a key in the LLM's block",
    change: [['budget:', "llm: {base_url: 'https://example.org/v1', model: m, api_key: sk-123}\nbudget:"]],
    told: [
      'llm.api_key: must not hold the key itself: it would stand in the history (c.yaml:13:62). Write env:NAME or the name of a file.',
    ],
  },
  {
    title: 'a key of the LLM that would travel in clear text',
    change: [['budget:', "llm: {base_url: 'http://node7:8000/v1', model: m, api_key: 'env:KEY'}\nbudget:"]],
    told: [
      'llm.base_url: is http://node7:8000/v1: a key would travel in clear text (c.yaml:13:17). Use https:// (http:// with a key is for this computer only).',
    ],
  },
  {
    title: 'an unknown inference service',
    change: [['budget:', 'llm: {service: aclf}\nbudget:']],
    told: ['llm.service: there is no inference service "aclf" (c.yaml:13:16). Did you mean "alcf"?'],
  },
  {
    title: 'an LLM without a model',
    change: [['budget:', 'llm: {temperature: 0.5}\nbudget:']],
    told: ['llm: names no model (c.yaml:13:1). Set llm.service, or llm.base_url and llm.model.'],
  },
  {
    title: 'an address of the LLM that is none',
    change: [['budget:', 'llm: {base_url: example, model: m}\nbudget:']],
    told: ['llm.base_url: is "example", but must be a url (c.yaml:13:17).'],
  },
  {
    title: 'the same objective twice',
    change: [
      [
        'objective: {metric: val_accuracy, direction: maximize}',
        'objective:\n  - {metric: a, direction: maximize}\n  - {metric: a, direction: minimize}',
      ],
    ],
    told: ['objective[1].metric: "a" is an objective already (c.yaml:4:14).'],
  },
  {
    title: 'a metric constraint that cannot be read',
    change: [['budget:', "metric_constraints: ['memory < 3']\nbudget:"]],
    told: [
      'metric_constraints[0]: is "memory < 3", but must be a metric, <= or >=, and a number (c.yaml:13:22). For example: "peak_memory_gb <= 40".',
    ],
  },
  {
    title: 'two targets',
    change: [
      ['direction: maximize}', 'direction: maximize, target: 0.9}'],
      ['budget:', 'stop: {target: 0.8}\nbudget:'],
    ],
    told: ['stop.target: is 0.8, but objective.target is 0.9 (c.yaml:13:16). They mean the same: keep one.'],
  },
  {
    title: 'stop rules without patience',
    change: [['budget:', 'stop: {min_delta: 0.1}\nbudget:']],
    told: ['stop: has no patience, so its other keys would have no effect (c.yaml:13:1). Set stop.patience.'],
  },
  {
    title: 'an unknown stop rule',
    change: [['budget:', 'stop: {patience: 3, rule: windowd}\nbudget:']],
    told: ['stop.rule: is "windowd", but must be one of best, windowed, plateau (c.yaml:13:27). Did you mean "windowed"?'],
  },
  {
    title: 'a limit of failures below 0',
    change: [['budget:', 'stop: {failures_alike: -1}\nbudget:']],
    told: ['stop.failures_alike: is -1, but must be at least 0 (c.yaml:13:24).'],
  },
  {
    title: 'two data folders',
    change: [['training:', 'data: {dir: a}\ntraining:\n  data_dir: b']],
    told: ['training.data_dir: is "b", but data.dir is "a" (c.yaml:13:13). They mean the same: keep one.'],
  },
  {
    title: 'two names',
    change: [['name: good', 'name: good\nexperiment: {name: other}']],
    told: ['name: is "good", but experiment.name is "other" (c.yaml:1:7). They mean the same: keep one.'],
  },
  {
    title: 'a folder pattern that names nothing',
    change: [['budget:', "working_dirs: {job_pattern: 'job_{id}'}\nbudget:"]],
    told: [
      'working_dirs.job_pattern: has {id}, which names nothing (c.yaml:13:29). Known: {job_id}.',
      'working_dirs.job_pattern: lacks {job_id}, so all trials would share one folder (c.yaml:13:29).',
    ],
  },
  {
    title: 'a dead key of the prototype',
    change: [['budget:', 'working_dirs: {archive_after_days: 30}\nbudget:']],
    told: [
      'working_dirs.archive_after_days: is not a key here (c.yaml:13:16). Known: aurora_base, remote_base, local_base, launch_iteration_pattern, job_pattern.',
    ],
  },
  {
    title: 'zero concurrency',
    change: [['budget:', 'concurrency: 0\nbudget:']],
    told: ['concurrency: is 0, but must be above 0 (c.yaml:13:14).'],
  },
  {
    title: 'a ramp that begins above the most',
    change: [['budget:', 'concurrency: 4\nramp: {initial: 8}\nbudget:']],
    told: ['ramp.initial: is 8, more than the 4 trials at once (c.yaml:14:17).'],
  },
  {
    title: 'a negative spacing',
    change: [['budget:', 'spacing: -1\nbudget:']],
    told: ['spacing: is -1, but must be at least 0 (c.yaml:13:10).'],
  },
  {
    title: 'a negative number of retries',
    change: [['budget:', 'retries: {trial: -1}\nbudget:']],
    told: ['retries.trial: is -1, but must be at least 0 (c.yaml:13:18).'],
  },
  {
    title: 'a size that is none',
    change: [['budget:', 'limits: {log_bytes: huge}\nbudget:']],
    told: ['limits.log_bytes: is "huge", but must be a size above zero: bytes, or a text like 64MiB (c.yaml:13:21).'],
  },
  {
    title: 'everything at once',
    change: [
      ['metric: val_accuracy, direction: maximize', 'metrc: val_accuracy, direction: up'],
      ['    min: 1e-4\n    max: 0.1\n    log: true\n', '    min: 0.1\n    max: 0.01\n    log: true\n'],
      ['--lr {lr}', '--lr {lrr}'],
      ['trials: 10', 'trials: 0'],
    ],
    told: [
      'objective.metrc: is not a key here (c.yaml:2:13). Did you mean "metric"?',
      'objective.direction: is "up", but must be one of maximize, minimize (c.yaml:2:45).',
      'search_space.lr: min 0.1 is above max 0.01 (c.yaml:4:3). Swap them?',
      'training.command: has {lrr}, which names nothing (c.yaml:12:12). Did you mean "lr"?',
      'budget.trials: is 0, but must be above 0 (c.yaml:14:11).',
    ],
  },
];
