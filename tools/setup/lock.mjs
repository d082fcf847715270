import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while no other process of this workspace does. The file names the processes that hold the lock, so
 * that one left by a kill is known by their death; `work` adds the child that would outlive it.
 */
export async function withLock(file, work) {
  let told = false;
  while (!tryLock(file)) {
    if (!told) process.stderr.write('Waiting for another set-up of this workspace to end.\n');
    told = true;
    await sleep(200);
  }
  try {
    return await work((child) => renameSync(written(file, `${process.pid} ${child}`), file));
  } finally {
    rmSync(file, { force: true });
  }
}

function tryLock(file) {
  const own = written(file, `${process.pid}`);
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  if (!holders(file).some(isAlive)) rmSync(file, { force: true });
  return false;
}

/** Written aside, so that nobody reads an empty lock and takes it for a dead one. */
function written(file, text) {
  const aside = `${file}.${process.pid}`;
  writeFileSync(aside, text);
  return aside;
}

function holders(file) {
  try {
    return readFileSync(file, 'utf8').split(' ').map(Number);
  } catch {
    return [];
  }
}

function isAlive(pid) {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
