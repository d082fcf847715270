// node encode-once.ts FOLDER OPTIONS UNIT: one process of several that back the same unit up at the same time.
import { encode, makeTransform, setupIn } from '../setup.ts';

const [folder = '', options = '', unit] = process.argv.slice(2);
const transform = await makeTransform(JSON.parse(options) as object, setupIn(folder));
const { bytes, parameters } = await encode(transform, 'rows', unit);
process.stdout.write(JSON.stringify({ bytes: bytes.toString('base64'), parameters }));
