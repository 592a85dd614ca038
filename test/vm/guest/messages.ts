/** What host and guest say to each other over the control channel, one JSON value a line. */
export type ToGuest =
  /** Answered by `ended` when the command is over. */
  | { readonly do: "shell"; readonly id: number; readonly command: string }
  /** A program that goes on; what it prints comes as `output`, its end as `exit`. */
  | { readonly do: "start"; readonly name: string; readonly command: string }
  | { readonly do: "input"; readonly name: string; readonly text: string }
  | { readonly do: "kill"; readonly name: string; readonly signal: NodeJS.Signals };

export type FromGuest =
  | { readonly is: "ready" }
  | { readonly is: "ended"; readonly id: number; readonly code: number; readonly output: string }
  | { readonly is: "output"; readonly name: string; readonly text: string }
  | { readonly is: "exit"; readonly name: string; readonly code: number };
