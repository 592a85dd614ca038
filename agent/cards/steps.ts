import { BIT_STEPS } from "./bit-steps.ts";
import { COMPATIBLE_STEPS } from "./compatible-steps.ts";
import type { StepTypes } from "./step-type.ts";
import { TEXT_STEPS } from "./text-steps.ts";
import { WIEGAND_STEPS } from "./wiegand.ts";

export type { Kind } from "./step-type.ts";

/** One entry per step: a new one needs nothing but its entry in one of these. */
export const STEPS: StepTypes = { ...TEXT_STEPS, ...BIT_STEPS, ...WIEGAND_STEPS, ...COMPATIBLE_STEPS };
