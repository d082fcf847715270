import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, oddTenant, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { processesWith } from './services/processes.ts';
import { scratchFolder, type ScratchFolder } from './services/scratch-folder.ts';
import { startServer, until, type TestServer } from './services/server.ts';

const fleet = [...tenants.filter(({ unit }) => unit === 'globex'), oddTenant];
const units = ['@globals', 'vigia_master', ...fleet.map(({ unit }) => unit)];

let server: TestServer;
let scratch: ScratchFolder;
let at: CallOptions;

beforeAll(async () => {
  server = await startServer();
  scratch = scratchFolder();
  at = { cwd: server.folder, env: { VIGIA_URL: server.url, SCRATCH: scratch.path } };
  await createFleet(server, fleet);
});
afterEach(() => scratch.mustBeEmpty());
afterAll(async () => {
  scratch?.remove();
  await server?.stop();
});

const write = (objectives: string, more = ''): string =>
  writePipeline(server, { more: `scratch: \${env:SCRATCH}\nobjectives: ${objectives}\n${more}` });

// Each stands on those before it.
describe('drill', { timeout: 240_000 }, () => {
  it('needs a whole run', async () => {
    const file = write('{ rto: 4h }');
    await pgsiloOk(['backup', file, '--only', 'globex'], at);
    const { exit, all } = await pgsilo(['drill', file], at);
    expect(exit).toBe(1);
    expect(all).toContain('has no whole run to be restored');
  });

  it('brings everything back, says how long it took, and keeps the objectives', async () => {
    const file = write('{ rto: 4h, rpo: 1h }');
    const run = (await pgsiloOk(['backup', file, '--json'], at)).json()['runs'][0].report.run;
    const report = (await pgsiloOk(['drill', file, '--json', '--report', 'drill.md'], at)).json();
    expect(report).toMatchObject({ pipeline: 'vigia', run, status: 'ok', warnings: [] });
    expect(report.units.map(({ unit }: { unit: string }) => unit).sort()).toEqual([...units].sort());
    for (const unit of report.units) {
      expect(unit, `of ${unit.unit}`).toMatchObject({ status: 'ok', backup: run, sink: 'local' });
      expect(unit.restoreSeconds, `of ${unit.unit}`).toBeGreaterThan(0);
      expect(unit.restoreSeconds, `of ${unit.unit}`).toBeLessThanOrEqual(report.recoverySeconds);
      expect(unit.rawBytes, `of ${unit.unit}`).toBeGreaterThan(0);
    }
    expect(report.objectives.rto).toEqual({ target: 14_400, actual: report.recoverySeconds, met: true });
    expect(report.objectives.rpo).toMatchObject({ target: 3600, met: true });
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json();
    const proved = backups.filter((entry: { backup: string; verified?: object }) => entry.verified);
    expect(proved).toHaveLength(units.length);
    expect(proved.every((entry: { backup: string }) => entry.backup === run)).toBe(true);
  });

  it('writes a report that a name cannot write in', () => {
    const text = readFileSync(join(server.folder, 'drill.md'), 'utf8');
    expect(text).toMatch(/^# Recovery drill of vigia: ok\n/);
    const rows = text.split('\n').filter((line) => line.startsWith('| '));
    expect(rows).toHaveLength(units.length + 2);
    expect(rows.every((row) => row.split(' | ').length === 7)).toBe(true);
    expect(text).toContain('Objective kept: rto: everything is back within 4 h');
    expect(readdirSync(server.folder).filter((name) => name.startsWith('.drill'))).toEqual([]);
  });

  it('misses objectives with exit 1, although everything came back', async () => {
    const file = write('{ rto: 1ms, rpo: 1ms }');
    const missed = await pgsilo(['drill', file, '--report', 'drill.json'], at);
    expect(missed.exit).toBe(1);
    expect(missed.stdout).toMatch(/missed {2}rto: everything is back within 1 ms; it took /);
    expect(missed.stdout).toMatch(/missed {2}rpo: no unit's newest good backup is older than 1 ms/);
    const saved = JSON.parse(readFileSync(join(server.folder, 'drill.json'), 'utf8'));
    expect(saved).toMatchObject({
      status: 'failed',
      objectives: { rto: { met: false }, rpo: { met: false } },
    });
    expect(saved.units.every(({ status }: { status: string }) => status === 'ok')).toBe(true);
  });

  it('fails by a check of one unit, and restores the others', async () => {
    const file = write(
      '{ rto: 4h }',
      'checks: [{ name: none, sql: SELECT count(*) FROM app.orders, expect: 0, units: [globex] }]\n',
    );
    const result = await pgsilo(['drill', file, '--json'], at);
    expect(result.exit).toBe(1);
    const failed = result.json().units.filter(({ status }: { status: string }) => status !== 'ok');
    expect(failed).toMatchObject([{ unit: 'globex', error: { code: 'restore.check-failed' } }]);
    expect(result.json().objectives.rto).toMatchObject({ met: false });
  });

  it('is refused before any work where the report cannot be written', async () => {
    const { exit, all } = await pgsilo(
      ['drill', write('{ rto: 4h }'), '--report', 'no/such/folder/drill.md'],
      at,
    );
    expect(exit).toBe(2);
    expect(all).toContain('no report can be written to no/such/folder/drill.md');
  });

  it('interrupted leaves nothing, no report either', async () => {
    const file = write(
      '{ rto: 4h }',
      'checks: [{ sql: SELECT pg_sleep(1000) IS NULL, timeout: 1h, units: [globex] }]\n',
    );
    const running = startPgsilo(['drill', file, '--report', 'interrupted.md'], at);
    const asks = async (): Promise<boolean> =>
      (await processesWith('pgsilo_proof_')).some(({ command }) => command.endsWith('SELECT'));
    await until('it asks a check', asks, 90);
    running.kill('SIGINT');
    expect((await running.result).exit).toBe(130);
    expect(existsSync(join(server.folder, 'interrupted.md'))).toBe(false);
    expect(readdirSync(server.folder).filter((name) => name.startsWith('.interrupted'))).toEqual([]);
  });
});
