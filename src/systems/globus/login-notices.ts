import type { AuthMethod } from './authorizer.ts';
import type { Environment } from './environment.ts';
import { loginEnd, loginWarning } from './login-end.ts';

const LOOK_AGAIN_MS = 3_600_000;

/** A login that ends soon, told while there is time; looked at once an hour. */
export function loginNotices(
  env: Environment,
  loginDays: number | undefined,
): (methods: ReadonlySet<AuthMethod>) => Promise<readonly string[]> {
  let seen: { readonly at: number; readonly notices: readonly string[] } = { at: Number.NEGATIVE_INFINITY, notices: [] };
  return async (methods) => {
    if (performance.now() - seen.at < LOOK_AGAIN_MS) return seen.notices;
    const notices: string[] = [];
    for (const method of methods) {
      const end = await loginEnd(method, env, loginDays).catch((error: unknown) => {
        // A token file that cannot be used parks the system elsewhere; here it must not end a look.
        notices.push(`the end of the Globus login is not known: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      });
      const warning = end === undefined ? undefined : loginWarning(end);
      if (warning !== undefined) notices.push(warning);
    }
    if (methods.size > 0) seen = { at: performance.now(), notices };
    return notices;
  };
}
