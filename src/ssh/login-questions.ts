/** What a server asks a person during a login (RFC 4256, 3.2): an OTP prompt, a password. */
export interface LoginQuestion {
  /** `user@host`. */
  readonly who: string;
  readonly instructions: string;
  readonly prompts: readonly { readonly text: string; readonly isEchoed: boolean }[];
}

/** Asks a person; one answer per prompt. Every answer is used for one attempt and then forgotten. Rejects when the person gave up. */
export type AskPerson = (question: LoginQuestion) => Promise<readonly string[]>;
