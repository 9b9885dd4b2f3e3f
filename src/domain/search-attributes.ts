import { defineSearchAttributeKey } from '@temporalio/common';

/** The search attributes of Holdfast. Few on purpose: SQL visibility allows ten Keyword, three Int and three Double per namespace. */
export const ATTRIBUTES = {
  campaign: defineSearchAttributeKey('HpoCampaign', 'KEYWORD'),
  system: defineSearchAttributeKey('HpoSystem', 'KEYWORD'),
  state: defineSearchAttributeKey('HpoState', 'KEYWORD'),
  error: defineSearchAttributeKey('HpoError', 'KEYWORD'),
  best: defineSearchAttributeKey('HpoBest', 'DOUBLE'),
  done: defineSearchAttributeKey('HpoDone', 'INT'),
} as const;
