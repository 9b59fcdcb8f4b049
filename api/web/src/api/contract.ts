// The types that come from the API's OpenAPI document, by the names that the pages know them by.
import type { components, paths } from './schema.gen';

export type Schemas = components['schemas'];
export type Paths = paths;
/** Somebody's sign-in. */
export type Session = Schemas['SessionView'];
export type Totp = Schemas['TotpSecret'];
/** One measurement of a container. */
export type UsagePoint = Schemas['UsagePoint'];
export type LogLine = Schemas['LogLine'];
