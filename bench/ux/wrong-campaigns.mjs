// Forty campaign files as people get them wrong: what is changed in a good one, and what a right answer must name (where: the key or line; fix: what to write).
export const GOOD = `name: tune
system: {name: aurora, account: PROJECT, queue: capacity, nodes: 2, walltime: 6h}
objective: {metric: val_accuracy, direction: maximize}
search_space:
  learning_rate: {type: float, min: 1e-5, max: 0.1, log: true}
  batch_size: {type: categorical, values: [32, 64, 128]}
  layers: {type: int, min: 1, max: 8}
  optimizer: {type: categorical, values: [sgd, adam]}
  momentum: {type: float, min: 0, max: 0.99, when: {optimizer: [sgd]}}
training:
  command: "{python} train.py --lr {learning_rate} --batch {batch_size}"
budget:
  trials: 200
stop:
  patience: 30
limits:
  trial_seconds: 2h
working_dirs:
  local_base: results
`;

/** title, [from, to] in the good file, where (regular expression over path and message), fix (the same over the whole text). */
export const WRONG = [
  ['objective misspelt', ['objective:', 'objectiv:'], /objectiv.*:3:/, /Did you mean "objective"/],
  ['search_space misspelt', ['search_space:', 'serch_space:'], /serch_space.*:4:/, /Did you mean "search_space"/],
  ['max_iterations of the prototype', ['  trials: 200', '  max_iterations: 200'], /max_iterations.*:13:/, /trials/],
  ['n_trials of Optuna at the top', ['stop:', 'n_trials: 200\nstop:'], /n_trials.*:14:/, /budget\.trials/],
  ['direction max', ['direction: maximize', 'direction: max'], /direction.*:3:/, /maximize/],
  ['direction upper case', ['direction: maximize', 'direction: Maximize'], /direction.*:3:/, /maximize/],
  [
    'metric forgotten',
    ['{metric: val_accuracy, direction: maximize}', '{direction: maximize}'],
    /metric.*:3:/,
    /missing|required|Add|Name/,
  ],
  ['low and high for min and max', ['min: 1e-5, max: 0.1', 'low: 1e-5, high: 0.1'], /low.*:5:/, /min/],
  ['min above max', ['min: 1e-5, max: 0.1', 'min: 0.1, max: 1e-5'], /learning_rate.*:5:/, /Swap/],
  ['log from zero', ['min: 1e-5, max: 0.1', 'min: 0, max: 0.1'], /learning_rate.*:5:/, /above 0|positive/],
  [
    'type loguniform of Ray and Hyperopt',
    ['type: float, min: 1e-5, max: 0.1, log: true', 'type: loguniform, min: 1e-5, max: 0.1'],
    /learning_rate.*:5:/,
    /log_uniform|log: true/,
  ],
  [
    'type choice with options',
    ['type: categorical, values: [32, 64, 128]', 'type: categorical, options: [32, 64, 128]'],
    /batch_size.*:6:/,
    /values/,
  ],
  ['values as a text', ['values: [32, 64, 128]', 'values: 32, 64, 128'], /:6:|batch_size/, /list|\[/],
  ['an int with a fraction', ['type: int, min: 1, max: 8', 'type: int, min: 1, max: 8.5'], /layers.*:7:/, /whole/],
  ['a number as a word', ['trials: 200', 'trials: two hundred'], /trials.*:13:/, /number/],
  ['trials negative', ['trials: 200', 'trials: -1'], /trials.*:13:/, /above 0|at least 1/],
  ['no budget', ['budget:\n  trials: 200\n', ''], /budget/, /trials|node_hours|wall_time/],
  ['a placeholder misspelt', ['{learning_rate}', '{learning_rat}'], /command.*:11:/, /Did you mean "learning_rate"/],
  ['a placeholder that is only sometimes there', ['--batch {batch_size}', '--momentum {momentum}'], /command.*:11:/, /params|momentum/],
  ['a pipe in the command', ['--batch {batch_size}', '--batch {batch_size} | tee log'], /command.*:11:/, /script|shell/],
  [
    'when names a parameter that is not there',
    ['when: {optimizer: [sgd]}', 'when: {optimiser: [sgd]}'],
    /momentum.*:9:/,
    /Did you mean "optimizer"/,
  ],
  ['when names a value that is not there', ['when: {optimizer: [sgd]}', 'when: {optimizer: [SGD]}'], /momentum.*:9:/, /sgd/],
  ['a tab', ['  trials: 200', '\ttrials: 200'], /:13:/, /blanks/],
  ['a colon forgotten', ['budget:', 'budget'], /:1[1-3]:/, /:|colon|key/],
  ['a key twice', ['stop:', 'name: again\nstop:'], /:14:/, /Keep one|second/],
  ['a bracket that is not closed', ['values: [32, 64, 128]}', 'values: [32, 64, 128}'], /:[67]:/, /\]|bracket|flow/],
  ['a system that is not there', ['name: aurora', 'name: aurroa'], /system.*:2:/, /Did you mean "aurora"/],
  ['a queue that the system does not have', ['queue: capacity', 'queue: capcity'], /queue.*:2:/, /Did you mean "capacity"|capacity/],
  ['more walltime than the queue gives', ['walltime: 6h', 'walltime: 900h'], /walltime.*:2:/, /168|at most|7 d/],
  ['walltime as words', ['walltime: 6h', 'walltime: six hours'], /walltime.*:2:/, /6h|90m/],
  ['no account', ['account: PROJECT, ', ''], /account/, /account/],
  ['nodes as a word', ['nodes: 2', 'nodes: two'], /nodes.*:2:/, /number/],
  ['patience below stop misspelt', ['patience: 30', 'patince: 30'], /patince.*:15:/, /Did you mean "patience"/],
  ['timeout for trial_seconds', ['  trial_seconds: 2h', '  timeout: 2h'], /timeout.*:17:/, /trial_seconds/],
  ['a sampler that is not there', ['stop:', 'sampler: bayes\nstop:'], /sampler.*:14:/, /gp|auto/],
  ['an option that the sampler does not have', ['stop:', 'sampler: {type: tpe, gama: 0.1}\nstop:'], /gama.*:14:/, /Known|Did you mean/],
  ['asha without max_steps', ['stop:', 'pruner: {type: asha}\nstop:'], /pruner.*:14:/, /max_steps/],
  [
    'a key of the LLM in the file',
    ['stop:', 'llm: {base_url: "https://x.org/v1", model: m, api_key: sk-12345678901234567890}\nstop:'],
    /api_key.*:14:/,
    /env:/,
  ],
  [
    'a point to enqueue outside of the space',
    ['stop:', 'enqueue: [{learning_rate: 3, batch_size: 32, layers: 2, optimizer: adam}]\nstop:'],
    /enqueue.*:14:/,
    /0\.1|max/,
  ],
  [
    'an environment variable that is not set',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own form
    ['local_base: results', 'local_base: ${SCRATCH_OF_NOBODY}/results'],
    /local_base.*:19:/,
    /export SCRATCH_OF_NOBODY/,
  ],
];
