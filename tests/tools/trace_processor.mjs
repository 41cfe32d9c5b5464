// Perfetto's own trace processor, on Node: loads a trace, answers SQL.
//
//     node trace_processor.mjs DIRECTORY FILE PARTS SQL..
//
// PARTS are those of the file that are loaded, one after the other and each by itself, as FROM-TO,FROM-TO.. in bytes. For each
// part and each SQL one line `= N`, then a line for each of its N rows: the columns, with tabs between. A null is `NULL`; in
// texts `\`, tabs and ends of lines are escaped. A part that is refused is a line `! why`. DIRECTORY has what the package
// brings: trace_processor.wasm, made for a worker in a browser, engine_bundle.node.js, which starts it, and engine.mjs,
// which speaks with it.
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { pathToFileURL } from 'node:url';

const [directory, file, parts, ...queries] = process.argv.slice(2);
const at = name => path.join(path.resolve(directory), name);

// What a worker would find.
class Request {
    open(_method, url) {
        this.name = path.basename(String(url));
    }
    send() {
        const bytes = fs.readFileSync(at(this.name));
        this.status = 200;
        this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    }
}
const around = {
    self: globalThis,
    WorkerGlobalScope: class {},
    XMLHttpRequest: Request,
    location: { href: `${pathToFileURL(path.resolve(directory))}/` },
};
for (const [name, value] of Object.entries(around)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
// It asks with a tiny module whether there are memories of 64 bits, for which it has another file, not in the package.
WebAssembly.Module = class extends WebAssembly.Module {
    constructor(bytes) {
        if (bytes.length < 32 && bytes[8] === 5) throw new Error('no such memory');
        super(bytes);
    }
};
console.warn = () => {};

vm.runInThisContext(fs.readFileSync(at('engine_bundle.node.js'), 'utf8'));
const { port1: theirs, port2: ours } = new MessageChannel();
globalThis.onmessage({ data: theirs });
const { EngineBase } = await import(pathToFileURL(at('engine.mjs')));

class Engine extends EngineBase {
    mode = 'WASM';
    id = 'trace';
    constructor() {
        super();
        ours.onmessage = message => this.onRpcResponseBytes(message.data);
    }
    rpcSendRequestBytes(bytes) {
        ours.postMessage(bytes);
    }
}

const shown = value => {
    if (value === null || value === undefined) return 'NULL';
    const escapes = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
    return String(value).replace(/[\\\t\n\r]/g, c => escapes[c]);
};

const engine = new Engine();
const bytes = fs.readFileSync(file);
const load = async (from, to) => {
    await engine.resetTraceProcessor({
        cropTrackEvents: false,
        ingestFtraceInRawTable: false,
        analyzeTraceProtoContent: false,
        ftraceDropUntilAllCpusValid: false,
    });
    for (let at = from; at < to; at += 16 << 20) {
        await engine.parse(new Uint8Array(bytes.subarray(at, Math.min(to, at + (16 << 20)))));
    }
    await engine.notifyEof();
};
const answer = async query => {
    const result = await engine.query(query);
    const columns = result.columns();
    const rows = [];
    for (const row = result.iter({}); row.valid(); row.next()) {
        rows.push(columns.map(column => shown(row.get(column))).join('\t') + '\n');
    }
    return `= ${rows.length}\n${rows.join('')}`;
};
let text = '';
for (const part of parts.split(',')) {
    const [from, to] = part.split('-').map(Number);
    try {
        await load(from, to);
    } catch (error) {
        text += `! ${shown(error.message)}\n`;
        continue;
    }
    for (const query of queries) text += await answer(query);
}
await new Promise(done => process.stdout.write(text, done));
process.exit(0);
