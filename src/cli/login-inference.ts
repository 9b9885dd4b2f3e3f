import { finishInferenceLogin, startInferenceLogin } from '../llm/inference-login.ts';
import type { GlobusLogin } from '../llm/options.ts';
import { loadLlmService } from '../spec/llm-service.ts';
import { DriverError } from '../systems/driver.ts';
import type { Environment } from '../systems/globus/environment.ts';
import { askLine } from './ask-line.ts';

export interface InferenceLoginIo {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly env: Environment;
}

/**
 * `holdfast login inference`: prints the link, takes the code, stores the tokens (mode 0600) in the file that the service's own script uses. Campaigns
 * read it with their next question. Returns the file's name.
 * @throws DriverError needs_login when the code is refused; refused when the service has no Globus login.
 */
export async function loginInference(service: string, io: InferenceLoginIo): Promise<string> {
  const { globus } = loadLlmService(service);
  if (globus === undefined)
    throw new DriverError('refused', 'HF-LLM-LOGIN', `The inference service ${service} has no Globus login. Use llm.api_key.`);
  const login: GlobusLogin = globus;
  const attempt = startInferenceLogin(login, io.env, true);
  const who = login.domains.length === 0 ? '' : ` with an identity of ${login.domains.join(' or ')}`;
  io.output.write(
    `Login to the inference service ${service}. Open this link in any browser, log in${who}, and copy the Authorization Code that it shows:\n\n${attempt.url}\n\n`,
  );
  const code = await askLine(io.input, io.output, `Inference service ${service}, Authorization Code: `);
  if (!code?.trim())
    throw new DriverError(
      'needs_login',
      'HF-LLM-LOGIN',
      'No code was typed. Run `holdfast login inference` in a terminal and bring it the code.',
    );
  const file = await finishInferenceLogin(login, io.env, attempt, code);
  io.output.write(`You are logged in to the inference service ${service} for 30 days (${file}).\n`);
  return file;
}
