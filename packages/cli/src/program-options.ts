import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import type { CommonOptions, Invocation } from './invocation.ts';
import { logLevels } from './log-level.ts';

/** Adds the options that every command has. */
export function commonOptions(command: Command): Command {
  return command
    .optionsGroup('Options:')
    .addOption(new Option('--json', 'print one JSON document on standard output').helpGroup(outputGroup))
    .addOption(
      new Option('-q, --quiet', 'only warnings, errors and what was asked for').helpGroup(outputGroup),
    )
    .addOption(
      choice('--log-format <format>', 'logs on standard error', ['text', 'json']).helpGroup(outputGroup),
    )
    .addOption(choice('--log-level <level>', 'least level of logs', logLevels).helpGroup(outputGroup))
    .addOption(new Option('--no-progress', 'do not show how far it is').helpGroup(outputGroup))
    .addOption(new Option('--no-color', 'no colours; so does NO_COLOR').helpGroup(outputGroup))
    .helpOption('-h, --help', 'show help');
}

const outputGroup = 'Output:';

/** An option of a few words. */
export function choice(flags: string, about: string, words: readonly string[], preset?: string): Option {
  const option = new Option(flags, about).choices(words);
  return preset === undefined ? option : option.default(preset);
}

/** For an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

/** A whole number from 1. */
export function count(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('It is not a whole number from 1.');
  return Number(value);
}

/** The examples of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

/** A command whose summary is also the first sentence of its help. */
export function command(program: Command, usage: string, summary: string): Command {
  return program
    .command(usage)
    .summary(summary)
    .description(`${capital(summary)}.`);
}

/** An action of commander that runs `work` with an invocation and the command's arguments. */
export function act<Arguments extends readonly unknown[]>(
  work: (invocation: Invocation, ...parameters: Arguments) => Promise<number>,
): (...parameters: unknown[]) => Promise<void> {
  return async (...parameters) => {
    const own = parameters.slice(0, -1) as unknown as Arguments;
    const { perform } = await import('./perform.ts');
    await perform(own.at(-1) as CommonOptions, (invocation) => work(invocation, ...own));
  };
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
