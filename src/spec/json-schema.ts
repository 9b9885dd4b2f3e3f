import * as z from 'zod';
import { campaignSchema } from './campaign-schema.ts';
import { llmServiceSchema } from './llm-service.ts';
import { pbsSettingsShape } from './pbs-settings.ts';
import { profileSchema } from './profile.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

const OPTIONS = { io: 'input', target: 'draft-7' } as const;

/** The campaign file's JSON Schema for editors (config/campaign.schema.json), made from the schema that admits it. */
export function campaignJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(campaignSchema, OPTIONS) as { properties: Record<string, JsonSchema> };
  const settings = z.toJSONSchema(z.strictObject({ name: z.string(), ...pbsSettingsShape }), OPTIONS);
  const { $schema: _, ...system } = settings;
  return {
    ...schema,
    title: 'Holdfast campaign',
    properties: { ...schema.properties, system: { ...schema.properties.system, anyOf: [{ type: 'string' }, system] } },
  };
}

/** The same for a system's profile (config/profile.schema.json); one that extends another needs no other key. */
export function profileJsonSchema(): JsonSchema {
  const { $schema, ...whole } = z.toJSONSchema(profileSchema, OPTIONS);
  const extending = {
    type: 'object',
    properties: { extends: { type: 'string', description: 'The profile that this one changes' } },
    required: ['extends'],
  };
  return { $schema, title: 'Holdfast system profile', anyOf: [whole, extending] };
}

/** The same for a profile of an inference service (config/llm-service.schema.json). */
export function llmServiceJsonSchema(): JsonSchema {
  return { ...z.toJSONSchema(llmServiceSchema, OPTIONS), title: 'Holdfast inference service' };
}
